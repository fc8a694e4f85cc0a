"The gold answer of a solution, and where a prompt wants the answer: on our own texts and on what is hard to read."
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extra_nb.tasks import load_problems
from extra_nb.types import InputError, Problem
from extra_nb.verify.answers import boxed, boxes, extract
from extra_nb.verifier import Verifier
from extra_nb.verify.asked import as_asked, final_answer, marks_asked

# the boxes of a gold answer are those of a response

@pytest.mark.parametrize("text, expected", [
    (r"\boxed{5}", "5"), (r"\boxed {5}", "5"), (r"\boxed{\frac{1}{2}} and \boxed{3}", r"\frac{1}{2}, 3"),
    (r"\boxed{3} then \boxed{4", "3"), (r"\boxed{a \boxed{b} c}", r"a \boxed{b} c"), (r"\boxed{1 + \boxed{2}", "2"),
    (r"}} \boxed{7} {", "7"), (r"{ \boxed{7}", "7"), (r"\boxed{}", ""), (r"so $x=\boxed{1}$ or $x=\boxed{2}$.", "1, 2"),
    (r"\boxed{\{1,2\}}", r"\{1,2\}"), (r"\boxed{\left\{1\right.}", r"\left\{1\right."), ("\\\\boxed{6}", "6"),
    (r"\fbox{3}", "3"), (r"no \boxed{1}. So \boxed{2}", "2"), ("boxed{6}", None), ("", None),
    (r"\boxed{\begin{pmatrix}1\\{2}\end{pmatrix}}", r"\begin{pmatrix}1\\{2}\end{pmatrix}"),
    ("\\boxed{a\nb}", "a\nb"), ("\\boxed{\x00\ud800}", "\x00\ud800"),
])
def test_a_gold_solution_and_a_response_have_the_same_answer(text, expected):
    assert boxed(text) == extract(text) == expected
    assert final_answer(text) == (text if expected is None else expected)


def test_a_response_that_repeats_a_gold_solution_with_two_boxes_is_right():
    solution = r"so $x=\boxed{1}$ or $x=\boxed{2}$."
    with Verifier(workers=1) as verifier:
        found = verifier.verify([final_answer(solution)] * 3, [solution, r"\boxed{1}", r"\boxed{2}"])
    assert [v.reason for v in found] == ["correct", "wrong", "wrong"]


@given(st.lists(st.sampled_from([r"\boxed{", "{", "}", "a", " ", r"\{", r"\}"]), max_size=14).map("".join))
def test_boxes_agree_with_a_slow_search(text):
    def closed():
        for m in re.finditer(r"\\boxed\{", text):
            depth, i = 1, m.end()
            while i < len(text):
                if text[i] == "\\" and text[i + 1] in "{}": i += 1
                elif text[i] == "{": depth += 1
                elif text[i] == "}": depth -= 1
                if depth == 0:
                    yield m.start(), i + 1, text[m.end():i]
                    break
                i += 1
    found = list(closed())
    outer = [(start, end, inner) for start, end, inner in found if not any(s < start and end < e for s, e, _ in found)]
    assert boxes(text) == outer


@pytest.mark.parametrize("text", [r"\boxed{" * 150_000, "{" * 1_000_000, r"\boxed" + " " * 1_000_000,
                                  "\\" * 1_000_001 + "boxed{1}", "}" * 1_000_000])
def test_boxes_of_a_megabyte_take_one_pass(text):
    start = time.thread_time()
    final_answer(text + r"\boxed{3}")
    assert time.thread_time() - start < 5  # a search from each box to the end would take hours


@pytest.mark.parametrize("text, expected", [
    ("#### 1,234", "1234"), ("work\n#### -5\n", "-5"), ("#### Step 1\nso it is \\boxed{7}", "7"), ("1,234", "1,234"), (" x ", "x"),
    (r"\boxed{025}", "025"), ("a #### b", "b"), ("", "")])
def test_final_answer(text, expected): assert final_answer(text) == expected


# how an answer is asked for

@pytest.mark.parametrize("text", [r"What is $\boxed{11}\times\boxed{20}$?", r"$3+\boxed{}=7$", r"Let $\boxed{N}$ be the number of divisors", r"so $y=\boxed{x / 2-1}$", "Rocky boxed 190 fights.", "#### Question 3\nHalf?", "Half?\nAnswer:",
                                  "What answer did he put in the box?", "If the answer is 64, what is x?", "Place five balls in a box."])
