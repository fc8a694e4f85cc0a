"Judge and verifier: equality, hostile input, and gold answers; what processes do is in test_worker.py."
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extra_nb.verify.equality import at_once, equivalent
from extra_nb.tasks import BENCHMARKS, load_problems
from extra_nb.types import InputError, Problem
from extra_nb.verifier import Verifier, check_golds

STRANGE = ["5\x00", "\x00", "\ud800", "\udfff\ud800 5", "9" * 1900, "x" * 5_000_000, "€", "\\" * 999, "$" * 99, "\u202e5"]

TABLE = [  # gold, content of the box, reason
    ("7", "7", "correct"), ("7", "8", "wrong"), ("025", "25", "correct"), ("-5", "5", "wrong"), ("1200", "1,200", "correct"),
    ("7", "+7", "correct"), ("1200", "1{,}200", "correct"), ("7", "7.0", "correct"), ("7", "7.", "correct"),
    ("7", "$7$", "correct"), ("18", r"\$18", "correct"), (r"336^\circ", "336", "correct"), ("12", r"12\text{ cm}", "correct"),
    (r"\frac{1}{2}", "0.5", "correct"), ("0.5", r"\dfrac12", "correct"), (r"\frac{1}{3}", "0.333", "wrong"),
    ("-1./3", r"-\frac{1}{3}", "correct"), ("-1./3", "-1", "wrong"), ("4.5e33", r"4.5\times 10^{33}", "correct"),
    ("4.5e33", "4.5", "wrong"), ("1e-27", "0", "wrong"), ("2.88e-19", "1.6e-19", "wrong"), ("0.00001", "10^{-5}", "correct"),
    ("(1,2)", "(2,1)", "wrong"), ("(1,2)", r"\left(1, 2\right)", "correct"), (r"\{1,2\}", "2,1", "correct"),
    ("[1,2)", "[1,2]", "wrong"), ("x^2-1", "(x-1)(x+1)", "correct"), ("x^2-1", "x^2+1", "wrong"), ("5", "x=5", "correct"),
    (r"\sqrt{8}", r"2\sqrt2", "correct"), (r"\text{Yes}", r"\text{No}", "wrong"), (r"\text{(C)}", "(C)", "correct"),
    (r"(-\infty, 2]", r"(-\infty,2]", "correct"), (r"\pi", "3.14", "wrong"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}", "wrong"),
    ("2/3", r"\frac{1}{3} E_{1}+\frac{2}{3} E_{2}", "wrong"), ("2", r"\hbar \omega(v+1 / 2)-\frac{E_{0}^{2} e^{2}}{2 m \omega^{2}}", "wrong"),
    ("np.arcsin(10/13)", "np.arcsin(10/13)", "correct"), ("np.arcsin(10/13)", "0.8776", "wrong"),
    (r"x \geq 5", r"Therefore $x \ge 5$ is the solution.", "correct"), ("0", "4 0/0", "unparseable"),
    ("0", r"\frac{0}{0}", "unparseable"), (r"\infty", r"\frac{1}{1-1}", "unparseable"), (r"\frac{1}{x}", "x^{-1}", "correct"),
    ("7", "", "no_answer"), ("7", "  ", "no_answer"),
]


def boxed(text): return rf"Thus \boxed{{{text}}}."


@pytest.fixture(scope="module")
def verifier():
    with Verifier(timeout=20) as v: yield v


# equality

@pytest.mark.parametrize("gold, answer, reason", TABLE)
def test_table(verifier, gold, answer, reason):
    verdict, = verifier.verify([gold], [boxed(answer)])
    assert (verdict.reason, verdict.correct, verdict.extracted) == (reason, reason == "correct", answer)


integers = st.tuples(st.sampled_from(["", "+", "-"]), st.sampled_from(["", "0", "00"]), st.integers(0, 10**7), st.booleans()).map(
    lambda t: f"{t[0]}{t[2]:,}" if t[3] else f"{t[0]}{t[1]}{t[2]}")


@given(integers, integers, st.booleans())
@settings(max_examples=150, deadline=None)
def test_integers_are_equal_when_their_values_are(gold, answer, equal):
    if equal: answer = gold.replace(",", "").replace("+", "")
    same = int(gold.replace(",", "")) == int(answer.replace(",", ""))
    assert at_once("equivalent", gold, answer) == equivalent(gold, answer) == ("correct" if same else "wrong")


@given(st.integers(10**14 + 5, 10**15 - 5), st.integers(-300, 300), st.integers(-3, 3), st.sampled_from(["{}e{}", r"{}\times 10^{{{}}}", r"{} \cdot 10^{{ {} }}", "{}*10^{}"]))
@settings(max_examples=100)
def test_powers_of_ten_are_exact(digits, exponent, off, form):
    text = f"{str(digits)[0]}.{str(digits)[1:]}"
    other = f"{str(digits + off)[0]}.{str(digits + off)[1:]}"
    assert at_once("equivalent", f"{text}e{exponent}", form.format(other, exponent)) == ("correct" if abs(off) <= 1 else "wrong")  # 1: the last digit of 15


