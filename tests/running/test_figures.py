"""Reading a run's log, and drawing it: damaged and partial logs, and what a figure must show whatever it is given."""
import json
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extra_nb.running import figures
from extra_nb.running.figures import EVALS, METRICS, ends, end_labels, invented_run, ks_of, new_figure, png_bytes, read_jsonl, read_metrics, smooth
from extra_nb.types import InputError

pytestmark = pytest.mark.filterwarnings("error")  # a warning in the middle of a report helps nobody
PLOTS = [figures.plot_reward, figures.plot_groups, figures.plot_verdicts, figures.plot_entropy, figures.plot_length]
MECHANISM_PLOTS = [figures.plot_novelty, figures.plot_regeneration]
every_plot = pytest.mark.parametrize("plot", [*PLOTS, *MECHANISM_PLOTS], ids=lambda plot: plot.__name__)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return invented_run(tmp_path_factory.mktemp("runs") / "invented", steps=40)


@pytest.fixture(scope="module")
def metrics(run):
    return read_metrics(run)


def log(folder, text):
    (folder / METRICS).write_text(text, encoding="utf-8")
    return folder


def texts(figure):
    "All labels that a figure carries."
    return [text.get_text() for ax in figure.axes for text in ax.texts]


# ---- reading

@pytest.mark.parametrize("text, said", [
    ("", "holds no step yet"),
    ('{"step": 1, "a', "holds no step yet"),  # nothing but half a line
    ('{"step": 1}\nnonsense\n{"step": 2}\n', "line 2: not JSON"),
    ('{"step": 1}\n{"step": 2, "a"\n', "line 2: not JSON"),  # ended, so it is not half a line but a broken one
    ("[1, 2]\n", "line 1: expected a JSON object, found list"),
    ('{"step": 1}\n{"reward/mean": 0.5}\n', "line 2: no step"),
])
def test_a_broken_log_is_named_in_one_line(text, said, tmp_path):
    with pytest.raises(InputError) as error: read_metrics(log(tmp_path, text))
    assert said in str(error.value) and METRICS in str(error.value) and "\n" not in str(error.value)


@given(st.integers(0, 200))
def test_a_log_cut_anywhere_loses_at_most_the_cut_line(run, cut):
    text = (run / METRICS).read_text(encoding="utf-8")
    path = run / "cut.jsonl"
    path.write_text(text[: len(text) - cut], encoding="utf-8")
    rows, torn = read_jsonl(path)
    whole, _ = read_jsonl(run / METRICS)
    assert rows == whole[: len(rows)]
    # cutting the last line end alone leaves the last object whole
    assert len(rows) + torn == text[: len(text) - cut].count("\n") + (not text[: len(text) - cut].endswith("\n"))


def test_a_repeated_step_counts_once_and_steps_are_in_order(tmp_path):
    found = read_metrics(log(tmp_path, '{"step": 2, "a": 1}\n{"step": 1, "a": 2}\n{"step": 2, "a": 3}\n'))
    assert found["a"].to_dict() == {1: 2, 2: 3}
    assert found.attrs == {"torn": 0, "repeated": 1}


def test_metrics_that_come_and_go_are_gaps(tmp_path):
    found = read_metrics(log(tmp_path, '{"step": 1}\n{"step": 2, "a": 0.5}\n{"step": 3, "a": null}\n{"step": 4, "a": NaN}\n'))
    assert found["a"].notna().tolist() == [False, True, False, False]


@pytest.mark.parametrize("values, expected", [([3.0], (3, 3)), ([1.0, 2.0], (1, 2)), (list(range(100)), (4.5, 94.5)), (list(range(25)), (0.5, 23.5))])
def test_ends_are_means_of_a_tenth(values, expected, tmp_path):
    rows = "".join(json.dumps({"step": i, "a": value}) + "\n" for i, value in enumerate(values))
    assert ends(read_metrics(log(tmp_path, rows)), "a") == expected


def test_ends_pass_over_gaps(tmp_path):
    found = read_metrics(log(tmp_path, '{"step": 1}\n{"step": 2, "a": 1.0}\n{"step": 3, "a": 5.0}\n{"step": 4}\n'))
    assert ends(found, "a") == (1, 5)
    assert all(math.isnan(value) for value in ends(found, "b"))


def test_smooth_keeps_a_straight_line_and_a_constant_sum(metrics):
    line = smooth(metrics["groups/mixed"])
    assert abs(line - metrics["groups/mixed"]).max() < 0.01
    shares = smooth(metrics[["groups/all_wrong", "groups/mixed", "groups/all_correct"]]).sum(axis=1)
    assert abs(shares - 1).max() < 1e-9


# ---- drawing

@every_plot
def test_every_figure_is_a_picture_with_named_axes(plot, metrics):
    figure = plot(metrics)
    assert png_bytes(figure).startswith(b"\x89PNG")
    assert all(ax.get_ylabel() for ax in figure.axes) and figure.axes[-1].get_xlabel() == "training step"
    assert figure._repr_png_().startswith(b"\x89PNG")  # shows itself in a notebook


@every_plot
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_figures_of_the_first_steps(plot, steps, metrics):
    png_bytes(plot(metrics.iloc[:steps]))


