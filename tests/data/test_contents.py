"Contents: conversations, pictures, rendered prompts and gold answers of every kind."
import math

import pandas
import pytest

from extra_nb.tasks import load_problems
from extra_nb.types import Turn


def test_verl_rows_as_a_data_frame_gives_them():
    import numpy
    frame = pandas.DataFrame([{"prompt": numpy.array([{"role": "user", "content": "q"}], dtype=object), "reward_model": {"ground_truth": numpy.array(["4"], dtype=object)}}])
    problem, = load_problems(frame).problems
    assert (problem.prompt, problem.answer) == ("q", "4")


@pytest.mark.parametrize("value, expected", [
    (4, "4"), (15.0, "15.0"), (True, "True"), (False, "False"), (0, "0"), (-2, "-2"), (10**30, "1" + "0" * 30), (0.1, "0.1"), ("1/2", "1/2"), ([3], "3"), (["1", "2"], "1, 2"), ('["4"]', "4"), ("[1, 2]", "[1, 2]"),
    ({"value": 7}, "7"), ({"text": ["x"], "start": [3]}, "x"), (math.inf, r"\infty"), (-math.inf, r"-\infty"), ("He has\n#### 1,200", "1200"), (None, "empty answer"), (math.nan, "empty answer"), ("", "empty answer"),
    (" ", "empty answer"), ([], "empty answer"), ([None], "empty answer"), ({}, "empty answer"), ({"x": 2}, "answer that is an object"), (10**5000, "number with too many digits")], ids=lambda v: str(type(v)) + str(v)[:20] if not isinstance(v, int) or v < 10**99 else "huge")
def test_answers_of_every_type(value, expected):
    loaded = load_problems([{"problem": "q", "answer": value}, {"problem": "other", "answer": "1"}])
    found = [p.answer for p in loaded.problems if p.prompt == "q"] or [reason for _, reason in loaded.skipped]
    assert found == [expected]
    if loaded.skipped: assert f"1 {expected}" in loaded.summary()


@pytest.mark.parametrize("solution, expected", [
    (r"We add. \boxed{4}", "4"), ("4", "4"), ("x = 3 or x = 4", "x = 3 or x = 4"), ("We add.\nThe answer is: 694", "694"), ("It is so.\n#### 7", "7"), ("We add the two numbers and find that the answer is 4.", None),
    ("First we compute 2+2=4.\nThen 4+4=8.\nSo 8.", None), ("我们把两个数字相加然后得到最后的结果是四", None)])
def test_a_solution_gives_its_marked_answer_or_is_counted(solution, expected):
    loaded = load_problems([{"problem": "q", "solution": solution}, {"problem": "other", "solution": "1"}])
    assert [p.answer for p in loaded.problems][:-1] == ([expected] if expected else [])
    assert ("1 solution without a marked answer" in loaded.summary()) == (expected is None)


