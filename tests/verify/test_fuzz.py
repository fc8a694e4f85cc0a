"""Answers made by a grammar, most of them absurd, through one verifier: each gets a verdict in time, and none harms the next.

EXTRA_NB_FUZZ is the number of pairs; the default takes seconds, 100000 the better part of an hour.
"""
import os
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from extra_nb.verify.answers import extract
from extra_nb.verify.equality import at_once
from extra_nb.types import REASONS
from extra_nb.verifier import Verifier

PAIRS = int(os.environ.get("EXTRA_NB_FUZZ", "600"))
BATCH = 200  # pairs of one call
TIMEOUT, WORKERS = 3.0, 2
CANARY = "canary_of_the_fuzzer"  # a file in the current directory, should anything in an answer be executed

# numbers

small = st.integers(0, 12).map(str)
whole = st.one_of(small, st.integers(0, 10**7).map(str), st.integers(0, 10**7).map("{:,}".format), st.integers(10**20, 10**400).map(str),
                  st.integers(0, 10**7).map(lambda n: f"{n:,}".replace(",", r"{,}")), st.integers(0, 99).map("{:04d}".format))
decimals = st.builds("{}.{}".format, st.integers(0, 999), st.integers(0, 99999))
scientific = st.builds(lambda x, e, form: form.format(x, e), decimals, st.integers(-400, 400),
                       st.sampled_from(["{}e{}", "{}E{}", r"{}\times 10^{{{}}}", r"{} \cdot 10^{{{}}}", "{}*10^{}"]))
numbers = st.builds("{}{}".format, st.sampled_from(["", "", "", "+", "-", r"\pm ", "--"]),
                    st.one_of(whole, decimals, scientific, st.sampled_from([r"\infty", "0", "00", ".", ".5", "5.", "1/0", "1,2,3"])))
letters = st.sampled_from(["x", "y", "n", "k", "e", "i", r"\pi", r"\alpha", r"\theta", "x_1", "E_{0}", "f(x)", "a'"])
atoms = st.one_of(numbers, numbers, letters)

# formulas: anything, what makes sense, and what takes for ever

ONE = [r"\sqrt{{{}}}", r"\sqrt[3]{{{}}}", "({})", r"\left({}\right)", "{}!", "({})!", r"|{}|", r"\sin {}", r"\ln({})", r"\boxed{{{}}}",
       "{}^2", r"\text{{{}}}", "{{{}}}", r"{}\%", r"{}^\circ", r"{}\text{{ cm}}", r"\${}", "-{}", r"\mathbf{{{}}}", r"\lfloor {} \rfloor"]
TWO = [r"\frac{{{}}}{{{}}}", r"\dfrac{{{}}}{{{}}}", "{}+{}", "{}-{}", "{}*{}", r"{}\cdot {}", "{}/{}", "{}^{{{}}}", "{}_{{{}}}", "{}={}",
       r"{} \leq {}", r"\binom{{{}}}{{{}}}", "({}, {})", "[{}, {})", "{}, {}", r"\{{{}, {}\}}", r"{} \cup {}", r"{}\text{{ or }}{}",
       "{}:{}", r"\log_{{{}}} {}", r"{} \pm {}", r"{}\sqrt{{{}}}", r"{} \in {}", "{}{}", r"{} \setminus {}", r"\frac{}{}"]
THREE = [r"\sum_{{k={}}}^{{{}}} {}", r"\prod_{{k={}}}^{{{}}} {}", r"\int_{{{}}}^{{{}}} {} dx", r"{} < {} \leq {}", "({}, {}, {})",
         r"\begin{{pmatrix}} {} & {} \\ {} & 0 \end{{pmatrix}}", r"\begin{{cases}} {} \\ {} \\ {} \end{{cases}}",
         r"\lim_{{x \to {}}} {} {}"]
SENSIBLE = [[r"\sqrt{{{}}}", "({})!", r"\sin({})", r"\ln({})", "({})^2", "-({})", r"\left|{}\right|"],
            [r"\frac{{{}}}{{{}}}", "({})+({})", "({})-({})", r"({}) \cdot ({})", "({})^{{{}}}", r"\binom{{{}}}{{{}}}", r"\log_{{{}}}({})"],
            [r"\sum_{{k={}}}^{{{}}} ({})", r"\int_{{{}}}^{{{}}} ({}) dx", r"\prod_{{k={}}}^{{{}}} ({})"]]


def out_of(inner, texts): return st.one_of(*(st.builds(t.format, *[inner] * (i + 1)) for i, some in enumerate(texts) for t in some))


