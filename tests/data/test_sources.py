"Sources: files, patterns, sets by name without a hub, and data in memory."
import gzip
import json
import re
import sys

import datasets
import pandas
import pyarrow
import pytest

from extra_nb.tasks import BENCHMARKS, HUB_SETS, arithmetic, load_jsonl, load_problems
from extra_nb.types import InputError, Problem


def write(path, *rows):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8").write(text)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_load_jsonl(tmp_path, name):
    path = write(tmp_path / name, {"id": "x", "problem": "1+1", "answer": 2}, "", {"problem": "É?", "answer": "4", "level": "Level 3"})
    loaded = load_jsonl(path)
    assert loaded.problems == [Problem("x", "1+1", "2", "a"), Problem("a/3", "É?", "4", "a", 3)] and not loaded.skipped
    assert load_problems(str(path)).problems == list(loaded.problems)


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


ROWS = [{"problem": "What is 2+2?", "answer": "4"}, {"problem": 'Which is "larger", 1,5 or\n2,5?', "answer": "2,5"}, {"problem": "7 minus 9?", "answer": "-2"}]
def as_csv(sign, encoding="utf-8"): return pandas.DataFrame(ROWS).to_csv(sep=sign, index=False).encode(encoding)


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


def test_a_colon_names_a_split(tmp_path):
    rows = {name: [{"problem": name, "answer": "1"}] for name in ("a", "b")}
    datasets.DatasetDict({n: datasets.Dataset.from_list(r) for n, r in rows.items()}).save_to_disk(tmp_path / "saved")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    for path in (tmp_path / "saved", tmp_path / "a.json"):
        assert [p.prompt for p in load_problems(f"{path}:b").problems] == ["b"]
        with pytest.raises(InputError, match=re.escape(f"as {path}:a")): load_problems(path)
        with pytest.raises(InputError, match="split"): load_problems(f"{path}:c")
    assert [p.prompt for p in load_problems(f"{tmp_path}/saved:b,{tmp_path}/a.json:a").problems] == ["b", "a"]