@every_plot
def test_figures_with_gaps(plot, metrics):
    "A mechanism that logs nothing before its first turn leaves gaps."
    gaps = metrics.mask(metrics.index.to_series() < 10)
    png_bytes(plot(gaps))


@every_plot
def test_figures_of_zeros(plot, metrics):
    # at least one layer of the shares must be there
    png_bytes(plot((metrics * 0).assign(**{"groups/all_wrong": 1.0, "verdict/wrong": 1.0})))


@pytest.mark.parametrize("plot", MECHANISM_PLOTS)
def test_what_was_not_logged_is_named(plot, tmp_path):
    with pytest.raises(InputError, match=r"^this run logged no (novelty|regen)/\w+, "): plot(read_metrics(invented_run(tmp_path, 5, mechanisms=False)))


@every_plot
def test_all_gaps_is_not_logged(plot, metrics):
    with pytest.raises(InputError, match="logged no"): plot(metrics * math.nan)


def test_labels_tell_where_lines_end(metrics):
    flat = metrics.assign(**{"reward/mean": 0.37, "policy/entropy": 1.25})
    assert texts(figures.plot_reward(flat)) == ["0.37"]
    assert texts(figures.plot_entropy(flat)) == ["1.25"]
    shares = metrics.assign(**{"groups/all_wrong": 0.2, "groups/mixed": 0.5, "groups/all_correct": 0.3})
    assert set(texts(figures.plot_groups(shares))) == {"all wrong 20%", "mixed 50%", "all correct 30%"}
    regen = metrics.assign(**{"regen/groups": 3, "regen/rescued": 1})
    assert set(texts(figures.plot_regeneration(regen))) == {"120 regenerated", "40 rescued"}


def test_bands_stand_in_the_order_of_their_labels(metrics):
    figure = figures.plot_groups(metrics)
    heights = {text.get_text().rsplit(" ", 1)[0]: text.xy[1] for text in figure.axes[0].texts}
    assert heights["all wrong"] < heights["mixed"] < heights["all correct"]


@given(st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=9))
def test_end_labels_keep_apart_and_in_order(heights):
    figure, (ax,) = new_figure()
    ax.set_ylim(-0.5, 1.5)
    end_labels(ax, [(y, f"{i}", "#000000") for i, y in enumerate(heights)])
    at = {int(text.get_text()): text.xy[1] for text in ax.texts}
    placed = sorted(at.values())
    assert all(b - a > 0.09 - 1e-9 for a, b in zip(placed, placed[1:]))
    assert placed[-1] <= 1 + 1e-9
    assert [heights[i] for i in sorted(at, key=at.get)] == sorted(heights)


def test_labels_with_room_stand_where_their_lines_end():
    _, (ax,) = new_figure()
    ax.set_ylim(0, 2)
    end_labels(ax, [(0.5, "a", "#000000"), (1.5, "b", "#000000")])
    assert {text.get_text(): text.xy[1] for text in ax.texts} == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize("evals, ks, shown", [
    ({"before": {"pass@1": 0.1, "pass@1_ci": [0.05, 0.2]}, "after": {"pass@1": 0.3, "pass@1_ci": [0.2, 0.4]}}, [1], ["before 10.0%", "after 30.0%"]),
    ({"before": {"pass@16": 1.0, "pass@1": 0.0}}, [1, 16], ["before 0.0%", "before 100.0%"]),  # no intervals, at both ends of the axis
    ({"before": {"pass@1": 0.5}, "after": {"pass@2": 0.5}}, [1, 2], ["before 50.0%", "after 50.0%"]),
])
def test_scores_are_written_beside_their_marks(evals, ks, shown):
    assert ks_of(evals) == ks
    figure = figures.plot_pass_at_k(evals)
    assert texts(figure) == shown
    png_bytes(figure)


@pytest.mark.parametrize("evals", [{}, {"before": {}}, {"before": {"problems": 3}}])
def test_no_scores_no_figure(evals):
    with pytest.raises(InputError, match="no scores"): figures.plot_pass_at_k(evals)


def test_runs_are_laid_over_tokens_or_else_over_steps(metrics):
    counted, uncounted = (figures.plot_runs(runs).axes[0] for runs in ({"a": metrics, "b": metrics}, {"a": metrics, "b": metrics.drop(columns="tokens/total")}))
    assert counted.get_xlabel() == "generated tokens" and counted.lines[0].get_xdata()[-1] == 40 * 12_000
    assert uncounted.get_xlabel() == "training step" and uncounted.lines[0].get_xdata()[-1] == 40


def test_many_runs_have_colours_of_their_own(metrics):
    figure = figures.plot_runs({f"run {i}": metrics for i in range(14)})
    assert len({line.get_color() for line in figure.axes[0].lines}) == 14
    png_bytes(figure)


def test_drawing_changes_no_setting_and_works_in_threads(metrics):
    import matplotlib

    before, found = dict(matplotlib.rcParams), []
    threads = [threading.Thread(target=lambda: found.append(png_bytes(figures.plot_reward(metrics)))) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(found) == 6 and dict(matplotlib.rcParams) == before


def test_the_invented_run_is_the_same_every_time(tmp_path):
    a, b, other = (invented_run(tmp_path / name, 8, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    for name in (METRICS, EVALS): assert (a / name).read_bytes() == (b / name).read_bytes() != (other / name).read_bytes()