def test_powers_of_ten_need_no_mantissa():
    assert [at_once("equivalent", "10^{-27}", a) for a in ("10^{-28}", "10^{-27}", "1e-27", "-10^{-27}", "0")] == ["wrong", "correct", "correct", "wrong", "wrong"]
    assert [at_once("equivalent", "1000", a) for a in ("10^3", "10 ^ {3}", "10^{4}")] == ["correct", "correct", "wrong"]


def test_an_exception_in_the_comparison_is_counted_and_not_scored_as_wrong(monkeypatch):
    import extra_nb.verify.formulas as algebra

    def fail(*args, **kwargs): raise ZeroDivisionError

    monkeypatch.setattr(algebra, "same_expression", fail)
    assert equivalent("x+1", "1+x") == "unparseable"


def test_results_do_not_depend_on_order_or_company(verifier):
    pairs = [(g, boxed(a)) for g, a, _ in TABLE]
    expected = [r for _, _, r in TABLE]
    for seed in range(3):
        order = random.Random(seed).sample(range(len(pairs)), len(pairs))
        company = [("1", boxed(STRANGE[seed]))] if seed else []
        found = verifier.verify([pairs[i][0] for i in order] + ["1"] * len(company), [pairs[i][1] for i in order] + [c for _, c in company])
        assert [v.reason for v in found][: len(order)] == [expected[i] for i in order]


def test_last_box_against_its_own_problem(verifier):
    problems = [Problem("a", "?", "7"), Problem("b", "?", "4")]
    verdicts = verifier.judge(problems, [r"\boxed{4} no: \boxed{7}", r"\boxed{4} no: \boxed{7}"])
    assert [v.reason for v in verdicts] == ["correct", "wrong"]
    assert [v.reason for v in verifier.judge(problems, [r"7", r"\boxed{4"])] == ["no_answer", "no_answer"]


# hostile input

@pytest.mark.parametrize("strange", STRANGE, ids=lambda s: ascii(s[:8]))
def test_strange_text_gets_a_verdict(verifier, strange):
    before = verifier.restarts
    verdicts = verifier.verify(["5", "1/2", strange, "3"], [boxed(strange), boxed("0.5"), boxed("1/7"), strange])
    seen = "".join(c for c in strange if c.isprintable()).strip()  # what cannot be seen does not count
    assert verdicts[0].reason in (("correct",) if seen == "5" else ("wrong", "unparseable", "no_answer")) and verdicts[1].reason == "correct"
    assert verdicts[2].reason in ("wrong", "unparseable") and verdicts[3].reason == "no_answer" and verifier.restarts == before


pieces = list("01239+-*/^_{}()[].,$= exy%&<>\x00\ud800é") + ["\\frac", "\\sqrt{", "\\{", "\\text{"]


@given(st.lists(st.sampled_from(pieces), max_size=15).map("".join))
@settings(max_examples=40, deadline=None)
def test_random_text_gets_a_verdict_and_never_harms_the_next(verifier, text):
    first, second = verifier.verify([r"\sqrt{7}", r"\sqrt{8}"], [boxed(text), boxed(r"2\sqrt{2}")])
    assert first.reason in ("wrong", "unparseable", "no_answer", "timeout") and second.reason == "correct"


# bad input, gold answers

@pytest.mark.parametrize("kwargs", [{"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"timeout": float("inf")}, {"workers": 0}])
def test_bad_settings_are_refused(kwargs):
    with pytest.raises(InputError): Verifier(**kwargs)


def test_lengths_must_agree(verifier):
    with pytest.raises(InputError, match="2 gold answers and 1 responses"): verifier.verify(["1", "2"], ["1"])
    with pytest.raises(InputError): verifier.judge([Problem("a", "?", "1")], [])
    assert verifier.verify([], []) == []


def test_check_golds_of_the_six_benchmarks(shared):
    with Verifier(timeout=30, workers=2) as v:
        for name in BENCHMARKS:
            problems = load_problems(name, data_dir=shared / "data").problems
            assert check_golds(problems, v) == ([("olympiadbench674/95", "unparseable")] if name == "olympiadbench" else [])  # t(0,4]
            assert all(r.correct for r in v.judge(problems, [boxed(p.answer) for p in problems]))


def test_check_golds_tells_what_is_read_in_part(verifier):
    golds = ["7", r"5 \text{ (since } x > 0\text{)}", "(1, ", "f(x)=x^2 for x>0", r"\sqrt{2}", " "]
    bad = check_golds([Problem(g, "?", g) for g in golds], verifier)
    assert bad == [(golds[1], "partly read"), (golds[2], "unparseable"), (golds[3], "partly read"), (" ", "unparseable")]


def test_aime_and_degrees(shared):
    answers = [p.answer for name in ("aime24", "aime25") for p in load_problems(name, data_dir=shared / "data").problems]
    zeros, degrees = [a for a in answers if a.startswith("0")], [a for a in answers if "circ" in a]
    assert zeros and degrees
    with Verifier(timeout=20) as v:
        assert all(r.correct for r in v.verify(zeros, [boxed(int(a)) for a in zeros]))
        assert all(r.correct for r in v.verify(degrees, [boxed(a.replace(r"^\circ", "")) for a in degrees]))
