"The benchmark of memory: losses, peaks, extrapolation and command."
import pytest
import torch
from benching import OOM, fated, result

from extra_nb.bench import memory
from extra_nb.bench.memory import MemoryBench, follow_line, head_peak, lengths_that_fit, plain_loss


def test_the_plain_loss_is_what_torch_says():
    gen = torch.Generator().manual_seed(0)
    hidden, head, tokens = torch.randn(7, 5, generator=gen), torch.randn(11, 5, generator=gen), torch.randint(11, (7,), generator=gen)
    loss, entropies = plain_loss(hidden, head, tokens)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(hidden @ head.T, tokens))
    torch.testing.assert_close(entropies, torch.distributions.Categorical(logits=hidden @ head.T).entropy())


def test_peaks_grow_with_the_logits_only_where_they_are_held_whole():
    sizes = dict(width=8, vocabulary=10_000, rows=4)  # a chunk of logits is above 32 MiB: smaller blocks malloc keeps for itself
    short, long = (head_peak("unchunked", length=n, **sizes) for n in (256, 1024))
    assert 3 < long / short < 5 and long > 2 * 4 * 4096 * 10_000
    assert head_peak("ours", length=1024, **sizes) < 0.7 * long  # a chunk of logits, and what a first use of the library loads


def test_head_peak_counts_the_gradient_of_the_head():
    # whatever the way, the head's gradient is there at the end: it can be no less
    assert head_peak("ours", 256, 20_000, 1, 64) >= 4 * 256 * 20_000


def test_what_does_not_fit_is_extrapolated(monkeypatch):
    asked = []

    def child(job, heard, way, length, **sizes):
        asked.append((way, length))
        return 100 + 7 * length if way == "unchunked" else 500

    monkeypatch.setattr(memory, "in_child", child)
    monkeypatch.setattr(memory, "free_memory", lambda device: 10**9)
    said = []
    found = memory.bench_memory(MemoryBench(vocabulary=100_000, device="cpu"), say=said.append)
    assert asked == [("ours", 1024), ("unchunked", 8), ("unchunked", 16)] and found["unchunked_lengths"] == [8, 16]
    assert found["extrapolated"] and found["peers"]["unchunked"] == 100 + 7 * 1024 and "does not fit" in "\n".join(said)


@pytest.mark.parametrize("free", [10**6, 10**8, 10**9, 10**10, 10**12])
def test_measured_lengths_fit(free):
    found = lengths_that_fit(8, 1024, 50_000, free)
    assert found == [1024] if 5 * 4 * 8 * 1024 * 50_000 <= free // 2 else len(found) == 2 and 1 <= found[0] < found[1] < 1024
    assert found[-1] <= 2 or 5 * 4 * 8 * found[-1] * 50_000 <= free // 2


def test_a_line_is_followed():
    assert follow_line([(2, 3), (4, 4)], 10) == 7


def test_memory_names_those_that_die(tmp_path, capsys, monkeypatch):
    fated(monkeypatch, head=1, unchunked="dies", ours="dies", weights=4, autocast=10, fp32="dies")
    monkeypatch.setattr(memory, "free_memory", lambda device: 10**12)
    found = result(tmp_path, "memory", "--step")
    assert found["ended"] == {"unchunked": OOM} and found["ours"] == 10**9 and found["peers"] == {} and found["ratio"] is None
    step = found["step"]
    assert step["ended"] == {"ours fp32": OOM, "TRL fp32": OOM} and step["setting"] == "ours bf16" and step["ratio"] == 5 / 4
    assert capsys.readouterr().out.count(f"TRL fp32: {OOM}") == 2


def test_memory_command(tmp_path, capsys):
    found = result(tmp_path, "memory", "--width", "64", "--vocabulary", "10000", "--length", "256")
    assert 0 < found["ours"] < found["peers"]["unchunked"] and found["ratio"] == pytest.approx(found["ours"] / found["peers"]["unchunked"])
    assert found["peers"]["unchunked"] > 2 * 4 * 8 * 256 * 10_000 and not found["extrapolated"] and "unchunked" in capsys.readouterr().out
