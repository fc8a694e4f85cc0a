"""Runs, nestings and near misses of every pattern in the source: none may take long, since a pattern cannot be interrupted.

EXTRA_NB_PATTERNS is the number of texts for each repetition of each pattern; the default takes a minute or two, 200 the better part of an hour.
"""
import ast
import importlib
import os
import random
import re
import time
from pathlib import Path

import pytest

from extra_nb.verify.answers import FALLBACKS, extract, prose, spell
from extra_nb.verify.equality import AT_ONCE, MAX_CHARS, at_once
from extra_nb.verify.reading import Unreadable, readings

try: from re import _constants as codes, _parser as parser  # Python 3.11 and later
except ImportError: import sre_constants as codes; import sre_parse as parser

TEXTS = int(os.environ.get("EXTRA_NB_PATTERNS", "2"))
SECONDS = 0.1  # that a thousand characters may take
ROOT = Path(__file__).resolve().parents[2] / "extra_nb"
READERS = tuple(f"verify.{name}" for name in ("answers", "tokens", "words", "units", "bounds", "notation", "reading", "leaves", "renaming", "structures",
                                              "expressions", "formulas", "equality"))
DATA = tuple(f"data.{path.stem}" for path in sorted((ROOT / "data").glob("[a-z]*.py")))
MODULES = (*READERS, "verify.asked", "verifier", "verify.worker", "bench.mix", "tasks", *DATA)
PLAIN = "a1 {}()[],;=+-\\^_.|:$!\n\tA~%"  # what stands for a class
SAID = {codes.CATEGORY_SPACE: " ", codes.CATEGORY_DIGIT: "7", codes.CATEGORY_WORD: "a", codes.CATEGORY_NOT_SPACE: "a",
        codes.CATEGORY_NOT_DIGIT: "a", codes.CATEGORY_NOT_WORD: " "}


def patterns_of(module):
    "Every pattern that a module compiles when it is imported, or that is written out in one of its calls of `re`."
    found = {}

    def collect(x):
        if isinstance(x, re.Pattern) and isinstance(x.pattern, str): found[x.pattern, x.flags] = x
        elif isinstance(x, (list, tuple)): [collect(y) for y in x]
        elif isinstance(x, dict): [collect(y) for y in x.values()]

    collect({k: v for k, v in vars(module).items() if not k.startswith("__")})
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "re" and node.args:
            try: text = eval(compile(ast.Expression(node.args[0]), "pattern", "eval"), vars(module))  # f-strings of the module's own constants
            except Exception: continue
            if isinstance(text, str): collect(re.compile(text, re.DOTALL))
    return list(found.values())


def sample(nodes, rng):
    "A text that these parts of a pattern match, or nearly match."
    out = ""
    for op, arg in nodes:
        if op is codes.LITERAL: out += chr(arg)
        elif op is codes.NOT_LITERAL: out += rng.choice([c for c in PLAIN if c != chr(arg)])
        elif op is codes.ANY: out += rng.choice(PLAIN)
        elif op is codes.IN: out += one_of(arg, rng)
        elif op is codes.BRANCH: out += sample(rng.choice(arg[1]), rng)
        elif op is codes.SUBPATTERN: out += sample(arg[-1], rng)
        elif op in (codes.MAX_REPEAT, codes.MIN_REPEAT): out += "".join(sample(arg[2], rng) for _ in range(rng.choice([arg[0], max(arg[0], min(arg[1], 2))])))
        elif op in (codes.ASSERT,) and arg[0] == 1: out += rng.choice(["", sample(arg[1], rng)])
    return out


def one_of(members, rng):
    texts, negated = [], False
    for op, arg in members:
        if op is codes.NEGATE: negated = True
        elif op is codes.LITERAL: texts.append(chr(arg))
        elif op is codes.RANGE: texts.append(chr(rng.choice(arg)))
        elif op is codes.CATEGORY: texts.append(SAID.get(arg, "a"))
    return rng.choice([c for c in PLAIN if c not in texts] or ["§"]) if negated else rng.choice(texts)


def repeats(nodes, before=()):
    "Every repetition in a pattern, with what stands before it."
    done = list(before)
    for op, arg in nodes:
        if op in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            if arg[1] > 5: yield done[:], arg[2]
            yield from repeats(arg[2], done)
        elif op is codes.SUBPATTERN: yield from repeats(arg[-1], done)
        elif op is codes.BRANCH:
            for branch in arg[1]: yield from repeats(branch, done)
        elif op in (codes.ASSERT, codes.ASSERT_NOT): yield from repeats(arg[1], done)
        done.append((op, arg))


