import pytest

from extra_nb.bench.workloads import WORKLOADS, workload
from extra_nb.policy import tiny_policy


@pytest.fixture(scope="session")
def policy():
    policy = tiny_policy(context=1024)
    policy.tokenizer.pad_token_id = policy.pad_id
    return policy


@pytest.fixture(scope="session")
def works(policy): return {name: workload(policy, name) for name in WORKLOADS}
