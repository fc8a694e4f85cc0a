"Columns: which hold the question and the answer, and ids and levels."
import gzip
import json
import math

import pytest

from extra_nb.tasks import load_jsonl, load_problems
from extra_nb.types import InputError


def write(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8").write(text)
    return path


@pytest.mark.parametrize("row", [
    {"problem": "q", "answer": "a"}, {"question": "q", "answer": "a"}, {"prompt": "q", "solution": "a"},
    {"query": "q", "final_answer": ["a"]},
    {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "reward_model": {"ground_truth": "a"}},
    {"problem": "q", "solution": "long, so \\boxed{a}", "answer": "a"}])
def test_fields_are_found(tmp_path, row):
    problem, = load_jsonl(write(tmp_path / "f.jsonl", row)).problems
    assert (problem.prompt, problem.answer) == ("q", "a")


def test_given_fields_are_used_and_checked(tmp_path):
    path = write(tmp_path / "f.jsonl", {"problem": "no", "answer": "no", "x": "q", "deep": {"y": "a"}})
    problem, = load_jsonl(path, "x", "deep.y").problems
    assert (problem.prompt, problem.answer) == ("q", "a")
    with pytest.raises(InputError, match="'answer'"): load_jsonl(path, "x", "answr")


@pytest.mark.parametrize("rows, expected", [
    ([{"problem": None, "question": "q", "answer": "1"}], ["q"]), ([{"problem": "", "question": "q", "answer": "1"}, {"problem": " ", "question": "r", "answer": "1"}], ["q", "r"]),
    ([{"problem": None, "answer": None}, {"problem": "q", "answer": "1"}], ["q"]), ([{"problem": "q", "answer": "1"}, {"question": "r", "label": "2"}], ["q", "r"]),
    ([{"Question": "q", "Final Answer": "1"}], ["q"]), ([{"QUESTION": "q", "finalAnswer": "1"}], ["q"]), ([{"input": "q", "label": "1"}], ["q"]),
    ([{"problem": "q", "generated_solution": "...", "expected_answer": "1"}], ["q"]), ([{"messages": [{"role": "user", "content": "q"}], "ground_truth": "1", "dataset": "x"}], ["q"]),
    ([{"prompt": [{"role": "user", "content": "q"}], "reward_model": '{"ground_truth": "1"}'}], ["q"]), ([{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "\\boxed{1}"}]}], ["q"]),
    ([{"prompt": '[{"role": "user", "content": "q"}]', "answer": "1"}], ["q"]), ([{"prompt": "[{'content': 'q', 'role': 'user'}]", "answer": "1"}], ["q"]),
    ([{"prompt": {"role": "user", "content": "q"}, "answer": "1"}], ["q"]), ([{"instruction": "Add.", "input": "1+1", "output": "2"}, {"instruction": "q", "input": "", "output": "2"}], ["Add.\n\n1+1", "q"])])
def test_columns_are_found_over_all_rows(rows, expected):
    assert [p.prompt for p in load_problems(rows).problems] == expected


def test_an_empty_question_is_not_filled_from_a_column_of_another_kind():
    loaded = load_problems([{"problem": "q", "prompt": "Solve: q", "answer": "1"}, {"problem": "", "prompt": "Solve:", "answer": "2"}])
    assert [p.prompt for p in loaded.problems] == ["q"] and loaded.skipped == [(2, "empty question")]


@pytest.mark.parametrize("value, expected", [(2**64, f"data/{2**64}"), (10**25, f"data/{10**25}"), (10**400, f"data/{10**400}"), (-5, "-5"), (str(10**25), f"data/{10**25}"), ("a" * 50, "a" * 50), (2.5, "2.5"), (True, "True")],
                         ids=lambda v: str(v)[:12])
def test_ids_are_kept_however_large(value, expected): assert load_problems([{"problem": "2+2?", "answer": "4", "id": value}]).problems[0].id == expected


def test_numbers_that_are_no_ids_may_be_large():
    loaded = load_problems([{"problem": "2^80?", "answer": 2**80, "weight": 1e300, "level": 10**30}])
    assert (loaded.problems[0].answer, loaded.problems[0].level) == (str(2**80), None)


def test_columns_that_are_not_used_are_named():
    said = load_problems([{"question": "q", "answer": "1", "facts": "Tom has 3.", "n": "12", "solution": "s", "source": "x", "level": "Level 1", "type": "t", "subject": "u", "url": "v", "difficulty": "w", "unique_id": "i"}]).summary()
    assert said == "1 problems; 1 columns of text that are not used (facts)"
    said = load_problems([{"context": {"title": ["t"]}, "question": "q", "answer": "1"}]).summary()
    assert "1 with a 'context' that is not used, as it is no text" in said


def test_several_question_columns_are_told():
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]
    assert "2 question columns (problem, question), of which 'problem' is used" in load_problems([{"problem": "Title", "question": "1+1?", "answer": "2"}]).summary()
    assert "2 question columns (problem, prompt), of which 'problem' is used" in load_problems([{"problem": "q", "prompt": chat, "answer": "2"}]).summary()
    assert "question columns" not in load_problems([{"problem": "q", "question": " q", "answer": "2"}]).summary()
    assert "question columns" not in load_problems([{"problem": "q", "question": "r", "answer": "2"}], question_field="question").summary()


@pytest.mark.parametrize("level, expected", [(3.0, 3), ("3.0", 3), ("Level 3", 3), ("level 3.0", 3), (3, 3), (3.5, None), ("hard", None), (math.nan, None), (None, None)])
def test_levels_of_every_type(level, expected):
    assert load_problems([{"problem": "q", "answer": "1", "level": level}]).problems[0].level == expected
