import pytest
from benching import HAND, write

from extra_nb.bench.workloads import WORKLOADS, workload
from extra_nb.policy import tiny_policy


@pytest.fixture(scope="session")
def policy():
    policy = tiny_policy(context=1024)
    policy.tokenizer.pad_token_id = policy.pad_id
    return policy


@pytest.fixture(scope="session")
def works(policy): return {name: workload(policy, name) for name in WORKLOADS}


@pytest.fixture
def hand(tmp_path):
    rows = [{"id": f"h/{i}", "gold": g, "prediction": p, "equal": e, "meta": {"more": i}} for i, (g, p, e, _) in enumerate(HAND)]
    return write(tmp_path / "hand.jsonl", rows)


@pytest.fixture
def sources(tmp_path):
    "Sixty labelled generations, and forty problems of a benchmark."
    generations = [{"id": f"g/{i}", "gold": f"{i}", "prediction": f"so {i} + 1,000 is\nA: {i if i % 3 else i + 1}", "equal": i % 3 != 0} for i in range(60)]
    benchmark = [{"id": f"b/{i}", "problem": f"Halve {i}.", "answer": rf"\frac{{{i}}}{{2}}"} for i in range(40)]
    return [write(tmp_path / "generations.jsonl.gz", generations), write(tmp_path / "benchmark.jsonl", benchmark)]
