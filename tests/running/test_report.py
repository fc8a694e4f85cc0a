"""The page about a run: what it says, what it must not say, and that it holds together whatever the run holds."""
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from extra_nb.evaluate import Evaluation, ProblemResult
from extra_nb.running.figures import CONFIG, EVALS, METRICS, invented_run, read_metrics
from extra_nb.running.report import CHARTS, alarm_lines, compare_runs, differences, markdown_table, read_json
from extra_nb.running.report import sample_responses, summarise, unlike, write_report
from extra_nb.types import InputError

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def run(tmp_path):
    return invented_run(tmp_path / "invented", steps=40)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    "Metrics of a run that rings no alarm."
    return read_metrics(invented_run(tmp_path_factory.mktemp("runs"), steps=40)).assign(**{"regen/queue": 10})


class Page(HTMLParser):
    "A page taken apart: its words, where it points to, and whether every tag is closed."
    VOID = {"meta", "img", "br", "hr", "link"}

    def __init__(self, path):
        super().__init__()
        self.open, self.words, self.links, self.tags, self.source = [], [], [], [], path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID: self.open.append(tag)

    def handle_endtag(self, tag): assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]: self.words.append(data)


def change(path, **values):
    path.write_text(json.dumps({**read_json(path), **values}), encoding="utf-8")


def evaluation(rates, n=8, seed=0, name="held-out"):
    rng = np.random.default_rng(seed)
    return Evaluation(name, tuple(ProblemResult(f"p{i}", "1", ("",) * n, tuple("correct" if hit else "wrong" for hit in rng.random(n) < rate),
                                                (None,) * n, (1,) * n, ("stop",) * n) for i, rate in enumerate(rates)))


# ---- the page

def test_the_page_is_whole_and_alone(run):
    page = Page(write_report(run))
    assert page.tags.count("img") == len(CHARTS) + 1
    assert all(link.startswith("data:image/png;base64,") for link in page.links) and "http" not in page.source and "script" not in page.tags
    assert {path.stem for path in (run / "figures").iterdir()} == {"pass_at_k", *(chart.name for chart in CHARTS)}
    for heading in ("Figures", "Scores", "Responses", "Settings"): assert heading in page.words
    assert "Not drawn" not in page.text


def test_writing_twice_gives_the_same_page(run):
    assert write_report(run, CHARTS[:1]).read_bytes() == write_report(run, CHARTS[:1]).read_bytes()