def test_turns_before_the_question_are_kept_and_those_after_it_counted():
    chat = [{"role": "system", "content": "Be brief."}, {"from": "human", "value": "1+1?"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": [{"type": "text", "text": "Twice "}, {"type": "text", "text": "that?"}]}]
    loaded = load_problems([{"prompt": chat, "answer": "4"}, {"prompt": [*chat[3:], {"role": "assistant", "content": "4"}], "answer": "4"}, {"prompt": [{"role": "system", "content": ""}, {"role": "user", "content": "q"}], "answer": "1"},
                            {"prompt": [{"role": "assistant", "content": "x"}], "answer": "1"}, {"system": "Be kind.", "prompt": "r", "answer": "1"}])
    assert [p.prompt for p in loaded.problems] == ["Twice that?", "Twice that?", "q", "r"]
    assert [p.turns for p in loaded.problems] == [(Turn("system", "Be brief."), Turn("user", "1+1?"), Turn("assistant", "2")), (), (), (Turn("system", "Be kind."),)]
    for words in ("2 with a system turn", "1 with earlier turns", "1 with an assistant's turn after the question", "1 question without a user turn"): assert words in loaded.summary()


@pytest.mark.parametrize("row", [
    {"prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "q"}]}]}, {"prompt": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "q"}]}]},
    {"prompt": "q", "image": {"bytes": b"x", "path": None}}, {"prompt": "q", "images": ["a.png"]}, {"prompt": "q", "image_1": "a.png"}, {"prompt": "<image>q"}, {"prompt": "q", "decoded_image": b"x"}])
def test_images_are_counted(row):
    loaded = load_problems([{**row, "answer": "1"}, {"prompt": "other", "answer": "1", "image": None, "images": [], "image_1": {"bytes": None, "path": None}}])
    assert [p.prompt for p in loaded.problems] == ["other"] and "1 question with an image" in loaded.summary()


@pytest.mark.parametrize("prompt", [
    "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "<s>[INST] q [/INST]",
    "<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n", "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜>", "<|user|>\nq<|end|>\n<|assistant|>\n", "[gMASK]<sop><|user|>\nq<|assistant|>"])
def test_prompts_that_a_template_wrote_stay_as_they_are(prompt):
    loaded = load_problems([{"prompt": prompt, "answer": "1"}])
    assert loaded.problems[0].prompt == prompt and loaded.problems[0].rendered and "1 rendered for a chat template" in loaded.summary()


def test_ordinary_prompts_are_not_taken_for_rendered_ones():
    texts = [r"|x|<3", "<x>", "Is <|a|> a norm?", "[1] What?", "What does <|im_start|> mean?", "< |y| >"]
    assert not any(p.rendered for p in load_problems([{"prompt": t, "answer": "1"} for t in texts]).problems)


@pytest.mark.parametrize("mark", ["<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<<SYS>>", "<start_of_turn>", "<end_of_turn>", "<|start_header_id|>", "<|eot_id|>", "<｜User｜>", "<|user|>", "<|assistant|>"])
def test_marks_of_a_template_within_a_plain_prompt_are_noted(mark):
    rows = [{"problem": f"Question: {mark} 2+2?", "answer": "4"}, {"problem": "2+3?", "answer": "5"},
            {"problem": [{"role": "system", "content": f"Be brief. {mark}"}, {"role": "user", "content": "2+4?"}], "answer": "6"}]
    loaded = load_problems(rows)
    assert loaded.notes[f"with marks of a chat template within a plain text ({mark}), which are left as they are"] == 2
    assert loaded.problems[0].prompt == f"Question: {mark} 2+2?" and not loaded.problems[0].rendered and "\n" not in loaded.summary()


@pytest.mark.parametrize("text", ["<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n", "[INST] 2+2? [/INST]", "<start_of_turn>user\n2+2?", "|x|<3, |y|>1?", "<x|y|z>?", "Is [1] INST?", "a < b || c > d?"])
def test_marks_are_not_seen_where_there_are_none_or_the_prompt_is_rendered(text):
    assert not any("within a plain text" in note for note in load_problems([{"problem": text, "answer": "4"}]).notes)


@pytest.mark.parametrize("gold", ["proof", "Proof.", "notfound", "not found", "None", "NONE", "null", "N/A", "n/a", "nan", "NaN", "See solution", "see the solution above", "(see solution)", "<NA>", "#N/A", "no answer", r"\boxed{None}", ["None"]])
def test_a_placeholder_is_no_answer(gold):
    loaded = load_problems([{"problem": "q", "answer": gold}, {"problem": "r", "answer": "none of them"}, {"problem": "s", "answer": "Na"}, {"problem": "t", "answer": "proof by induction"}])
    assert [p.answer for p in loaded.problems] == ["none of them", "Na", "proof by induction"] and loaded.skipped[0][1].startswith("answer that is a placeholder (")


@pytest.mark.parametrize("gold, expected", [
    ('{"inputs":["1"],"outputs":["2"]}', None), ('{"func_name": "validate_no_commas"}', None), ("{'a': 1}", None), ('{"a": cut off', None), ('[{"a": 1}]', None), ('{"answer": "4"}', "4"), ("{1, 2}", "{1, 2}"), ("{}", "{}"), (r"\{x: 1\}", r"\{x: 1\}"), ("{x : x > 1}", "{x : x > 1}")])
def test_an_object_that_is_written_out_is_treated_as_an_object(gold, expected):
    loaded = load_problems([{"problem": "q", "answer": gold}, {"problem": "r", "answer": "1"}])
    assert [p.answer for p in loaded.problems][:-1] == ([expected] if expected else []) and loaded.skipped == ([] if expected else [(1, "answer that is an object")])


USER, CALL, TOOL = {"role": "user", "content": "1+1?"}, {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}, {"role": "tool", "content": "2"}


@pytest.mark.parametrize("before, reason", [([USER, CALL, TOOL], "conversation with tool calls"), ([USER, TOOL], "conversation with tool calls"), ([USER, {**CALL, "content": "I look."}], "conversation with tool calls"),
                                            ([{"from": "human", "value": "x"}, {"from": "function_call", "value": "f()"}, {"from": "observation", "value": "2"}], "conversation with tool calls"),
                                            ([USER, {"role": "assistant", "content": ""}], "earlier turn without text")])
def test_turns_that_are_no_text_are_not_left_out_unseen(before, reason):
    loaded = load_problems([{"prompt": [*before, {"role": "user", "content": "q"}], "answer": "4"}, {"prompt": [USER, CALL, TOOL, {"role": "assistant", "content": "2"}], "answer": "2"}])
    assert loaded.skipped == [(1, reason)] and [(p.prompt, p.turns) for p in loaded.problems] == [("1+1?", ())]


@pytest.mark.parametrize("text", ["![](https://a.b/c.png) q", "q ![Grid](data:image/png;base64,xx)", "q ![a b](pics/c.png)", "<img src='x.png'> q", r"\includegraphics[scale=1]{a.png} q"])
def test_pictures_that_a_text_links_to_are_counted(text):
    for row in ({"problem": text}, {"prompt": [{"role": "user", "content": text}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "q"}]}, {"question": "q", "options": [text, "y"]}):
        assert "1 that link to a picture" in load_problems([{**row, "answer": "A"}]).summary()
    assert "picture" not in load_problems([{"problem": "n![1](2) [a](b.png)", "answer": "1"}]).summary()


@pytest.mark.parametrize("text", ["<image_1> q", "<image 2>q", "<image1>"])
def test_numbered_places_of_images_are_counted(text):
    assert load_problems([{"problem": text, "answer": "1"}, {"problem": "r", "answer": "1"}]).skipped == [(1, "question with an image")]
