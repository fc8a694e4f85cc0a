"Tasks: generated sums, files with every kind of fault, hub sets without a hub, splits and the resumable stream."
import bz2
import gzip
import io
import json
import lzma
import math
import re
import sys
import time
from collections import Counter

import datasets
import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extra_nb.data.files import rows_in
from extra_nb.tasks import (
    BENCHMARKS,
    HUB_SETS,
    PICK,
    ProblemStream,
    arithmetic,
    from_rows,
    load_jsonl,
    load_problems,
    overlap,
    split_heldout,
    worked_solution,
)
from extra_nb.types import InputError, Problem, Turn


def write(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8").write(text)
    return path


# generated sums

@pytest.mark.parametrize("operations", ["+", "-", "+-"])
@pytest.mark.parametrize("levels", [(2, 2), (2, 6), (5, 30)])
def test_arithmetic_is_right_unique_and_repeatable(levels, operations):
    problems = arithmetic(80, levels, seed=3, operations=operations)
    assert problems == arithmetic(80, levels, seed=3, operations=operations)
    assert len({p.id for p in problems}) == len({p.prompt for p in problems}) == 80
    for p in problems:
        assert re.fullmatch(rf"[1-9]([{re.escape(operations)}][1-9])*", p.prompt)
        assert p.answer == str(eval(p.prompt)) and p.id == f"arithmetic/{p.level}/{p.prompt}"
        assert len(re.findall(r"\d", p.prompt)) == p.level and levels[0] <= p.level <= levels[1]
        *steps, box = worked_solution(p).split("\n")
        assert box == f"\\boxed{{{p.answer}}}" and len(steps) == p.level - 1
        assert all(eval(s.split("=")[0]) == int(s.split("=")[1]) for s in steps)
        assert [s.split("=")[1] for s in steps[:-1]] == [re.match(r"-?\d+", s)[0] for s in steps[1:]]  # each step starts from the last


@given(n=st.integers(1, 400), low=st.integers(2, 4), width=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_arithmetic_levels_are_even_where_they_can_be(n, low, width):
    exist = {k: 9**k for k in range(low, low + width + 1)}
    if n > sum(exist.values()): return
    counts = Counter(p.level for p in arithmetic(n, (low, low + width)))
    assert sum(counts.values()) == n
    unfilled = [counts[k] for k in exist if counts[k] < exist[k]]
    assert not unfilled or max(counts.values()) - min(unfilled) <= 1


def test_arithmetic_gives_all_there_are_and_no_more():
    assert len(arithmetic(81 + 729, (2, 3))) == 810
    assert arithmetic(81, (2, 2), seed=0) != arithmetic(81, (2, 2), seed=1)
    with pytest.raises(InputError, match="811.*810"): arithmetic(811, (2, 3))


@pytest.mark.parametrize("kwargs", [dict(n=0), dict(n=5, levels=(1, 3)), dict(n=5, levels=(4, 3)), dict(n=5, levels=(2, 3, 4)),
                                    dict(n=5, operations="*"), dict(n=5, operations=""), dict(n=5, operations="++")])
def test_arithmetic_refuses(kwargs):
    with pytest.raises(InputError) as e: arithmetic(**kwargs)
    assert "\n" not in str(e.value)


def test_worked_solution_refuses_other_problems():
    with pytest.raises(InputError, match="gsm8k/1"): worked_solution(Problem("gsm8k/1", "How many?", "3"))


# files

@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_load_jsonl(tmp_path, name):
    path = write(tmp_path / name, {"id": "x", "problem": "1+1", "answer": 2}, "", {"problem": "É?", "answer": "4", "level": "Level 3"})
    loaded = load_jsonl(path)
    assert loaded.problems == [Problem("x", "1+1", "2", "a"), Problem("a/3", "É?", "4", "a", 3)] and not loaded.skipped
    assert load_problems(str(path)).problems == [p for p in loaded.problems]


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


@pytest.mark.parametrize("content, expected", [
    ('{"problem": "a", "answer": "1"}\n{"problem": "b", "ans', "line 2: not a JSON object"), ("[1, 2]\n", "line 1: not a JSON object"),
    ('"text"\n', "line 1: not a JSON object"), ("", "empty"), ("\n\n", "empty"), ('{"a": 1}\n', "no question field among a"),
    ('{"problem": "a"}\n', "no answer field"), ('{"problem": "a", "answer": ""}\n{"problem": "b", "answer": null}\n', "2 empty answer"),
    ('{"problem": "a", "answer": "1"}\n{"problem": "a", "answer": "2"}\n', "2 conflicting answers")])
def test_faulty_files_are_refused_in_one_line(tmp_path, content, expected):
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(InputError) as e: load_jsonl(path)
    assert expected in str(e.value) and str(path) in str(e.value) and "\n" not in str(e.value)


def test_unreadable_files_are_refused(tmp_path):
    whole = gzip.compress(b'{"problem": "a", "answer": "1"}\n' * 20_000)
    files = {"cut.jsonl.gz": whole[: len(whole) // 2], "plain.jsonl.gz": b'{"problem": "a", "answer": "1"}\n',
             "latin.jsonl": b'{"problem": "\xe9"}\n'}
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 0xFF
    for name, content in {**files, "broken.jsonl.gz": bytes(broken)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"): load_jsonl(tmp_path / name)
    (tmp_path / "dir.jsonl").mkdir()
    with pytest.raises(InputError, match="cannot be read"): load_jsonl(tmp_path / "dir.jsonl")
    with pytest.raises(InputError, match="no such file"): load_problems(str(tmp_path / "none.jsonl"))


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


# files of every kind

ROWS = [{"problem": "What is 2+2?", "answer": "4"}, {"problem": 'Which is "larger", 1,5 or\n2,5?', "answer": "2,5"}, {"problem": "7 minus 9?", "answer": "-2"}]
PACK = {"": lambda b: b, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": lambda b: pyarrow.compress(b, codec="zstd", asbytes=True)}


def as_csv(sign, encoding="utf-8"): return pandas.DataFrame(ROWS).to_csv(sep=sign, index=False).encode(encoding)


def as_arrow(write):
    sink = io.BytesIO()
    write(pandas.DataFrame(ROWS), sink)
    return sink.getvalue()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
CONTENTS = {"a.jsonl": LINES, "a.ndjson": LINES, "a.JSONL": LINES, "lines.json": LINES, "array.jsonl": json.dumps(ROWS, indent=1).encode(), "array.json": json.dumps(ROWS).encode(),
            "data.json": json.dumps({"version": "1", "data": ROWS}).encode(), "columns.json": pandas.DataFrame(ROWS).to_json().encode(),
            "index.json": pandas.DataFrame(ROWS).to_json(orient="index").encode(), "split.json": pandas.DataFrame(ROWS).to_json(orient="split").encode(),
            "splits.json": json.dumps({"test": ROWS[:1], "train": ROWS}).encode(), "viewer.json": json.dumps({"rows": [{"row_idx": i, "row": r} for i, r in enumerate(ROWS)]}).encode(),
            "a.csv": as_csv(","), "semicolon.csv": as_csv(";"), "a.tsv": as_csv("\t"), "sheet.csv": as_csv(",", "utf-16"), "mark.csv": as_csv(",", "utf-8-sig"),
            "a.parquet": as_arrow(lambda d, f: d.to_parquet(f)), "a.pq": as_arrow(lambda d, f: d.to_parquet(f, compression="zstd")), "a.feather": as_arrow(lambda d, f: d.to_feather(f))}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("name", CONTENTS)
def test_files_of_every_kind_are_read_plain_and_packed(tmp_path, name, packed):
    path = tmp_path / (name + packed)
    path.write_bytes(PACK[packed](CONTENTS[name]))
    loaded = load_problems(str(path))
    assert [(p.prompt, p.answer) for p in loaded.problems] == [tuple(r.values()) for r in ROWS] and not loaded.skipped
    assert [p.id for p in loaded.problems] == [f"{name.split('.')[0]}/{i}" for i in (1, 2, 3)]


@pytest.mark.parametrize("name, content", [
    ("x.txt", b"1+1=2"), ("noend", LINES), ("x.xlsx", b"PK"), ("bad.json", b'[{"problem": 1,'), ("text.json", b'"x"'), ("number.json", b"5"), ("empty.json", b""), ("list.json", b"[1, 2]"),
    ("bad.parquet", b"PAR1 and so on"), ("empty.parquet", b""), ("bad.arrow", b"\x00" * 50), ("plain.jsonl.zst", LINES), ("plain.csv.gz", as_csv(",")), ("cut.jsonl.xz", lzma.compress(LINES)[:60]),
    ("wide.csv", b"problem,answer\nWhich, 1 or 2?,2\n"), ("latin.csv", "problem,answer\né,1\n".encode("latin-1")), ("twice.csv", b"problem,problem,answer\na,b,1\n"), ("bytes.jsonl", bytes(range(256))),
    ("head.csv", b"problem,answer\n"), ("empty.csv", b""), ("none.json", b"[]"), ("splits.json", json.dumps({"dev": ROWS, "test": ROWS}).encode()), ("columns.csv", b"a,b\n1,2\n")])
def test_of_a_file_that_is_there_it_is_never_said_that_it_is_not(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as e: load_problems(str(tmp_path / name))
    assert str(tmp_path / name) in str(e.value) and "\n" not in str(e.value) and not re.search("no such|find any|unknown problem set", str(e.value))
    assert any(word in str(e.value) for word in ("jsonl", "empty", "expected one like", "quoted", "two columns", "split", "looked for"))


def test_a_number_keeps_its_digits_and_a_table_its_texts(tmp_path):
    (tmp_path / "a.json").write_text('[{"problem": "a", "answer": 1000000000000000000000000000001}, {"problem": "b", "answer": 0.10}]')
    (tmp_path / "a.csv").write_text("problem,answer\na,007\nb,1.50\nc,None of us\nd,NA\n")
    assert [p.answer for p in load_problems(str(tmp_path / "a.json")).problems] == ["1000000000000000000000000000001", "0.1"]
    assert [p.answer for p in load_problems(str(tmp_path / "a.csv")).problems] == ["007", "1.50", "None of us", "NA"]


def test_folders_of_files_and_of_save_to_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = datasets.Dataset.from_list(ROWS)
    datasets.disable_progress_bars()
    rows.save_to_disk("one"), datasets.DatasetDict(train=rows, test=rows.select([0])).save_to_disk("two"), datasets.DatasetDict(dev=rows, test=rows).save_to_disk("three")
    (tmp_path / "files" / "data").mkdir(parents=True)
    rows.to_parquet("files/data/train-00000-of-00002.parquet"), rows.select([0]).to_json("files/data/test.jsonl")
    (tmp_path / "files" / "data" / "train-00001-of-00002.parquet").write_bytes((tmp_path / "files" / "data" / "train-00000-of-00002.parquet").read_bytes())
    (tmp_path / "files" / "README.md").write_text("of no concern")
    for name in ("one", "./two", "files", str(tmp_path / "two")):
        loaded = load_problems(name)
        assert [p.answer for p in loaded.problems] == [r["answer"] for r in ROWS] and loaded.problems[0].id == f"{name}/1"
    assert load_problems("files").notes == {"other files in files, which belong to other splits and are not read": 1} and len(load_problems("files").skipped) == 3
    assert len(load_problems("two", split="test").problems) == len(load_problems("two/test").problems) == len(load_problems("files", split="test").problems) == 1
    for call, words in ((lambda: load_problems("three"), "dev, test"), (lambda: load_problems("two", split="dev"), "known: test, train"),
                        (lambda: load_problems("files", split="validation"), "validation"), (lambda: load_problems(str(tmp_path / "files" / "none")), "no such file or folder")):
        with pytest.raises(InputError, match=words): call()
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="no data file in this folder"): load_problems("bare")


def test_several_files_patterns_and_the_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path), monkeypatch.setenv("HOME", str(tmp_path)), monkeypatch.setenv("DATA", str(tmp_path))
    write(tmp_path / "one.jsonl", *ROWS[:2])
    write(tmp_path / "two.jsonl", ROWS[2], {**ROWS[0], "answer": "4 "}, {"problem": "", "answer": "1"})
    (tmp_path / "odd,name[1].csv").write_bytes(as_csv(","))
    for name in ("one.jsonl,two.jsonl", "one.jsonl, two.jsonl", ["one.jsonl", "two.jsonl"], ("one.jsonl", tmp_path / "two.jsonl"), "*.jsonl", "[ot]*.jsonl", "~/*.jsonl", "$DATA/one.jsonl,${DATA}/two.jsonl"):
        loaded = load_problems(name)
        assert [p.id for p in loaded.problems] == ["one/1", "one/2", "two/1"]
        assert [reason for _, reason in loaded.skipped] == ["repeated question", "empty question"] and str(loaded.skipped[0][0]).endswith("two.jsonl:2")
    assert len(load_problems("odd,name[1].csv").problems) == len(load_problems("~/one.jsonl").problems) + 1 == 3
    for name in ("one.jsonl,none.jsonl", "*.none", "~/none.csv", "none.parquet", "./none", "$NONE/one.jsonl", ","):
        with pytest.raises(InputError, match="no such file or folder"): load_problems(name)
    for name in ("one.jsonl,arithmetic:2", ["arithmetic", "one.jsonl"]):
        with pytest.raises(InputError, match="cannot be mixed"): load_problems(name)


OBJECTS = {"list": lambda: ROWS, "tuple": lambda: tuple(ROWS), "generator": lambda: (r for r in ROWS), "columns": lambda: {k: [r[k] for r in ROWS] for k in ROWS[0]},
           "data frame": lambda: pandas.DataFrame(ROWS), "Dataset": lambda: datasets.Dataset.from_list(ROWS), "shuffled": lambda: datasets.Dataset.from_list(ROWS[::-1]).select([2, 1, 0]),
           "DatasetDict": lambda: datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS), test=datasets.Dataset.from_list(ROWS[:1])),
           "IterableDataset": lambda: datasets.Dataset.from_list(ROWS).to_iterable_dataset(), "table": lambda: pyarrow.Table.from_pylist(ROWS)}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_in_memory(name):
    loaded = load_problems(OBJECTS[name]())
    assert [(p.id, p.prompt, p.answer) for p in loaded.problems] == [(f"data/{i}", *r.values()) for i, r in enumerate(ROWS, 1)]
    assert len(load_problems(OBJECTS[name](), n=2).problems) == 2
    with pytest.raises(InputError, match="the data has 3"): load_problems(OBJECTS[name](), n=4)


def test_problems_are_taken_as_they_are_and_other_things_refused():
    problems = arithmetic(5)
    assert load_problems(problems).problems == load_problems(iter(problems)).problems == problems
    for wrong in (None, 5, [5], [ROWS[0], 5], [], {}, {1, 2}):
        with pytest.raises(InputError) as e: load_problems(wrong)
        assert "\n" not in str(e.value)


# columns

@pytest.mark.parametrize("rows, expected", [
    ([{"problem": None, "question": "q", "answer": "1"}] , ["q"]), ([{"problem": "", "question": "q", "answer": "1"}, {"problem": " ", "question": "r", "answer": "1"}], ["q", "r"]),
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


# conversations

def test_turns_before_the_question_are_kept_and_those_after_it_counted():
    chat = [{"role": "system", "content": "Be brief."}, {"from": "human", "value": "1+1?"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": [{"type": "text", "text": "Twice "}, {"type": "text", "text": "that?"}]}]
    loaded = load_problems([{"prompt": chat, "answer": "4"}, {"prompt": [*chat[3:], {"role": "assistant", "content": "4"}], "answer": "4"}, {"prompt": [{"role": "system", "content": ""}, {"role": "user", "content": "q"}], "answer": "1"},
                            {"prompt": [{"role": "assistant", "content": "x"}], "answer": "1"}, {"system": "Be kind.", "prompt": "r", "answer": "1"}])
    assert [p.prompt for p in loaded.problems] == ["Twice that?", "Twice that?", "q", "r"]
    assert [p.turns for p in loaded.problems] == [(Turn("system", "Be brief."), Turn("user", "1+1?"), Turn("assistant", "2")), (), (), (Turn("system", "Be kind."),)]
    for words in ("2 with a system turn", "1 with earlier turns", "1 with an assistant's turn after the question", "1 question without a user turn"): assert words in loaded.summary()


def test_the_same_last_turn_after_other_turns_is_another_question():
    def row(first, answer, system="s"): return {"prompt": [{"role": "system", "content": system}, {"role": "user", "content": first}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "And twice that?"}], "answer": answer}
    loaded = load_problems([row("1+1", "4"), row("2+2", "8"), row("1+1", "4", "another"), row("3+3", "12"), row("3+3", "13")])
    assert [p.answer for p in loaded.problems] == ["4", "8"] and Counter(r for _, r in loaded.skipped) == {"repeated question": 1, "conflicting answers": 2}
    assert len(overlap(loaded.problems, [loaded.problems[0]])) == 1
    assert ProblemStream(loaded.problems).fingerprint != ProblemStream([Problem(p.id, p.prompt, p.answer) for p in loaded.problems]).fingerprint


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


# choices

@pytest.mark.parametrize("rows, golds", [
    ([{"choices": ["a", "b", "c"], "answer": 1}, {"choices": ["4", "2", "0"], "answer": 2}], ["B", "C"]), ([{"choices": ["a", "b", "c"], "answer": 3}, {"choices": ["x", "y", "z"], "answer": 1}], ["C", "A"]),
    ([{"choices": ["3", "4", "5"], "answer": "4"}], ["B"]), ([{"choices": [3, 4, 5], "answer": 4}], ["B"]), ([{"options": ["A)21", "B)22"], "correct": "B"}], ["B"]), ([{"choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"}], ["B"]),
    ([{"choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}], ["B"]), ([{"A": "21", "B": "22", "C": "5", "answer": "C"}], ["C"]), ([{"options": {"A": "x", "B": "y"}, "answer": "y", "answer_idx": "B"}], ["B"]),
    ([{"options": '["x", "y"]', "answer": "(B)"}], ["B"]), ([{"options": [{"key": "A", "text": "x"}, {"key": "B", "text": "y"}], "answer": "B. y"}], ["B"]), ([{"option_a": "x", "option_b": "y", "answer": "b"}], ["B"]),
    ([{"choices": ["x", "y"], "solution": r"Clearly \boxed{\text{B}} or \boxed{B}"}], ["B"])])
def test_choices_stand_in_the_prompt_and_the_letter_is_judged(rows, golds):
    loaded = load_problems([{"question": f"q{i}", **row} for i, row in enumerate(rows)])
    assert [p.answer for p in loaded.problems] == golds and f"{len(rows)} with choices" in loaded.summary()
    for i, p in enumerate(loaded.problems): assert re.fullmatch(rf"q{i}\nA\. .+\nB\. [^$]+\n{re.escape(PICK)}", p.prompt)


def test_choices_that_are_there_already_are_not_repeated_and_strange_golds_counted():
    loaded = load_problems([{"question": "Which? (A) one km (B) two km", "options": ["one km", "two km"], "answer": "two km"}, {"question": "r", "options": ["x", "y"], "answer": "z"}, {"question": "s", "options": [], "answer": "z"}])
    assert [(p.prompt, p.answer) for p in loaded.problems] == [("Which? (A) one km (B) two km", "B"), ("s", "z")] and "1 answer that is none of the choices" in loaded.summary()


# how an answer is asked for

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
    from extra_nb.verifier import Verifier
    problems = load_problems([{"prompt": f"{i}*600? Output the final answer after \"####\".", "answer": f"work\n#### {i * 600:,}"} for i in (1, 2)] + [{"prompt": "2*2?", "answer": "4"}]).problems
    with Verifier(timeout=10, workers=1) as verifier:
        assert [v.reason for v in verifier.judge(problems, ["#### 600", "#### 1,300", "#### 4"])] == ["correct", "wrong", "no_answer"]
        with pytest.raises(InputError): verifier.judge(problems, ["#### 600"])


# sets by name

@pytest.mark.parametrize("name", ["arithmetic", "arithmetic:2", "arithmetic:2-5"])
def test_generated_by_name(name):
    assert len(load_problems(name).problems) == (81 if name == "arithmetic:2" else 1000)
    first, again, other = (load_problems(name, n=20, seed=seed).problems for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("name", ["arithmetic:", "arithmetic:a", "arithmetic:5-2", "arithmetic:1-3", "arithmetik", "math5000",
                                  "", "x.json"])
def test_unknown_names_are_refused(name):
    with pytest.raises(InputError) as e: load_problems(name)
    assert "\n" not in str(e.value)


def test_near_names_are_suggested():
    with pytest.raises(InputError, match="did you mean 'olympiadbench'"): load_problems("olympiad-bench")


def test_local_files_stand_in_for_the_hub(tmp_path):
    for folder in ("train", "eval"): (tmp_path / folder).mkdir()
    write(tmp_path / "eval" / "math500.jsonl", {"id": 3, "problem": "here", "answer": "1"})
    write(tmp_path / "train" / "dapo_math_17k.jsonl.gz", {"problem": "there", "answer": "2"})
    write(tmp_path / "train" / "gsm8k_train.jsonl", {"question": "easy", "answer": "so\n#### 3"})
    write(tmp_path / "gsm8k_test.jsonl", {"question": "exam", "answer": "#### 4"})
    write(tmp_path / "own.jsonl", {"prompt": "mine", "target": "5"})
    names = ("math500", "dapo-math-17k", "dapo_math_17k", "gsm8k", "own")
    found = {name: load_problems(name, data_dir=tmp_path).problems[0] for name in names}
    assert [p.answer for p in found.values()] == ["1", "2", "2", "3", "5"]
    assert found["math500"].id == "math500/3" and found["dapo_math_17k"].source == "dapo-math-17k"
    assert load_problems("gsm8k", data_dir=tmp_path, split="test").problems[0].answer == "4"
    with pytest.raises(InputError, match="not a folder"): load_problems("gsm8k", data_dir=tmp_path / "none")


def test_another_split_is_not_taken_for_the_usual_one(tmp_path, monkeypatch):
    import datasets
    write(tmp_path / "gsm8k.jsonl", {"question": "train", "answer": "1"})
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or [{"question": "test", "answer": "#### 2"}])
    assert load_problems("gsm8k", data_dir=tmp_path, split="train").problems[0].answer == "1" and not asked
    assert load_problems("gsm8k", data_dir=tmp_path, split="test").problems[0].answer == "2"
    assert asked == [(("openai/gsm8k", "main"), {"split": "test"})]


def test_n_draws_at_random_and_in_order(tmp_path):
    path = str(write(tmp_path / "f.jsonl", *({"problem": f"q{i}", "answer": i} for i in range(50))))
    drawn = [int(p.answer) for p in load_problems(path, n=10, seed=1).problems]
    assert drawn == sorted(drawn) and drawn != list(range(10)) and len(set(drawn)) == 10
    assert drawn != [int(p.answer) for p in load_problems(path, n=10, seed=2).problems]
    assert len(load_problems(path, n=50).problems) == 50
    for n in (0, 51):
        with pytest.raises(InputError, match=f"n={n}"): load_problems(path, n=n)
    with pytest.raises(InputError, match="no splits"): load_problems(path, split="test")


def test_hub_rows_as_they_are_laid_out_there(monkeypatch):
    import datasets
    rows = {  # one row each, in the layout of the hub repository
        "openai/gsm8k": {"question": "q", "answer": "2+2=<<2+2=4>>4\n#### 1,004"}, "hiyouga/math12k": {"problem": "q", "answer": "1004"},
        "open-r1/DAPO-Math-17k-Processed": {"prompt": "q", "solution": "1004", "source_prompt": [{"role": "user", "content": "Solve: q"}],
                                            "reward_model": {"ground_truth": "1004", "style": "rule"}},
        "HuggingFaceH4/MATH-500": {"problem": "q", "solution": "\\boxed{1004}", "answer": "1004", "level": 4, "unique_id": "test/a/1.json"},
        "math-ai/amc23": {"id": 0, "question": "q", "answer": "1004", "url": "u"},
        "math-ai/minervamath": {"question": "q", "answer": "1004"},
        "math-ai/olympiadbench": {"id": 1606, "question": "q", "solution": ["long"], "final_answer": ["1004"], "subfield": "Algebra"},
        "math-ai/aime24": {"id": 60, "problem": "q", "solution": "\\boxed{1004}", "url": "u"},
        "math-ai/aime25": {"problem": "q", "answer": "1004", "id": "0"},
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda path, subset, split: datasets.Dataset.from_list([rows[path]]))
    assert {hub.path for hub in HUB_SETS.values()} == set(rows) and set(BENCHMARKS) < set(HUB_SETS)
    for name in HUB_SETS:
        problem, = load_problems(name).problems
        assert (problem.prompt, problem.answer, problem.source) == ("q", "1004", name)
    assert load_problems("math500").problems[0].level == 4 and load_problems("math500").problems[0].id == "test/a/1.json"
    assert load_problems("aime24").problems[0].id == "aime24/60"


def test_any_datasets_folder_loads_by_its_path(tmp_path, monkeypatch):
    import datasets
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    write(tmp_path / "set" / "train.jsonl", {"instruction": "q", "gold": "7"}, {"instruction": "r", "gold": ""})
    loaded = load_problems(str(tmp_path / "set"))
    assert [p.answer for p in loaded.problems] == ["7"] and loaded.skipped == [(2, "empty answer")]
    with pytest.raises(InputError, match="cannot load") as e: load_problems(str(tmp_path / "set"), split="validation")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("error", [ConnectionError("no\nroute"), OSError("gone"), ValueError("Config is missing"), RuntimeError()])
def test_hub_out_of_reach_is_said_in_one_line(monkeypatch, error):
    import datasets

    def fail(*args, **kwargs): raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(InputError, match="math-ai/aime24.*data-dir") as e: load_problems("aime24")
    assert "\n" not in str(e.value) and e.value.__cause__ is error


FAKE_GYM = '''
class Words:
    def __init__(self, seed, size): self.seed, self.size = seed, size
    def __len__(self): return self.size
    def __getitem__(self, i):
        if not 0 <= i < self.size: raise IndexError
        return {"question": f"letters of {self.seed}:{i}", "answer": None, "metadata": {"key": f"{self.seed}-{i}-{self.size}"}}
    def score_answer(self, answer, entry):
        if answer == "boom": raise RuntimeError
        return 1.0 if answer == entry["metadata"]["key"] else 0.5
DATASETS = {"words": Words}
def create_dataset(name, seed, size): return DATASETS[name](seed, size)
'''


@pytest.fixture
def fake_gym(tmp_path, monkeypatch):
    "A stand-in with reasoning-gym's interface (factory.DATASETS, create_dataset, score_answer)."
    package = tmp_path / "path" / "reasoning_gym"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "factory.py").write_text(FAKE_GYM)
    monkeypatch.syspath_prepend(str(package.parent))
    for name in [m for m in sys.modules if m.split(".")[0] == "reasoning_gym"]: monkeypatch.delitem(sys.modules, name)
    yield
    for name in [m for m in sys.modules if m.split(".")[0] == "reasoning_gym"]: del sys.modules[name]


def test_reasoning_gym(fake_gym):
    problems = load_problems("reasoning-gym:words", n=4, seed=9).problems
    assert [p.id for p in problems] == [f"reasoning-gym/words/9/4/{i}" for i in range(4)]
    with pytest.raises(InputError, match="did you mean 'words'"): load_problems("reasoning-gym:word")


def test_reasoning_gym_scores_with_its_own_scorer(fake_gym):
    from extra_nb.verifier import Verifier, check_golds
    problems = load_problems("reasoning-gym:words", n=3, seed=9).problems + [Problem("p", "1+1", "2")]
    responses = [r"\boxed{9-0-3}", r"\boxed{9-0-3}", r"\boxed{boom}", r"\boxed{2}"]
    with Verifier(timeout=10) as verifier:
        assert [v.reason for v in verifier.judge(problems, responses)] == ["correct", "wrong", "unparseable", "correct"]
        assert check_golds(problems, verifier) == []


def test_reasoning_gym_absent_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(InputError, match=r"pip install 'extra_nb\[reasoning-gym\]'"): load_problems("reasoning-gym:words")


# real sets

def test_real_sets_load_and_account_for_every_row(shared):
    sizes = {"math500": 500, "amc23": 40, "minerva": 272, "olympiadbench": 674, "aime24": 30, "aime25": 30, "gsm8k": 7473,
             "math-12k": 12000, "dapo-math-17k": 17917}
    loaded = {name: load_problems(name, data_dir=shared / "data") for name in sizes}
    for name, size in sizes.items():
        assert len(loaded[name].problems) + len(loaded[name].skipped) == size, name
        assert len({p.id for p in loaded[name].problems}) == len(loaded[name].problems)
        assert all(p.prompt and p.answer and p.source == name for p in loaded[name].problems)
    reasons = {name: Counter(r for _, r in x.skipped) for name, x in loaded.items() if x.skipped}
    assert reasons == {"math-12k": {"repeated question": 2, "empty answer": 2},
                       "dapo-math-17k": {"repeated question": 717, "conflicting answers": 24}}
    kept = {p.id for p in loaded["dapo-math-17k"].problems}
    assert not kept & {"dapo/35", "dapo/179", "dapo/5785", "dapo/10267"}  # two golds for one question
    assert load_problems("aime24", data_dir=shared / "data" / "eval").problems == loaded["aime24"].problems
    assert len(load_problems("gsm8k", data_dir=shared / "data", split="test").problems) == 1319

    exam = [p for name in BENCHMARKS for p in loaded[name].problems]
    assert sorted(p.id for p in overlap(loaded["dapo-math-17k"].problems, exam)) == sorted(
        f"dapo/{i}" for i in (6216, 17762, 6170, 6090, 15860, 15900, 14720, 15868, 15876, 11279))


# splitting and streaming

@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=5), share=st.floats(0.01, 0.99), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_split_heldout(counts, share, seed):
    problems = [Problem(f"{level}/{i}", "q", "a", level=level or None) for level, c in enumerate(counts) for i in range(c)]
    n = max(1, min(len(problems) - 1, int(share * len(problems))))
    if len(problems) < 2: return
    train, heldout = split_heldout(problems, n, seed)
    assert (train, heldout) == split_heldout(problems, n, seed)
    assert len(heldout) == n and sorted(p.id for p in train + heldout) == sorted(p.id for p in problems)
    for level, c in enumerate(counts):
        assert abs(sum(p.level == (level or None) for p in heldout) - n * c / len(problems)) < 1


def test_split_heldout_depends_on_the_seed_and_refuses_nonsense():
    problems = arithmetic(50)
    assert split_heldout(problems, 10, 0) != split_heldout(problems, 10, 1)
    for n in (0, 50, 51):
        with pytest.raises(InputError): split_heldout(problems, n)


@given(size=st.integers(1, 12), before=st.lists(st.integers(1, 12), max_size=8),
       after=st.lists(st.integers(1, 12), max_size=8), seed=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_stream_resumes_exactly_and_deals_each_problem_once_per_epoch(size, before, after, seed):
    problems = [Problem(str(i), "q", "a") for i in range(size)]
    stream, resumed = ProblemStream(problems, seed), ProblemStream(problems, seed=77)
    dealt = [p for n in before for p in stream.next(min(n, size))]
    resumed.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    for n in after:
        expected = stream.next(min(n, size))
        assert resumed.next(min(n, size)) == expected
        dealt += expected
    for start in range(0, len(dealt) - size + 1, size): assert len({p.id for p in dealt[start : start + size]}) == size
    assert len(json.dumps(stream.state_dict())) < 200


def test_stream_orders_differ_by_epoch_and_seed():
    problems = arithmetic(81, (2, 2))
    stream = ProblemStream(problems, 1)
    first, second = stream.next(81), stream.next(81)
    assert first != second and first != problems and ProblemStream(problems, 2).next(81) != first == ProblemStream(problems, 1).next(81)


@pytest.mark.parametrize("change", ["answer", "order", "fewer"])
def test_stream_refuses_the_state_of_other_problems(change):
    problems = [Problem(str(i), "q", "a") for i in range(5)]
    other = {"answer": problems[:4] + [Problem("4", "q", "b")], "order": problems[::-1], "fewer": problems[:4]}[change]
    with pytest.raises(InputError, match="another set"): ProblemStream(other).load_state_dict(ProblemStream(problems).state_dict())


def test_stream_refuses_bad_input():
    problems = [Problem(str(i), "q", "a") for i in range(5)]
    with pytest.raises(InputError, match="got none"): ProblemStream([])
    with pytest.raises(InputError, match="'3'"): ProblemStream(problems + [problems[3]])
    for n in (0, 6):
        with pytest.raises(InputError): ProblemStream(problems).next(n)


def test_a_problem_comes_back_from_json_as_it_was():
    "As it does from a checkpoint: in the queue of a mechanism, or in its memory."
    from dataclasses import asdict

    problem = Problem("a", "and 2+2?", "4", "chat", 2, (Turn("system", "be brief"), Turn("assistant", "yes?")), ("box",), False)
    again = Problem(**json.loads(json.dumps(asdict(problem))))
    assert again == problem and hash(again) == hash(problem) and again.turns[0].role == "system"


# what is not used is said, and nothing is cut

def table(change, sign=","):
    "A table of 100 rows as text, whose list of lines `change` has changed."
    lines = [sign.join(("question", "answer")), *(f"What is {i}+1?{sign}{i + 1}" for i in range(100))]
    change(lines)
    return "\n".join(lines) + "\n"


def _opened(lines): lines[50] = '"' + lines[50]
def _closed_at_the_end_of_a_row(lines): lines[50], lines[80] = '"' + lines[50], lines[80] + '"'
def _closed_at_the_end_of_a_question(lines): lines[50], lines[80] = '"' + lines[50], re.sub(r"\?", '?"', lines[80])
def _closed_by_the_next_quote(lines): lines[50], lines[80] = '"' + lines[50], '"' + re.sub(r"\?", '?"', lines[80])
def _opened_before_the_answer(lines): lines[50] = re.sub(r"(\?.)", r'\1"', lines[50])
def _opened_in_the_last_row(lines): lines[100] = '"' + lines[100]


@pytest.mark.parametrize("sign, name", [(",", "a.csv"), ("\t", "a.tsv"), (";", "a.csv")])
@pytest.mark.parametrize("change", [_opened, _closed_at_the_end_of_a_row, _closed_at_the_end_of_a_question, _closed_by_the_next_quote, _opened_before_the_answer, _opened_in_the_last_row])
def test_a_quote_that_is_not_closed_is_an_error_with_its_line(tmp_path, change, sign, name):
    (tmp_path / name).write_text(table(change, sign))
    with pytest.raises(InputError, match=f"line {101 if change is _opened_in_the_last_row else 51}: a quote"): load_problems(tmp_path / name)


@pytest.mark.parametrize("text", [
    'problem,answer\n"2+2?,4\nA pipe of 6",6\n2+5?,7\n', 'problem,answer\n"2+2,4\nA pipe of 6",6\n', 'problem,answer\n"2+2?,4\n2+3?,5\nA pipe of 6",6\n', 'problem\tanswer\n"2+2?\t4\nA pipe of 6"\t6\n',
    'problem,answer\n"2+2?,4\nWhich is larger: 1, or 2?,2\n2+4?,6\nA pipe of 6",6\n', 'id,problem,answer\n1,"2+2,4\n2,2+3,5\n3,A pipe of 6",6\n', 'id,problem,answer\n1,"2+2?,4\n2,A pipe of 6",6\n',
    'problem,answer\n2+2?,"4\n2+3?,5"\n', 'problem,answer\n2+2?,"4\n2+3?,5\n2+4?,6"\n', 'problem,answer\n"Which one?,A\nOr 6",B\n', 'problem,answer\n"2+2?,4\n"a, b?",5\n'])
def test_rows_that_a_stray_quote_swallows_are_noticed(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match="line 2: a quote that is opened here .* run together") as e: load_problems(tmp_path / "a.csv")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("question", ["Given 1,2\nfind the sum", "Alice has 3 apples, 4 pears.\nHow many?", "Find x:\n1,2,4,x", "Solve:\nx+y=1\nx-y=2", "Which?\nA. 1, 2\nB. 3", "Run f(1,2)\nf = x,y",
                                      "Numbers are:\n3,4\n5,6", "Sum of 1, 2\n and 3", "By 1,2\nand 3, we get what?", "1,2,3\n4,5,6\n7,8,9", 'He said "hi",\nand then?', "Let (x,y)=(1,2),\nwith x>0"])
@pytest.mark.parametrize("answer", ["7", "A", "x=1,y=2", "It is so.\nAnd 2,3\nmake 5"])
def test_questions_of_several_lines_are_no_swallowed_rows(tmp_path, question, answer):
    rows = [{"problem": question, "answer": answer}, {"problem": "2+2?", "answer": "4"}]
    for row in (rows, [{"id": i, **r} for i, r in enumerate(rows)], [{"answer": r["answer"], "problem": r["problem"]} for r in rows]):
        pandas.DataFrame(row).to_csv(tmp_path / "a.csv", index=False)
        assert [row["problem"] for _, row in rows_in(tmp_path / "a.csv")] == [question, "2+2?"]


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


@pytest.mark.parametrize("value, expected", [(2**64, f"data/{2**64}"), (10**25, f"data/{10**25}"), (10**400, f"data/{10**400}"), (-5, "-5"), (str(10**25), f"data/{10**25}"), ("a" * 50, "a" * 50), (2.5, "2.5"), (True, "True")],
                         ids=lambda v: str(v)[:12])
def test_ids_are_kept_however_large(value, expected): assert load_problems([{"problem": "2+2?", "answer": "4", "id": value}]).problems[0].id == expected


def test_numbers_that_are_no_ids_may_be_large():
    loaded = load_problems([{"problem": "2^80?", "answer": 2**80, "weight": 1e300, "level": 10**30}])
    assert (loaded.problems[0].answer, loaded.problems[0].level) == (str(2**80), None)


@pytest.mark.parametrize("answer", ["." * 50_000 + "B", " " * 50_000 + "B", "(" * 50_000, ") " * 25_000 + "B", "B" + ".:" * 25_000, "B" + " " * 50_000 + "x"])
def test_choices_are_told_apart_in_time_however_long_an_answer_is(answer):
    start = time.process_time()
    load_problems([{"problem": "Which?", "choices": ["one", "two"], "answer": answer}, {"problem": "Or?", "choices": ["one", "two"], "answer": "(B)."}])
    assert time.process_time() - start < 1


def test_fields_with_line_breaks_and_quotes_are_read_and_short_rows_counted(tmp_path):
    (tmp_path / "a.csv").write_text('question,answer\n"Tom, Ann\nand Bob, who?\n""Me"", he says","1\n"\n"a"" b",2\n5" of rain,3\nshort\n"1,2,3\n4,5,6\n7,8,9",4\n')
    loaded = load_problems(tmp_path / "a.csv")
    assert [p.prompt for p in loaded.problems] == ['Tom, Ann\nand Bob, who?\n"Me", he says', 'a" b', '5" of rain', "1,2,3\n4,5,6\n7,8,9"]
    assert loaded.skipped == [(4, "row with too few fields")]


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


@pytest.mark.parametrize("level, expected", [(3.0, 3), ("3.0", 3), ("Level 3", 3), ("level 3.0", 3), (3, 3), (3.5, None), ("hard", None), (math.nan, None), (None, None)])
def test_levels_of_every_type(level, expected):
    assert load_problems([{"problem": "q", "answer": "1", "level": level}]).problems[0].level == expected


def test_splits_that_are_not_read_are_told(tmp_path):
    rows = [{"problem": "q", "answer": "1"}], [{"problem": "r", "answer": "2"}]
    (tmp_path / "a.json").write_text(json.dumps(dict(zip(("train", "test"), rows))))
    datasets.DatasetDict({n: datasets.Dataset.from_list(r) for n, r in zip(("train", "test"), rows)}).save_to_disk(tmp_path / "saved")
    for data in (tmp_path / "a.json", tmp_path / "saved", dict(zip(("train", "test"), rows))):
        assert "1 other splits in " in load_problems(data).summary() and "not read (test)" in load_problems(data).summary()
        assert load_problems(data, split="test").summary() == "1 problems"


def test_files_about_a_set_are_no_data(tmp_path):
    write(tmp_path / "train.jsonl", {"problem": "q", "answer": "1"})
    for name in ("dataset_infos.json", "dataset_info.json"): (tmp_path / name).write_text("{}")
    assert load_problems(tmp_path).summary() == "1 problems"


def test_a_colon_names_a_split(tmp_path):
    rows = {name: [{"problem": name, "answer": "1"}] for name in ("a", "b")}
    datasets.DatasetDict({n: datasets.Dataset.from_list(r) for n, r in rows.items()}).save_to_disk(tmp_path / "saved")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    for path in (tmp_path / "saved", tmp_path / "a.json"):
        assert [p.prompt for p in load_problems(f"{path}:b").problems] == ["b"]
        with pytest.raises(InputError, match=re.escape(f"as {path}:a")): load_problems(path)
        with pytest.raises(InputError, match="split"): load_problems(f"{path}:c")
    assert [p.prompt for p in load_problems(f"{tmp_path}/saved:b,{tmp_path}/a.json:a").problems] == ["b", "a"]