def test_prompts_that_only_look_so(text): assert marks_asked(text) == ()


@pytest.mark.parametrize("asks, response, expected", [
    (("hash",), "2*600\n#### 1,200\n", r"\boxed{1200}"), (("hash",), r"#### \boxed{12}", r"\boxed{12}"), (("hash",), "#### **12**", r"\boxed{12}"), (("hash",), "#### 1,2", r"\boxed{1,2}"), (("hash",), r"so \boxed{12}", r"so \boxed{12}"), (("hash",), "12", "12"),
    (("tag",), "<think>7</think><answer> 12 </answer>", r"\boxed{12}"), (("tag",), r"<answer>\boxed{12}</answer>", r"\boxed{12}"), (("tag",), "<answer>12", "<answer>12"), (("line",), "so\nAnswer: 12", r"\boxed{12}"), (("line",), "**Final answer:** 12\nbye", r"\boxed{12}"),
    (("line",), "Answer:\n12", "Answer:\n12"), (("box", "line"), "Answer: 12", r"\boxed{12}"), (("box", "hash"), "\\boxed{3}\n#### 4", "\\boxed{3}\n#### 4"), (("box",), "#### 4", "#### 4"), ((), "#### 4", "#### 4")])
def test_responses_are_read_as_they_were_asked_for(asks, response, expected):
    assert as_asked(Problem("p", "q", "12", asks=asks), response) == expected


@pytest.mark.parametrize("text", ["#" * 500_000, "<answer>" * 60_000, "answer" * 80_000 + ":", "\\boxed{" * 70_000, "Answer" + " " * 500_000 + ":", "<answer> " * 50_000 + "x" * 1000, "line " * 100_000, "in a " * 100_000, "*" * 500_000 + "answer:"])
def test_marks_are_looked_for_in_one_pass(text):
    start = time.thread_time()
    marks_asked(text), [as_asked(Problem("p", "q", "1", asks=(m,)), text) for m in ("hash", "tag", "line", "box")]
    assert time.thread_time() - start < 5


@pytest.mark.parametrize("mark, text", [
    ("box", r"Please output the final answer within \boxed{}."), ("box", r"Put your answer in \boxed{answer}"), ("box", r"Enclose it in \boxed."), ("box", r"Therefore, the final answer is: $\boxed{ANSWER}$."),
    ("box", "Your final answer should be in a box."), ("box", r"请以“Answer: \boxed{<final_answer>}”的格式"), ("box", r"Write it as $\boxed{\text{your answer}}$"), ("hash", 'Let\'s think step by step and output the final answer after "####".'),
    ("hash", "Return your answer as #### <number>"), ("hash", "Finish with #### and the answer"), ("hash", "Q: 1+1\nA: two\n#### 2\n\nQ: 2+2\nA:"), ("tag", "<think> reasoning process here </think> <answer> answer here </answer>"),
    ("tag", "enclosed within <think> </think> and <answer> </answer> tags"), ("line", "The last line of your response should be of the form Answer: $Answer (without quotes)"), ("line", "Finish with 'The answer is: <number>'"),
    ("line", 'Remember to put your answer on its own line after "Answer:".'), ("line", "The last line of your response should be in the following format: 'ANSWER: $LETTER'")])
def test_prompts_that_say_how_to_answer(mark, text):
    for row in ({"prompt": f"Half of three? {text}"}, {"prompt": [{"role": "system", "content": text}, {"role": "user", "content": "Half of three?"}]}):
        problem, = (loaded := load_problems([{**row, "answer": "1.5"}])).problems
        assert mark in problem.asks and "so that no instruction of ours is added" in loaded.summary()


def test_the_verifier_judges_what_stands_where_the_prompt_asked_for_it():
    problems = load_problems([{"prompt": f"{i}*600? Output the final answer after \"####\".", "answer": f"work\n#### {i * 600:,}"} for i in (1, 2)] + [{"prompt": "2*2?", "answer": "4"}]).problems
    with Verifier(timeout=10, workers=1) as verifier:
        assert [v.reason for v in verifier.judge(problems, ["#### 600", "#### 1,300", "#### 4"])] == ["correct", "wrong", "no_answer"]
        with pytest.raises(InputError): verifier.judge(problems, ["#### 600"])
