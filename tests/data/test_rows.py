"Rows: no row is lost, and each question comes once."
from collections import Counter

import pytest

from extra_nb.tasks import PICK, ProblemStream, from_rows, load_problems, overlap
from extra_nb.types import Problem


def test_rows_are_never_lost_without_a_word():
    rows = [{"id": i % 7, "question": f"q{i % 10}" if i % 4 else "", "answer": i % 10 if i % 9 else ""} for i in range(60)]
    rows += [{"id": 99, "question": "q3", "answer": "other"}]
    loaded = from_rows(enumerate(rows, 1), "s")
    assert len(loaded.problems) + len(loaded.skipped) == 61
    assert len({n for n, _ in loaded.skipped}) == len(loaded.skipped) and loaded.skipped == sorted(loaded.skipped)
    assert len({p.id for p in loaded.problems}) == len(loaded.problems) == len({p.prompt for p in loaded.problems})
    assert not any(p.prompt == "q3" for p in loaded.problems)  # both answers to q3 are gone, not only one
    assert (61, "conflicting answers") in loaded.skipped
    assert f"{len(loaded.skipped)} rows skipped" in loaded.summary()


def test_the_same_last_turn_after_other_turns_is_another_question():
    def row(first, answer, system="s"): return {"prompt": [{"role": "system", "content": system}, {"role": "user", "content": first}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "And twice that?"}], "answer": answer}
    loaded = load_problems([row("1+1", "4"), row("2+2", "8"), row("1+1", "4", "another"), row("3+3", "12"), row("3+3", "13")])
    assert [p.answer for p in loaded.problems] == ["4", "8"] and Counter(r for _, r in loaded.skipped) == {"repeated question": 1, "conflicting answers": 2}
    assert len(overlap(loaded.problems, [loaded.problems[0]])) == 1
    assert ProblemStream(loaded.problems).fingerprint != ProblemStream([Problem(p.id, p.prompt, p.answer) for p in loaded.problems]).fingerprint


@pytest.mark.parametrize("row, prompt", [
    ({"Body": "Tom has 3 apples.", "Question": "How many?", "Answer": 3.0}, "Tom has 3 apples.\n\nHow many?"), ({"context": "c", "question": "q?", "answers": {"text": ["x"], "answer_start": [0]}}, "c\n\nq?"),
    ({"passage": "p", "question": "q?", "answer": True}, "p\n\nq?"), ({"article": "a", "question": "q?", "options": ["x", "y"], "answer": "A"}, f"a\n\nq?\nA. x\nB. y\n{PICK}"),
    ({"instruction": "q?", "context": "c", "response": "4"}, "c\n\nq?"), ({"input": "x=3", "question": "what is x?", "answer": "3"}, "x=3\n\nwhat is x?"), ({"instruction": "Add.", "input": "1+1", "output": "2"}, "Add.\n\n1+1"),
    ({"story": ["One.", "Two."], "question": "q?", "answer": "3"}, "One.\n\nTwo.\n\nq?"), ({"paragraph": "p", "prompt": [{"role": "user", "content": "q?"}], "answer": "3"}, "p\n\nq?"),
    ({"context": "c is 3", "question": "Given c is 3: what is c?", "answer": "3"}, "Given c is 3: what is c?"), ({"context": "", "question": "q?", "answer": "3"}, "q?"), ({"input": "Solve it. q?", "problem": "q?", "answer": "3"}, "q?")])
def test_what_a_question_is_about_stands_above_it(row, prompt):
    loaded = load_problems([row, {**row, "id": "another"}])
    assert [p.prompt for p in loaded.problems] == [prompt]
    above = "\n\n" in prompt and "Add." not in prompt
    assert ("which is put above the question" in loaded.summary()) == above
