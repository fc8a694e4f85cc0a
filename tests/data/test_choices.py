"Choices: the forms in which they are written, and which one is right."
import re
import time

import pandas
import pytest

from extra_nb.tasks import PICK, load_problems


@pytest.mark.parametrize("rows, golds", [
    ([{"choices": ["a", "b", "c"], "answer": 1}, {"choices": ["4", "2", "0"], "answer": 2}], ["B", "C"]), ([{"choices": ["a", "b", "c"], "answer": 3}, {"choices": ["x", "y", "z"], "answer": 1}], ["C", "A"]),
    ([{"choices": ["3", "4", "5"], "answer": "4"}], ["B"]), ([{"choices": [3, 4, 5], "answer": 4}], ["B"]), ([{"options": ["A)21", "B)22"], "correct": "B"}], ["B"]), ([{"choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"}], ["B"]),
    ([{"choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}], ["B"]), ([{"choices": {"text": ["x", "y"], "label": 2}, "answer": "y"}], ["B"]), ([{"A": "21", "B": "22", "C": "5", "answer": "C"}], ["C"]), ([{"options": {"A": "x", "B": "y"}, "answer": "y", "answer_idx": "B"}], ["B"]),
    ([{"options": '["x", "y"]', "answer": "(B)"}], ["B"]), ([{"options": [{"key": "A", "text": "x"}, {"key": "B", "text": "y"}], "answer": "B. y"}], ["B"]), ([{"option_a": "x", "option_b": "y", "answer": "b"}], ["B"]),
    ([{"choices": ["x", "y"], "solution": r"Clearly \boxed{\text{B}} or \boxed{B}"}], ["B"])])
def test_choices_stand_in_the_prompt_and_the_letter_is_judged(rows, golds):
    loaded = load_problems([{"question": f"q{i}", **row} for i, row in enumerate(rows)])
    assert [p.answer for p in loaded.problems] == golds and f"{len(rows)} with choices" in loaded.summary()
    for i, p in enumerate(loaded.problems): assert re.fullmatch(rf"q{i}\nA\. .+\nB\. [^$]+\n{re.escape(PICK)}", p.prompt)


def test_choices_that_are_there_already_are_not_repeated_and_strange_golds_counted():
    loaded = load_problems([{"question": "Which? (A) one km (B) two km", "options": ["one km", "two km"], "answer": "two km"}, {"question": "r", "options": ["x", "y"], "answer": "z"}, {"question": "s", "options": [], "answer": "z"}])
    assert [(p.prompt, p.answer) for p in loaded.problems] == [("Which? (A) one km (B) two km", "B"), ("s", "z")] and "1 answer that is none of the choices" in loaded.summary()


@pytest.mark.parametrize("answer", ["." * 50_000 + "B", " " * 50_000 + "B", "(" * 50_000, ") " * 25_000 + "B", "B" + ".:" * 25_000, "B" + " " * 50_000 + "x"])
def test_choices_are_told_apart_in_time_however_long_an_answer_is(answer):
    start = time.process_time()
    load_problems([{"problem": "Which?", "choices": ["one", "two"], "answer": answer}, {"problem": "Or?", "choices": ["one", "two"], "answer": "(B)."}])
    assert time.process_time() - start < 1


@pytest.mark.parametrize("row, lines, gold", [
    ({"Problem": "q", "options": "a ) 38 , b ) 27.5 , c ) rs . 30", "correct": "b"}, ["38", "27.5", "rs . 30"], "B"), ({"question": "q", "options": "A. red\nB. blue", "answer": "B"}, ["red", "blue"], "B"),
    ({"question": "q", "options": "(A) red (B) dark blue (C) a tree", "answer": "C"}, ["red", "dark blue", "a tree"], "C"), ({"question": "q", "options": "red|blue", "answer": "blue"}, ["red", "blue"], "B"),
    ({"question": "q", "choices": "1. red\n2. blue", "answer": "2"}, ["red", "blue"], "B"), ({"question": "q", "choices": "red; blue; green", "answer": "green"}, ["red", "blue", "green"], "C"),
    ({"question": "q", "option1": "red", "option2": "blue", "option3": "green", "option4": "grey", "answer": "2"}, ["red", "blue", "green", "grey"], "B"), ({"question": "q", "choice1": "red", "choice2": "blue", "answer": 2}, ["red", "blue"], "B"),
    ({"question": "q", "Choice 1": "red", "Choice 2": "blue", "answer": "option 1"}, ["red", "blue"], "A"), ({"question": "q", "options": {"option_a": "red", "option_b": "blue"}, "answer": "option_b"}, ["red", "blue"], "B"),
    ({"question": "q", "choice_0": "red", "choice_1": "blue", "answer": "1"}, ["red", "blue"], "B"), ({"question": "q", "options": ["Some", "None"], "answer": "None"}, ["Some", "None"], "B")])
def test_choices_in_one_text_and_in_numbered_columns(tmp_path, row, lines, gold):
    loaded = load_problems([row])
    assert [(p.prompt, p.answer) for p in loaded.problems] == [("\n".join(["q", *(f"{c}. {t}" for c, t in zip("ABCD", lines)), PICK]), gold)]
    pandas.DataFrame([row]).to_csv(tmp_path / "a.csv", index=False)
    assert [(p.prompt, p.answer) for p in load_problems(tmp_path / "a.csv").problems] == [(p.prompt, p.answer) for p in loaded.problems]


@pytest.mark.parametrize("given, reason", [({"options": "red blue"}, "choices that cannot be read"), ({"options": ["red"]}, "choices that cannot be read"), ({"choices": {"first of all": "red"}}, "choices that cannot be read"),
                                           ({"options": "B. red\nA. blue\n"}, None), ({"option1": "x", "option2": None, "option3": "z"}, "choices with a gap"), ({"options": 4}, None), ({"options": "N/A"}, None)])
def test_choices_that_are_not_understood_are_counted(given, reason):
    loaded = load_problems([{"question": "q", **given, "answer": "B"}, {"question": "r", "answer": "1"}])
    assert loaded.skipped == ([(1, reason)] if reason else [])
    if str(given).startswith("{'options': 'B. red"): assert loaded.problems[0].answer == "A"  # a letter means the choice that has it


@pytest.mark.parametrize("start", [0, 1])
def test_it_is_said_from_where_choices_are_counted(start):
    loaded = load_problems([{"question": f"q{i}", "choices": ["a", "b", "c"], "answer": k + start} for i, k in enumerate((0, 1, 2))])
    assert f"3 with the right choice given as a number, counted from {start}" in loaded.summary() and [p.answer for p in loaded.problems] == ["A", "B", "C"]
