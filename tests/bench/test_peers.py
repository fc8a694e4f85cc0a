"Every candidate does the same work."
import pytest

from extra_nb.bench import workloads
from extra_nb.bench.peers import candidates
from extra_nb.bench.workloads import Workload


@pytest.mark.parametrize("name", ["a", "c"])
def test_all_candidates_make_the_same_tokens(name, works):
    own, full = works[name]
    if own.eos_ids == workloads.NO_END: work = Workload(full.requests[:2], 8, 6, (6,) * 16)
    else:  # four responses each to the two problems that are done first
        lengths = [full.lengths[8 * i : 8 * i + 4] for i in range(8)]
        short = sorted(sorted(range(8), key=lambda i: max(lengths[i]))[:2])
        work = Workload(tuple(full.requests[i] for i in short), 4, full.max_new_tokens, sum((lengths[i] for i in short), ()))
        assert len(set(work.lengths)) > 4
    made = {n: run(None) for n, run in candidates(own, work).items()}
    assert set(made) == {f"{n} {k}" for n in ("ours", "generate", "generate_batch") for k in ("fp32", "bf16")}
    assert {lengths for _, lengths in made.values()} == {work.lengths} and all(seconds > 0 for seconds, _ in made.values())


def test_a_limit_ends_every_candidate_early(works):
    own, full = works["c"]
    work = Workload(full.requests[:1], 8, 256, full.lengths[:8])
    assert {run(4)[1] for run in candidates(own, work).values()} == {tuple(min(4, n) for n in work.lengths)}