formula = st.recursive(atoms, lambda inner: out_of(inner, (ONE, TWO, THREE)), max_leaves=8)
sensible = st.recursive(st.one_of(small, small, st.sampled_from(["x", "y", "k", "n", r"\pi", "e"])), lambda inner: out_of(inner, SENSIBLE),
                        max_leaves=6)
towers = st.one_of(
    st.lists(st.integers(2, 99).map(str), min_size=2, max_size=6).map(lambda n: "^{".join(n) + "}" * (len(n) - 1)),
    st.builds("({}^{{{}}}){}".format, small, st.integers(5, 12), st.integers(1, 4).map("!".__mul__)),
    st.builds(r"\binom{{10^{}}}{{5 \cdot 10^{}}}".format, st.integers(3, 12), st.integers(3, 11)),
    st.builds(r"\{}_{{k=1}}^{{10^{}}} {}".format, st.sampled_from(["sum", "prod"]), st.integers(2, 12),
              st.sampled_from([r"\sqrt k", "k!", "k^k", r"\frac{1}{k}"])),
    st.builds(r"\int_0^{{{}}} \int_0^1 {} dx dy".format, numbers, st.sampled_from(["e^{xy}", "x^{x^y}", r"\sin(x^y)"])),
    # no size gives this away, so it always takes its whole deadline; a tenth of a sixth of the towers is enough
    st.integers(0, 9).map(lambda n: r"\int_0^1 \int_0^1 \int_0^1 \int_0^1 e^{wxyz} dw dx dy dz" if n == 7 else f"{n}^{{{n}^{n}}}!"),
).map(str)  # hypothesis would give each part of a choice within a choice the weight of the whole

# what is no formula at all

OPENING, CLOSING = ["{", r"\frac{1}{", r"\sqrt{", "(", r"\left(", "[", "$", "^{", "-", r"\{"], ["}", ")", r"\right)", "]", "$", r"\}"]
braces = st.one_of(
    st.builds(lambda a, n, b, m: a * n + "1" + b * m, st.sampled_from(OPENING), st.integers(1, 900),
              st.sampled_from(CLOSING), st.integers(0, 900)),
    st.text(alphabet="{}()[]$\\^_&%#~", max_size=30)).map(str)
macros = st.builds("{}{}".format, st.sampled_from([
    r"\def\x{\x\x}\x", r"\newcommand{\y}[1]{#1#1#1}\y{\y{\y{9}}}", r"\let\frac\sqrt", r"\input{/etc/passwd}", r"\catcode`\{=12",
    r"\write18{touch " + CANARY + "}", r"\immediate\write18{touch " + CANARY + "}", r"\loop\iftrue\repeat", r"\csname frac\endcsname",
    r"\url{http://localhost}"]), atoms)
code = st.sampled_from([
    f"__import__('os').system('touch {CANARY}')", f"open('{CANARY}','w').write('x')", f"exec(\"open('{CANARY}','w')\")", "exit()",
    f"eval(compile('open(\"{CANARY}\", \"w\")', '', 'exec'))", "().__class__", "lambda: 0", "x.__class__.__base__.__subclasses__()",
    "[i for i in range(10**9)]", "np.arcsin(10/13)", "sympify('1')", "S('x')", "sqrt(2)*pi", "factorial(10**9)", "9**9**9**9", "import os",
    "print(1)", "%timeit 1", "!touch " + CANARY, f"f\"{{open('{CANARY}', 'w')}}\"", f"Symbol('x').func(open('{CANARY}','w'))",
    f"\\text{{__import__('os').system('touch {CANARY}')}}",
    f"sqrt(open('{CANARY}','w'))", f"max(__import__('os').system('touch {CANARY}'), 1)"])
words = st.one_of(st.sampled_from([
    "Yes", "no", r"\text{Evelyn}", "(C)", r"\textbf{(D)}\ 7", "Monday", "no solution", r"\emptyset", "3 apples and 5 pears", "x is 5",
    "5 cm", r"12\text{ dollars}", "10:30 pm", "A, B and C", "12 1/2", "#### 42", "<think>7</think>"]), st.text(max_size=40)).map(str)
lookalikes = st.text(alphabet="٣４５Ⅷ½²₂−–∞π√×÷·≤≥≠∪∈{}（），．％ﬁ\u200b\u202e\u00a0\x00\ud800\udfffAΑА0OО1lI5", min_size=1, max_size=25)
PIECES = ["9", "x", "x+", r"\sqrt", "1,", "{}", "(1, 2), ", "a ", "\\", "-", "0.", r"\frac12 "]
long = st.builds(lambda piece, n: piece * n, st.sampled_from(PIECES), st.integers(100, 3000))
nulls = st.builds(lambda text, i: text[:i] + "\x00" + text[i:], formula, st.integers(0, 20))

