"Files: every kind, plain and packed, folders of them, and tables with faults."
import bz2
import gzip
import io
import json
import lzma
import re

import datasets
import pandas
import pyarrow
import pytest

from extra_nb.data.files import rows_in
from extra_nb.tasks import load_jsonl, load_problems
from extra_nb.types import InputError


def write(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8").write(text)
    return path


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
                                      "Numbers are:\n3,4\n5,6", "Sum of 1, 2\n and 3", "By 1,2\nand 3, we get what?", "1,2,3\n4,5,6\n7,8,9", 'He said "hi",\nand then?', "Let (x,y)=(1,2),\nwith x>0", "\n \n"])
@pytest.mark.parametrize("answer", ["7", "A", "x=1,y=2", "It is so.\nAnd 2,3\nmake 5"])
def test_questions_of_several_lines_are_no_swallowed_rows(tmp_path, question, answer):
    rows = [{"problem": question, "answer": answer}, {"problem": "2+2?", "answer": "4"}]
    for row in (rows, [{"id": i, **r} for i, r in enumerate(rows)], [{"answer": r["answer"], "problem": r["problem"]} for r in rows]):
        pandas.DataFrame(row).to_csv(tmp_path / "a.csv", index=False)
        assert [row["problem"] for _, row in rows_in(tmp_path / "a.csv")] == [question, "2+2?"]


def test_fields_with_line_breaks_and_quotes_are_read_and_short_rows_counted(tmp_path):
    (tmp_path / "a.csv").write_text('question,answer\n"Tom, Ann\nand Bob, who?\n""Me"", he says","1\n"\n"a"" b",2\n5" of rain,3\nshort\n"1,2,3\n4,5,6\n7,8,9",4\n')
    loaded = load_problems(tmp_path / "a.csv")
    assert [p.prompt for p in loaded.problems] == ['Tom, Ann\nand Bob, who?\n"Me", he says', 'a" b', '5" of rain', "1,2,3\n4,5,6\n7,8,9"]
    assert loaded.skipped == [(4, "row with too few fields")]


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
