"Fair workloads: each is what its name says."
import math

import pytest

from extra_nb.bench.workloads import WORKLOADS, problems_for, varied, workload
from extra_nb.policy import tiny_policy
from extra_nb.types import InputError, Request


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_what_its_name_says(name, works):
    own, work = works[name]
    assert len(work.requests) == work.group_size == 8 and len(work.lengths) == 64 and len({r.key for r in work.requests}) == 8
    assert work.max_new_tokens == max(work.lengths) and work.tokens == sum(work.lengths)
    prompts = [own.encode(r.problem) for r in work.requests]
    shared = next(i for i, ids in enumerate(zip(*prompts)) if len(set(ids)) > 1)
    assert all(70 <= len(p) - 300 * (name == "b") <= 190 for p in prompts)
    assert shared >= 300 if name == "b" else shared < 20
    assert [len(r.prefix_ids) for r in work.requests] == ([100, 114, 128, 142, 157, 171, 185, 200] if name == "d" else [0] * 8)
    if name != "c": assert set(work.lengths) == {64}


def test_lengths_of_c_differ_widely_and_do_not_depend_on_the_model(works, policy):
    lengths = works["c"][1].lengths
    assert min(lengths) <= 10 and max(lengths) == 256 and len(set(lengths)) > 30
    # geometric with mean near 89 before the cut: the mean of 64 of them has a standard deviation below 11
    assert abs(sum(lengths) / 64 - 89 * (1 - math.exp(-256 / 89))) < 5 * 11
    other = tiny_policy(seed=7, layers=1, context=1024)
    assert workload(other, "c")[1].lengths == lengths


def test_an_unknown_workload_is_refused(policy):
    with pytest.raises(InputError, match="known: a, b, c, d"): workload(policy, "ab")


def test_requests_fit_in_every_prompt_template(policy):
    framed = varied(policy)
    framed.instruction = "A question from a shop:\n{problem}\nThink, then answer.\n"
    assert all(70 <= len(framed.encode(p)) <= 150 for p in problems_for(framed, 3)) and Request(problems_for(framed, 1)[0]).key == "speed/0"