answers = st.one_of(formula, formula, sensible, numbers, towers, braces, macros, code, words, lookalikes, long, nulls).map(str)
wrappers = st.sampled_from([r"\boxed{%s}"] * 12 + [
    r"\fbox{%s}", r"\boxed{%s} or \boxed{%s}", r"\boxed{\boxed{%s}}", r"\boxed{%s", "%s", r"$\boxed{%s}$", r"\boxed{7} no, \boxed{%s}"])
# some pairs are near each other: there the comparison gets furthest
near = st.one_of(answers.map(lambda a: (a, a + " ")), st.builds(lambda a, b: (a, f"{a}+{b}"), formula, atoms),
                 formula.map(lambda a: (a, f"({a})")),
                 st.builds(lambda a, b: (f"{a}+{b}", f"{b}+{a}"), sensible, sensible), sensible.map(lambda a: (f"x={a}", a))).map(tuple)
pairs = st.one_of(st.tuples(formula, answers), st.tuples(answers, formula), st.tuples(answers, answers), st.tuples(sensible, sensible),
                  st.tuples(sensible, sensible), st.tuples(formula, towers), near, near)
cases = st.builds(lambda pair, wrapper: (pair[0], wrapper.replace("%s", pair[1])), pairs, wrappers)

HEALTHY = [("x^2-1", "(x-1)(x+1)", "correct"), (r"\sqrt{8}", r"2\sqrt{2}", "correct"), (r"\sqrt{7}", r"2\sqrt{2}", "wrong"),
           ("x+1", "x+2", "wrong"), (r"\frac{1}{2}", "0.5", "correct"), ("12", "13", "wrong")]


def made(n):
    "As many pairs as asked for."
    found = []

    @given(cases)
    @settings(max_examples=n, deadline=None, database=None, derandomize=n <= 2000, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    def collect(case): found.append(case)

    collect()
    # hypothesis likes to draw the same text twice, so every other response goes to another's gold answer
    return [(gold if i % 2 else found[i - 50][0], response) for i, (gold, response) in enumerate(found)]


def timed(function, longest):
    "The function, keeping the longest time that a call took and what it was called with."
    def call(*args):
        start = time.monotonic()
        try: return function(*args)
        finally: longest[:] = max(longest, [time.monotonic() - start, args], key=lambda pair: pair[0])
    return call


def test_every_pair_gets_a_verdict_in_time_and_none_harms_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the workers are there, too
    asked, seen, longest, healthy = 0, Counter(), [0.0, ()], [(g, rf"\boxed{{{a}}}") for g, a, _ in HEALTHY]
    found = made(PAIRS)
    assert len(found) >= 0.9 * PAIRS
    with Verifier(timeout=TIMEOUT, workers=WORKERS) as verifier:
        verifier._pool.start()
        monkeypatch.setattr(verifier._pool, "ask", timed(verifier._pool.ask, longest))
        for i in range(0, len(found), BATCH):
            batch = found[i : i + BATCH]
            start = time.thread_time()
            at_once_all = [at_once("equivalent", g, extract(r)) for g, r in batch]
            assert time.thread_time() - start < BATCH / 10, f"without a worker, and so without a deadline: {batch}"
            lost, mixed = verifier.restarts, batch + healthy  # those are asked last, after whatever hangs
            verdicts = verifier.verify([g for g, _ in mixed], [r for _, r in mixed])
            reasons = [v.reason for v in verdicts]
            assert set(reasons) <= set(REASONS)
            assert reasons[len(batch):] == [r for _, _, r in HEALTHY], f"after {batch}"
            assert all(now in (None, r) for now, r in zip(at_once_all, reasons))
            late = {(g, v.extracted) for (g, _), v in zip(batch, verdicts) if v.reason == "timeout"}
            assert verifier.restarts - lost >= len(late)  # for each, a process was killed or died
            assert longest[0] < 2 * TIMEOUT + 30, f"no verdict in time: {longest}"  # whoever meets a dying worker is asked twice
            assert os.listdir(tmp_path) == [], f"something was executed or written: {batch}"
            seen.update(reasons[: len(batch)])
            asked += at_once_all.count(None)
        print(f"{seen.total()} pairs, {dict(seen)}, {asked} asked, {verifier.restarts} processes lost, longest {longest[0]:.1f} s")
    assert all(seen[r] >= PAIRS / 100 for r in ("correct", "wrong", "unparseable", "no_answer"))