def test_whatever_a_run_holds_is_escaped(tmp_path):
    run = invented_run(tmp_path / "<b>run & co", steps=5)
    evil = "<script>alert(1)</script> & \"quotes\" </pre>"
    change(run / CONFIG, model=evil)
    rows = [{"step": 5, "prompt": evil, "answer": evil, "text": evil, "reason": reason, "origin": origin}
            for reason, origin in (("correct", "prompt"), (evil, "prompt"), ("wrong", "regeneration"))]
    (run / "rollouts" / "step-000005.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    change(run / EVALS, after={**read_json(run / EVALS)["after"], "set": evil})
    page = Page(write_report(run, charts=()))
    assert "script" not in page.tags and "b" not in page.tags
    assert page.text.count("alert(1)") == 12  # a setting, the name of a set, a reason, and three texts for each of three responses


def test_missing_files_and_metrics_leave_a_page(tmp_path):
    (tmp_path / METRICS).write_text('{"step": 1, "anything": 1}\n', encoding="utf-8")
    page = Page(write_report(tmp_path))
    assert "There are no evaluation scores" in page.text and "Training took 1 step." in page.text
    assert f"Not drawn, as this run did not log it: {', '.join(chart.title.lower() for chart in CHARTS)}." in page.text
    for heading in ("Scores", "Responses", "Settings", "Alarms"): assert heading not in page.words


@pytest.mark.parametrize("dropped", [name for chart in CHARTS for name in chart.needs])
def test_any_metric_may_be_missing(dropped, run):
    rows = [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    for row in rows: row.pop(dropped)
    (run / METRICS).write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    page = Page(write_report(run, [chart for chart in CHARTS if dropped in chart.needs]))
    assert page.text.count("Not drawn") == 1 and page.tags.count("img") == 1
    assert not re.search(r"\bnan\b", page.text)


def test_no_number_is_shown_as_not_a_number(run):
    with open(run / METRICS, "a", encoding="utf-8") as file: file.write('{"step": 41, "reward/mean": NaN, "novelty/mean": null}\n')
    change(run / CONFIG, odd=float("nan"), unknown=None)
    page = Page(write_report(run))
    assert "unknown –" in page.text and not re.search(r"\bnan\b|\bnone\b|\binf\b", page.text, re.IGNORECASE)


def test_a_run_that_still_goes_has_scores_before_only(run):
    (run / EVALS).write_text(json.dumps({"before": read_json(run / EVALS)["before"]}), encoding="utf-8")
    with open(run / METRICS, "a", encoding="utf-8") as file: file.write('{"step": 41, "reward/me')
    page = Page(write_report(run, charts=()))
    assert re.search(r"pass@1 before training was \d\d\.\d% \[", page.text) and "went from" not in page.text
    assert "The log ends in half a line" in page.text


def test_several_sets_have_a_row_each(run):
    scores = {"pass@1": 0.5, "pass@1_ci": [0.4, 0.6], "problems": 30, "samples": 4}
    (run / EVALS).write_text(json.dumps({"before": {**scores, "name": "average", "sets": [{**scores, "name": "aime24"}, {**scores, "name": "amc23"}]}}))
    page = Page(write_report(run, charts=()))
    for name in ("average", "aime24", "amc23"): assert name in page.words
    assert page.words.count("50.0% [40.0%, 60.0%]") == 3


@pytest.mark.parametrize("name, text, said", [(EVALS, "{", "line 1: not JSON"), (EVALS, "[]", "expected a JSON object, found list"), (CONFIG, "3", "found int")])
def test_broken_files_are_named(name, text, said, run):
    (run / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as error: write_report(run)
    assert name in str(error.value)


def test_a_chart_of_ones_own(run):
    mine = replace(CHARTS[0], name="mine", title="Mine & yours", caption="a < b")
    page = Page(write_report(run, [mine]))
    assert "Mine & yours" in page.words and "a < b" in page.words and (run / "figures" / "mine.png").exists()


# ---- alarms: each rings for its own reason, alone, and not just before

ALARMS = [
    ("entropy_collapse", {"policy/entropy": lambda t: 1 - 0.88 * t}, {"policy/entropy": lambda t: 1 - 0.75 * t}),
    ("entropy_explosion", {"policy/entropy": lambda t: 0.6 + 0.9 * t}, {"policy/entropy": lambda t: 0.3 + 0.6 * t}),
    ("cut_responses", {"response/truncated_frac": lambda t: 0.21}, {"response/truncated_frac": lambda t: 0.19}),
    ("gave no answer", {"verdict/no_answer": lambda t: 0.51}, {"verdict/no_answer": lambda t: 0.49}),
    ("could not read 6%", {"verdict/unparseable": lambda t: 0.06}, {"verdict/unparseable": lambda t: 0.04}),
    ("verifier_timeouts", {"verdict/timeout": lambda t: 0.03}, {"verdict/timeout": lambda t: 0.01}),
    ("did not rise", {"reward/mean": lambda t: 0.5 - 0.01 * t}, {"reward/mean": lambda t: 0.5 + 0.01 * t}),
    ("dead_groups", {"groups/mixed": lambda t: 0.09}, {"groups/mixed": lambda t: 0.11}),
    ("kl_runaway", {"loss/kl": lambda t: 0.51}, {"loss/kl": lambda t: 0.49}),
    ("sampler_drift", {"loss/sampler_drift": lambda t: 0.06}, {"loss/sampler_drift": lambda t: 0.04}),
    ("7 of 8 groups continued prefixes", {"regen/groups": lambda t: 7, "groups/count": lambda t: 8, "regen/queue": lambda t: 9},
     {"regen/groups": lambda t: 2, "groups/count": lambda t: 8}),
    ("too small to matter", {"novelty/bonus_ratio": lambda t: 0.004}, {"novelty/bonus_ratio": lambda t: 0.006}),
    ("large_bonus", {"novelty/bonus_ratio": lambda t: 0.6}, {"novelty/bonus_ratio": lambda t: 0.4}),
    ("about 21 steps", {"regen/queue": lambda t: 84}, {"regen/queue": lambda t: 79}),
    ("without end", {"regen/groups": lambda t: 0, "regen/queue": lambda t: 5}, {"regen/groups": lambda t: 0, "regen/queue": lambda t: 0}),
]


@pytest.mark.parametrize("words, ill, well", ALARMS, ids=[words for words, _, _ in ALARMS])
def test_each_alarm_rings_alone(words, ill, well, healthy):
    def with_(curves):
        t = np.linspace(0, 1, len(healthy))
        return healthy.assign(**{name: curve(t) + 0 * t for name, curve in curves.items()})

    assert alarm_lines(healthy) == []
    said = alarm_lines(with_(ill))
    assert len(said) == 1 and words in said[0]
    assert alarm_lines(with_(well)) == []


def test_the_page_says_what_the_trainer_would_say(healthy):
    "One definition: every alarm of the log, in the same words, though the log itself names none of them."
    from extra_nb.running.alarms import WINDOW
    from extra_nb.running.alarms import alarms as at_a_step

    ill = healthy.assign(**{"loss/sampler_drift": [0.3] + [0.0] * 39, "groups/mixed": [0.5] * 20 + [0.05] * 20, "reward/mean": np.linspace(0.02, 0.04, 40)})
    history, expected = ill.to_dict("records"), {}
    for n in range(1, 41): expected |= at_a_step(history[:n], 2)
    assert set(expected) == {"sampler_drift", "dead_groups"} and "group_size=" in expected["dead_groups"]
    said = alarm_lines(ill, group_size=2)
    assert said[0] == f"In training the alarm sampler_drift rang in step 1: {expected['sampler_drift']}"
    assert said[1] == f"In training the alarm dead_groups rang in {21 - WINDOW} steps, from step {20 + WINDOW} to 40: {expected['dead_groups']}"
    assert "group_size" not in alarm_lines(ill)[1]  # which nobody told


def test_an_alarm_of_an_earlier_version_keeps_its_name(healthy):
    log = healthy.assign(alarms=[["once_upon_a_time"] if i in (3, 9) else [] for i in range(40)])
    assert alarm_lines(log) == ["In training the alarm once_upon_a_time rang in 2 steps, from step 4 to 10."]


def test_a_short_run_is_not_blamed_for_its_reward(healthy):
    falling = healthy.assign(**{"reward/mean": -np.arange(40.0)})
    assert alarm_lines(falling.iloc[:19]) == [] and len(alarm_lines(falling.iloc[:20])) == 1


def test_nothing_logged_nothing_wrong(healthy):
    assert alarm_lines(healthy[["tokens/total"]]) == []


# ---- sentences

@pytest.mark.parametrize("before, after, words", [(0.2, 0.8, "It rose: +"), (0.8, 0.2, "It fell: -"), (0.5, 0.5, "no more than chance may do")])
def test_the_words_follow_the_paired_difference(before, after, words, tmp_path):
    found = {"before": evaluation([before] * 40), "after": evaluation([after] * 40, seed=1)}
    for phase, one in found.items(): one.save(tmp_path / "evals" / f"{phase}.jsonl")
    gains = differences(tmp_path, tmp_path, [1])
    sentence = summarise(read_metrics(invented_run(tmp_path / "run", 3)), {phase: one.summary([1]) for phase, one in found.items()}, gains)[0]
    assert words in sentence
    points = 100 * (found["after"].correct.mean() - found["before"].correct.mean()) / 8
    assert f"{points:+.1f} points" in sentence


def test_cost_is_said_from_what_was_logged(healthy):
    said = summarise(healthy, {})
    assert "Training took 40 steps, 480,000 generated tokens, 4 minutes." in said
    uncounted = summarise(healthy.drop(columns="tokens/total"), {})
    assert said == uncounted  # the sum over steps is the same total
    assert "Training took 40 steps." in summarise(healthy[["reward/mean"]], {})


def test_a_fraction_of_rescued_groups(healthy):
    said = summarise(healthy.assign(**{"regen/groups": 2, "regen/rescued": 0.5}), {})
    assert any("80 groups continued" in text and "20 of them (25%)" in text for text in said)
    assert not any("continued" in text for text in summarise(healthy.assign(**{"regen/groups": 0}), {}))


# ---- responses

def rollouts(run, step, *kinds):
    rows = [{"step": step, "reason": reason, "origin": origin, "text": f"{step}/{i}"} for i, (reason, origin) in enumerate(kinds)]
    (run / "rollouts" / f"step-{step:06d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_the_latest_of_each_kind_is_shown(tmp_path):
    run = invented_run(tmp_path, 1)
    rollouts(run, 1, ("timeout", "prompt"), ("wrong", "regeneration"))
    rollouts(run, 9, ("correct", "prompt"), ("correct", "prompt"))
    rollouts(run, 10, ("correct", "regeneration"))
    assert {kind: row["text"] for kind, row in sample_responses(run).items()} == {"correct": "9/0", "wrong": "1/0", "regenerated": "10/0"}


def test_no_rollouts_no_responses(tmp_path): assert sample_responses(tmp_path) == {}


# ---- several runs

def test_runs_side_by_side(tmp_path):
    runs = [invented_run(tmp_path / name, 20, seed, mechanisms=name == "a") for name, seed in (("a", 0), ("b", 1), ("c", 2))]
    table = compare_runs(runs, out=tmp_path / "out")
    assert list(table.index) == ["a", "b", "c"] and table["mechanisms"].tolist() == ["novelty,regeneration", "none", "none"]
    np.testing.assert_allclose(table["pass@1 gain"].iloc[1:], table["pass@1"].iloc[1:] - table["pass@1"].iloc[0], atol=1e-12)
    page = Page(tmp_path / "out" / "comparison.html")
    assert page.tags.count("img") == 1 and "Gains are over a." in page.text
    other = unlike(runs)
    assert (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8") == markdown_table(table) + "\n\n" + "".join(f"- {line}\n" for line in other)
    assert "What else differs" in page.text and all(line in page.text for line in other)


def test_what_else_differs_is_said(tmp_path):
    a, b, c = (invented_run(tmp_path / name, 5) for name in "abc")
    assert unlike([a, b, c]) == []
    assert "differs" not in (compare_runs([a, b], out=tmp_path / "out"), Page(tmp_path / "out" / "comparison.html").text)[1]
    change(b / CONFIG, mechanisms="none", preset="x", compute="bf16", versions={"torch": "2"})
    assert unlike([a, b, c]) == ["versions.torch: – in a and c, 2 in b", "compute: – in a and c, bf16 in b"]


def test_a_beginning_of_its_own_is_said(tmp_path):
    a, b, c, d = (invented_run(tmp_path / name, 5) for name in "abcd")
    evaluation([0.9] * 80).save(b / "evals" / "before.jsonl")
    evaluation([0.5] * 7).save(c / "evals" / "before.jsonl")
    (d / "evals" / "before.jsonl").unlink()
    first, second = unlike([a, b, c, d])
    assert re.fullmatch(r"b did not begin training with the policy of a: \d+ right responses before it, against \d+", first)
    assert second == "c was asked other held-out problems than a"


def test_unequal_tokens_are_said(tmp_path):
    a, b = (invented_run(tmp_path / name, steps) for name, steps in (("a", 20), ("b", 40)))
    (line,) = unlike([a, b])
    assert re.fullmatch(r"generated tokens: [\d,]+ in a, [\d,]+ in b", line)


def test_other_problems_are_not_paired(tmp_path):
    a, b = (invented_run(tmp_path / name, 3) for name in "ab")
    evaluation([0.5] * 7).save(b / "evals" / "after.jsonl")
    table = compare_runs([a, b])
    assert not any("gain" in name for name in table.columns) and table["pass@1"].notna().all()


def test_runs_of_one_name_keep_apart(tmp_path):
    runs = [invented_run(tmp_path / name / "run", 3) for name in "ab"]
    assert list(compare_runs(runs).index) == [str(run) for run in runs]


def test_runs_without_scores_have_dashes(tmp_path):
    run = invented_run(tmp_path / "a", 3)
    (run / EVALS).unlink()
    other = invented_run(tmp_path / "b", 3)
    first, second = markdown_table(compare_runs([run, other])).splitlines()[2:]
    assert first.endswith("– | – | – |") and "%" in second


def test_markdown_tables_stay_tables(tmp_path):
    run = invented_run(tmp_path / "a|b", 3)
    lines = markdown_table(compare_runs([run])).splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_nothing_to_compare_is_said(tmp_path):
    with pytest.raises(InputError, match="at least one"): compare_runs([])
    with pytest.raises(InputError, match="not a run directory"): compare_runs([tmp_path])


# ---- with the real trainer

def test_a_real_run_logs_what_every_chart_needs(tmp_path):
    "Names of metrics are written in one notebook and read in another; this is where a change of either shows."
    from extra_nb.embedders import NgramEmbedder
    from extra_nb.novelty import NoveltyBonus
    from extra_nb.policy import tiny_policy
    from extra_nb.regeneration import PrefixRegeneration
    from extra_nb.tasks import arithmetic, worked_solution
    from extra_nb.train import Trainer, warm_start

    policy, embedder = tiny_policy(), NgramEmbedder()
    warm_start(policy, [(problem, worked_solution(problem)) for problem in arithmetic(40, levels=(2, 2), seed=1)], steps=160, lr=1e-2)
    mechanisms = [NoveltyBonus(embedder=embedder, min_history=0), PrefixRegeneration(start_step=1, per_step=1, min_gap=4, embedder=embedder)]
    settings = dict(steps=3, problems_per_step=4, group_size=4, max_new_tokens=20, lr=1e-3)
    Trainer(policy, arithmetic(12, levels=(2, 2), seed=0), mechanisms, out=tmp_path / "real", say=None, **settings).fit()
    page = Page(write_report(tmp_path / "real"))
    assert "Not drawn" not in page.text and {"Correct", "Wrong"} & set(page.words)