ENDS = ["", "!", "\x01", "}", "x", "\\", "5"]


def hostile(pattern, rng, texts=TEXTS):
    "Makers of long texts: what stands before a repetition, the repeated piece n times, and an end that does not fit."
    for before, body in repeats(parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)):
        for _ in range(texts):
            start, pieces, end = sample(before, rng), [sample(body, rng) for _ in range(rng.choice([1, 1, 2]))], rng.choice(ENDS)
            if rng.random() < 0.3: pieces.append(start)
            if piece := "".join(pieces): yield start, piece, end


def slowest(function, start, piece, end, longest, seconds=SECONDS, step=1.3):
    "The first text, growing to `longest` characters, that takes more than its time on a processor; None if there is none."
    n = 8
    while True:
        text = (start + piece * n + end)[:longest]
        began = time.thread_time()  # which stands still while the machine does something else
        function(text)
        took = time.thread_time() - began
        if took > seconds * max(1, len(text) / 1000):
            again = time.thread_time()
            function(text)  # once more: not because a cache was cold
            if time.thread_time() - again > seconds * max(1, len(text) / 1000): return f"{took:.2f} s for {len(text)} characters: {start!r} + {piece!r} * {n} + {end!r}"
        if len(text) >= longest: return None
        n = int(n * step) + 1


@pytest.mark.parametrize("name", MODULES)
def test_no_pattern_is_slow_on_what_it_nearly_matches(name):
    rng, slow = random.Random(f"patterns {name}"), []
    for pattern in patterns_of(importlib.import_module(f"extra_nb.{name}")):
        for made in hostile(pattern, rng):
            if found := slowest(lambda text: [None for _ in pattern.finditer(text)], *made, MAX_CHARS): slow.append((pattern.pattern[:100], found))
    assert slow == []


def parts(text):
    "All that is read in the calling process: a response, and the answer in it."
    extract(text, tuple(FALLBACKS))
    extract(f"{text} \\boxed{{{text}}} {text}")
    prose(text)


def read_at_once(text):
    for kind in ("equivalent", "check"): at_once(kind, "5", text), at_once(kind, text, "5")
    at_once("equivalent", "x^2+1", text, f"What is ${text}$ or {text}?")


def read_in_a_worker(text):
    spell(text)
    try: readings(text)
    except (Unreadable, RecursionError): pass


@pytest.mark.parametrize("function, longest, share", [(parts, 20_000, 4), (read_at_once, AT_ONCE + 1, 1), (read_in_a_worker, MAX_CHARS, 4)])
def test_nothing_that_is_read_is_slow(function, longest, share):
    rng, slow = random.Random(f"readers {longest}"), []
    for name in READERS:
        for pattern in patterns_of(importlib.import_module(f"extra_nb.{name}")):
            for made in hostile(pattern, rng, max(1, TEXTS // 3)):
                if rng.random() < 1 / share and (found := slowest(function, *made, longest, step=1.7)): slow.append((pattern.pattern[:80], found))
    assert slow == []


@pytest.mark.parametrize("piece", [", ", "( ", "a", "~", " ", "{", "}", "\\", "$", "\\[", "\\(", "1,", "1 ", "\\boxed", "\\boxed{", "\\boxed ", "####", "A: ", "answer is ", ".",
                                   ". ", "\n", "\n ", "\\frac", "^", "_", "!", "\\text{", "\\text{a}", "a ", "ab ", "\\choose ", "{a\\over ", "=", "<", "1=", "x<", "(mod ",
                                   "\\left", "\\begin{cases}", "&", "\\\\", "|", ":", "1:", "if ", "otherwise ", "1 if ", "and ", " or ", "½", "′", "1'", "000", "\\in ", "-",
                                   "\\sin", "\\cup", "[1,", "]1,", "million ", "\\pm ", "\\dot1", "x_1 = \\boxed{3}\n", "\\over", "1/", "\\sqrt", "(C)"])
def test_runs_of_one_piece(piece):
    around = [("", ""), ("5 ", "!"), ("{", "}"), ("x = (", ", k"), ("\\text{", "}")]
    for start, end in around if TEXTS > 2 else random.Random(piece).sample(around, 2):
        assert slowest(parts, start, piece, end, 20_000, step=3) is None
        assert slowest(read_at_once, start, piece, end, AT_ONCE + 1, step=1.7) is None
        assert slowest(read_in_a_worker, start, piece, end, MAX_CHARS, step=1.7) is None
