"Input of every kind: always a run, or one clear line."
import gzip
import json
import math
import string
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extra_nb.cli import RunConfig, _from_file, build_policy, eval_main, preset, train_main, with_fractions
from extra_nb.commands.parameters import MECHANISMS, parameters
from extra_nb.policy import Policy, tiny_policy, tiny_tokenizer
from extra_nb.verify.asked import STEP_BY_STEP, final_answer
from extra_nb.tasks import load_jsonl, load_problems, overlap
from extra_nb.train import TrainConfig
from extra_nb.types import InputError, Problem, Turn

FIELDS = [f.name for f in fields(RunConfig)]
PLACES = [p.place for name in MECHANISMS for p in parameters(name).values()]
NUMBERS = [0, 1, -1, 2, 7, 10**6, 2**31, 2**63, 10**30, 10**400, -(10**30), 0.0, -0.0, 0.5, 1.5, 1e-300, 1e300, -1e300, math.nan, math.inf, -math.inf]
TEXTS = ["", " ", "none", "nan", "0", "-1", "tiny", "arithmetic:0", "arithmetic:2-999999999", "arithmetic:", "é", "\x00", "\ud800", "a" * 10_000, "{problem}", "../..",
         ",", "a,b", "1,", "1,,2", "1e9", "token", "std", "lora", "cuda", "cuda:99", "novelty", "novelty,novelty", "x.py:f*nan", "\n", "true"]
VALUES = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.booleans(), st.none(), st.integers(), st.floats(), st.text(max_size=5),
                   st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.integers(), max_size=1))
QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def one_line(error: InputError): assert "\n" not in str(error) and 0 < len(str(error)) < 3000, str(error)[:300]


# ---- configurations

@QUICK
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=3))
def test_any_values_make_a_configuration_or_one_line(tmp_path, values):
    (tmp_path / "c.json").write_text(json.dumps(values))
    try: config = RunConfig(**with_fractions({**preset("tiny"), **_from_file(str(tmp_path / "c.json"), FIELDS)}))  # what the command does
    except InputError as e: return one_line(e)
    for name, value in values.items():
        found = getattr(config, name)
        assert found == value, f"{name} was changed"
        if isinstance(found, float): assert math.isfinite(found)


@QUICK
@given(st.dictionaries(st.sampled_from(PLACES), VALUES, min_size=1, max_size=3))
def test_any_values_make_parameters_or_one_line(tmp_path, values):
    (tmp_path / "c.json").write_text(json.dumps(values))
    try: config = RunConfig(**with_fractions({**preset("tiny"), **_from_file(str(tmp_path / "c.json"), FIELDS)}))
    except InputError as e: return one_line(e)
    for place, value in values.items():
        mechanism, _, name = place.partition(".")
        found = config.parameters[mechanism][name]
        assert found == value, f"{place} was changed"
        if isinstance(found, float): assert math.isfinite(found)


@QUICK
@given(st.dictionaries(st.sampled_from([f.name for f in fields(TrainConfig)]), VALUES, min_size=1, max_size=2))
def test_so_do_the_trainers_settings_in_python(values):
    try: config = TrainConfig(**values)
    except InputError as e: return one_line(e)
    assert all(getattr(config, name) == value for name, value in values.items())


@QUICK
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass")),
                 st.dictionaries(st.text(max_size=8), VALUES, max_size=3).map(lambda d: json.dumps(d).encode())))
def test_any_file_is_a_configuration_or_one_line(tmp_path, content):
    (tmp_path / "c.json").write_bytes(content)
    try: RunConfig(**with_fractions({**preset("tiny"), **_from_file(str(tmp_path / "c.json"), FIELDS)}))
    except InputError as e: one_line(e)


@pytest.mark.parametrize("name", [n for n in FIELDS if isinstance(preset("tiny")[n], (int, float)) and not isinstance(preset("tiny")[n], bool)])
def test_no_number_may_be_nan_or_infinite_or_huge(name):
    for value in (math.nan, math.inf, -math.inf, 10**400):
        with pytest.raises(InputError, match=name) as e: RunConfig(**{**preset("tiny"), name: value})
        one_line(e.value)


RUN = ["--preset", "tiny", "--steps", "1", "--warm-start-steps", "0", "--heldout", "0", "--no-report", "--max-new-tokens", "4", "--problems-per-step", "2",
       "--group-size", "2"]
ODD = {
    "seed": [-5, 2**62], "group_size": [3], "temperature": [1e-3, 1e3], "lr": [1e6, 0.0], "micro_batch_tokens": [1], "max_rows": [1], "minibatch_problems": [1000],
    "clip_low": [5.0], "advantage_eps": [0.0], "max_prompt_tokens": [1], "problems_per_step": [7], "warmup_steps": [10**9], "max_minutes": [1e-9], "max_tokens": [1, 10**14],
    "train": ["arithmetic:2-999999999", "\x00", "reasoning-gym:x\x00", "\ud800", "a/b/c", "x.jsonl.gz", "arithmetic:٣"], "model": ["\x00", "", "a/b/c/d", "\ud800"],
    "instruction": ["", "{problem}", "\ud800{problem}", "{problem}" * 500], "system_prompt": ["\x00"], "embedder": ["\x00", "a/b"], "device": ["cuda:99", "mps"],
    "novelty": [3, {}, {"gamma": "x"}, {"\ud800": 1}], "regeneration": [None, {"tau": 1e-300}], "regen_start": [10**9], "parameters": [{"novelty": {"kind": "\x00"}}, {"x": {}}],
    "data_dir": ["\x00", "nowhere"], "warm_start_levels": ["x", "9-2"], "benchmarks": ["amc23"], "gamma": [1e14], "rewards": ["\x00.py:f", "x"], "verifier_workers": [10**9],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in ODD.items() for value in values], ids=ascii)
def test_a_run_with_an_odd_value_is_a_run_or_one_line(tmp_path, capsys, monkeypatch, name, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.json").write_text(json.dumps({name: value}))
    argv = list(RUN)
    if "--" + name.replace("_", "-") in argv: del argv[(i := argv.index("--" + name.replace("_", "-"))) : i + 2]
    if name == "warm_start_levels": argv[argv.index("--warm-start-steps") + 1] = "1"
    status, error = train_main([*argv, "--config", "c.json", "--out", "r"]), capsys.readouterr().err
    assert status in (0, 1, 2)
    assert error.count("\n") == (status != 0), error
    if status: assert error.startswith("extra-train: ")


# ---- data files

FRAGMENTS = st.one_of(st.text(max_size=6), st.sampled_from(["2+2", " 2 +  2", "4", "\\boxed{4}", "#### 4", "\ud800", "\x00", "x" * 2000, "1\r\n2", "七", "𝔸", "\u2028"]))
CONTENT = st.one_of(FRAGMENTS, st.none(), st.integers(), st.floats(), st.booleans(), st.lists(FRAGMENTS, max_size=2), st.just([{"role": "user", "content": "2+3"}]),
                    st.dictionaries(st.text(max_size=2), FRAGMENTS, max_size=1))
ROWS = st.lists(st.fixed_dictionaries({"problem": CONTENT, "answer": CONTENT}, optional={"id": CONTENT, "level": CONTENT}), max_size=6)


def written(path, rows, end="\n", start="", cut=None):
    "A file of rows as somebody may have made it; returns its path."
    data = (start + end.join(json.dumps(r) for r in rows) + end).encode("utf-8")
    if path.suffix == ".gz": data = gzip.compress(data)
    path.write_bytes(data[:cut])
    return path


@QUICK
@given(ROWS, st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"]), st.sampled_from(["", "\ufeff"]), st.sampled_from(["d.jsonl", "d.jsonl.gz"]),
       st.one_of(st.none(), st.integers(0, 200)))
def test_any_rows_make_problems_or_one_line(tmp_path, rows, end, start, name, cut):
    path = written(tmp_path / name, rows, end, start, cut)
    try: found = load_jsonl(path)
    except InputError as e:
        one_line(e)
        assert str(path) in str(e)
        return
    ids = [p.id for p in found.problems]
    assert ids and len(set(ids)) == len(ids)
    for p in found.problems: assert p.prompt.strip() and p.answer.strip() and (p.prompt + p.answer).encode()
    if cut is None: assert len(found.problems) + len(found.skipped) == len(rows)


@QUICK
@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b"{", b'{"problem": "1", "answer": "2"}', b"[" * 50_000, b'{"problem": ' + b"9" * 5000 + b"}", b"null"])),
                max_size=3))
def test_any_bytes_make_problems_or_one_line(tmp_path, parts):
    (tmp_path / "d.jsonl").write_bytes(b"\n".join(parts))
    try: load_jsonl(tmp_path / "d.jsonl")
    except InputError as e: one_line(e)


GOOD = [{"problem": f"{i}+{i}", "answer": str(2 * i)} for i in range(1, 5)]
FILES = {  # name -> (rows, keyword arguments of `written`, problems that are left or words of the message)
    "empty": ([], {}, "empty"), "one row": (GOOD[:1], {}, 1), "duplicate ids": ([{**r, "id": "same"} for r in GOOD], {}, 4),
    "ids that collide when renamed": ([{**r, "id": i} for r, i in zip(GOOD, ("a", "a#3", "a", "a#3"))], {}, 4),
    "wrong types": ([{"problem": ["5+5"], "answer": {"x": 2}}, {"problem": 5, "answer": 5}, {"problem": None, "answer": True}, *GOOD], {}, 5),
    "a prompt of 1 MB": ([{"problem": "1+" * 500_000 + "1", "answer": "500001"}, *GOOD], {}, 5),
    "an answer of 1 MB": ([{"problem": "5+1", "answer": "#### " + " " * 1_000_000 + "#"}, {"problem": "1+3", "answer": "\\boxed{" * 100_000}, *GOOD], {}, 6),
    "unicode": ([{"problem": "七 + 𝔸 = ？\u2028", "answer": "−7"}, *GOOD], {}, 5), "half a surrogate pair": ([{"problem": "\ud800", "answer": "1"}, *GOOD], {}, 4),
    "CRLF": (GOOD, {"end": "\r\n"}, 4), "a byte order mark": (GOOD, {"start": "\ufeff"}, 4), "gzip": (GOOD, {}, 4), "truncated gzip": (GOOD, {"cut": 40}, "cannot be read"),
    "truncated": (GOOD, {"cut": 70}, "line 3"), "conflicting answers": ([*GOOD, {"problem": "1 +  1".replace("  ", " "), "answer": "2"}, {"problem": "2+2", "answer": "5"}], {}, 4),
    "nothing but conflicts": ([GOOD[0], {**GOOD[0], "answer": "9"}], {}, "conflicting"), "a level of 5000 digits": ([{**GOOD[0], "level": "9" * 5000}], {}, 1),
}


@pytest.mark.parametrize("name", FILES)
def test_files_as_they_come(tmp_path, capsys, name):
    rows, how, expected = FILES[name]
    path = written(tmp_path / ("d.jsonl.gz" if "gzip" in name else "d.jsonl"), rows, **how)
    status = train_main([*RUN, "--problems-per-step", "1", "--train", str(path), "--train-problems", "0", "--out", str(tmp_path / "r")])
    said = capsys.readouterr()
    assert said.err.count("\n") == (status != 0), said.err
    if isinstance(expected, str): assert status == 2 and expected in said.err and str(path) in said.err, said.err
    else:
        assert status == 0, said.err
        assert len(load_jsonl(path).problems) == expected
    assert all(len(line) < 6000 for line in said.out.splitlines())  # no prompt of 1 MB in the log


@given(st.text(alphabet=string.digits + "#\n, -x", max_size=30))
def test_gold_answers_are_taken_from_the_last_line_only(text):
    "The rule as a pattern, which takes forever on some answers of 1 MB."
    import re

    match = re.search(r"####([^\n#]*[^\n#\s][^\n#]*)\s*\Z", text)
    assert final_answer(text) == (match[1].strip().replace(",", "") if match else text.strip())


NAMES = st.sampled_from(["problem", "question", "prompt", "messages", "conversations", "answer", "solution", "label", "choices", "options", "A", "B", "id", "level", "system", "image", "images", "reward_model",
                         "instruction", "input", "Answer", "answerKey"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.sampled_from([10**400, "", " ", "q", "2+2", "#### 4", "\\boxed{4}", "user", "A", '["4"]', "[{'role'", "<|im_start|>user", "<image>", "\ud800", b"\xff"]))
PARTS = st.sampled_from(["role", "content", "type", "text", "value", "from", "ground_truth", "label", "image", "bytes"])
NESTED = st.recursive(LEAVES, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(PARTS, v, max_size=3)), max_leaves=6)


@QUICK
@given(st.lists(st.dictionaries(NAMES, NESTED, max_size=5), min_size=1, max_size=4))
def test_any_objects_make_problems_or_one_line(rows):
    try: found = load_problems(rows)
    except InputError as e: return one_line(e)
    assert len(found.problems) + len(found.skipped) == len(rows) and "\n" not in found.summary()
    for p in found.problems: assert p.prompt.strip() and p.answer.strip() and (p.prompt + p.answer).encode() and hash(p) is not None


def test_a_nest_too_deep_is_a_row_that_cannot_be_used():
    deep = []
    for _ in range(5000): deep = [deep]
    loaded = load_problems([{"problem": deep, "answer": "1"}, {"problem": "q", "answer": deep}, *GOOD])
    assert len(loaded.problems) == 4 and "2 value that is nested too deeply" in loaded.summary()


# ---- prompts

KINDS = {"takes a system turn": "", "refuses it": "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}",
         "leaves it out": "{% set messages = messages if messages[0].role != 'system' else messages[1:] %}",
         "wants turns that alternate": "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"}
WRITES = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<model>"
TALK = Problem("t", "Twice that?", "4", turns=(Turn("system", "Be brief."), Turn("user", "1+1?"), Turn("assistant", "2")))
PLAIN = Problem("p", "1+1?", "2")


def chatting(kind, **kwargs):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = KINDS[kind] + WRITES
    return Policy(tiny_policy().model, tokenizer, template="chat", **kwargs)


@pytest.mark.parametrize("kind, expected", [("takes a system turn", "<system>Be brief.<user>1+1?<assistant>2<user>Twice that?<model>"), *((k, "<user>Be brief.\n\n1+1?<assistant>2<user>Twice that?<model>") for k in list(KINDS)[1:])])
def test_turns_of_a_problem_go_through_the_template(kind, expected):
    for own in (None, "", "Never seen."):
        policy = chatting(kind, system_prompt=own)
        assert policy.render(TALK) == expected
        assert any("no system role" in line for line in policy.remarks([TALK, PLAIN])) == (kind != "takes a system turn")
        assert any("takes the place" in line for line in policy.remarks([TALK])) == (own == "Never seen.")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_system_turn_is_sent_only_where_there_is_a_place_for_it(kind):
    assert chatting(kind, system_prompt="").render(PLAIN) == ("<system>" if kind == "takes a system turn" else "") + "<user>1+1?<model>"
    assert chatting(kind).render(PLAIN) == "<user>1+1?<model>" and not chatting(kind, system_prompt="").remarks([PLAIN])
    assert chatting(kind, system_prompt="Hm.").render(PLAIN) == ("<system>Hm.<user>1+1?<model>" if kind == "takes a system turn" else "<user>Hm.\n\n1+1?<model>")


def test_turns_that_do_not_alternate_are_joined_only_where_they_must():
    twice = Problem("u", "2+2?", "4", turns=(Turn("user", "Ready?"),))
    assert chatting("takes a system turn").render(twice) == "<user>Ready?<user>2+2?<model>"
    assert chatting("wants turns that alternate").render(twice) == "<user>Ready?\n\n2+2?<model>"
    with pytest.raises(InputError, match="refuses problem 'v'") as e: chatting("wants turns that alternate").render(Problem("v", "q", "a", turns=(Turn("assistant", "x"),)))
    one_line(e.value)


def test_without_a_template_turns_stand_one_below_the_other():
    policy = tiny_policy()
    assert policy.render(TALK) == "Be brief.\n\n1+1?\n\n2\n\nTwice that?\n" and policy.render(PLAIN) == "1+1?\n"
    assert tiny_policy(system_prompt="Hm.").render(PLAIN) == "Hm.\n\n1+1?\n" and tiny_policy(system_prompt="").render(PLAIN) == "1+1?\n"
    assert "joined by blank lines" in policy.remarks([TALK, PLAIN])[0] and not policy.remarks([PLAIN])


def test_an_instruction_of_the_rows_is_not_contradicted_by_ours():
    hashes = Problem("h", 'q? Output the answer after "####".', "1", asks=("hash",))
    ours, chosen, other = (chatting("takes a system turn", instruction=i) for i in (STEP_BY_STEP, "Q: {problem}", "{problem} Answer in \\boxed{}."))
    assert ours.render(hashes) == f"<user>{hashes.prompt}<model>" and "boxed" in ours.render(PLAIN) and not ours.remarks([hashes])
    assert chosen.render(hashes) == f"<user>Q: {hashes.prompt}<model>" and not chosen.remarks([hashes])
    assert "boxed" in other.render(hashes) and "the instruction says otherwise" in other.remarks([hashes])[0]


def test_a_prompt_with_a_mark_of_the_policys_own_template_is_final():
    policy = chatting("takes a system turn")
    policy.tokenizer.add_special_tokens({"additional_special_tokens": ["@@user@@"]})
    policy.tokenizer.chat_template = "{% for m in messages %}@@{{ m.role }}@@{{ m.content }}{% endfor %}{# @@user@@ #}"
    own = Problem("o", "@@user@@1+1?", "2")
    assert policy.render(own) == own.prompt and policy.render(PLAIN) == "@@user@@1+1?" and "1 of 2 prompts begin with a mark" in policy.remarks([own, PLAIN])[0]


def test_a_rendered_prompt_gets_nothing_around_it_and_no_second_start():
    rendered = Problem("r", "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n", "2", rendered=True)
    for policy in (tiny_policy(system_prompt="Hm.", instruction=STEP_BY_STEP), chatting("takes a system turn", system_prompt="Hm.")):
        assert policy.render(rendered) == rendered.prompt and "<|im_start|> is no token" in policy.remarks([rendered])[-1]
    from tokenizers.processors import TemplateProcessing
    policy = tiny_policy()
    policy.tokenizer.bos_token = "<unk>"
    policy.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", policy.tokenizer.unk_token_id)])
    starts = [policy.encode(Problem("s", text, "2", rendered=True)).count(policy.tokenizer.unk_token_id) for text in ("<unk>1+1", "1+1")]
    assert starts == [1, 1]


# ---- what the commands do with them

CHATS = [{"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{i}+{i}? Output the answer after \"####\"."}], "reward_model": {"ground_truth": str(2 * i)}, "image": "a.png" * (i == 5)} for i in range(1, 6)]


def test_a_run_says_what_it_does_with_prompts(tmp_path, capsys):
    import pandas
    pandas.DataFrame(CHATS).to_parquet(tmp_path / "train.parquet")
    argv = [*RUN, "--train-problems", "0", "--train", str(tmp_path / "*.parquet"), "--out", str(tmp_path / "r")]
    assert train_main(argv) == 0
    said = capsys.readouterr().out
    for words in ("4 problems, 1 rows that cannot be used", "question with an image", "4 with a system turn, which is kept", "4 that say how to answer (hash)", "joined by blank lines", "Be brief."): assert words in said, words
    evaluate = ["--model", "tiny", "--problems", f"{tmp_path / 'train.parquet'},{written(tmp_path / 'more.jsonl', GOOD)}", "--samples", "2", "--k", "1", "--max-new-tokens", "2", "--out", str(tmp_path / "e")]
    assert eval_main(evaluate) == 0
    assert "8 problems x 2 responses" in capsys.readouterr().out and json.loads((tmp_path / "e" / "eval.json").read_text())["problems"] == 8


@pytest.mark.parametrize("settings, words", [
    ({"problems-per-step": 5}, "problems_per_step=5"), ({"heldout": 4}, "heldout=4"), ({"heldout": 3, "problems-per-step": 2}, "leaves 1 to train on"), ({"train-problems": 9}, "train_problems=9"), ({"heldout": 9}, "heldout=9"),
    ({"train-problems": 3, "heldout": 2}, "train_problems=3, heldout=2"), ({"train": "arithmetic:2", "train-problems": 4, "problems-per-step": 5}, "problems_per_step=5"),
    ({"train": "arithmetic:2", "train-problems": 90}, "90"), ({"train": "arithmetic:2", "train-problems": 5, "warm-start-steps": 1, "warm-start-levels": "9-2"}, "9"), ({"train": "nowhere.parquet"}, "no such file")], ids=str)
def test_settings_that_do_not_fit_the_data_are_refused_before_a_model_is_loaded(tmp_path, capsys, monkeypatch, settings, words):
    monkeypatch.setattr("extra_nb.commands.make.load_policy", lambda *a, **k: pytest.fail("a model is loaded"))
    path = str(written(tmp_path / "d.jsonl", GOOD))
    options = {"train": path, "train-problems": 0, "problems-per-step": 2, **settings}
    assert train_main([*RUN, *(x for k, v in options.items() for x in (f"--{k}", str(v))), "--out", str(tmp_path / "r")]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and words in said.err, said.err


def test_too_few_problems_are_noticed_when_gold_answers_turn_out_to_be_unreadable(tmp_path, capsys):
    path = written(tmp_path / "d.jsonl", [*GOOD[:2], {"problem": "x", "answer": "\\frac{1}{"}, {"problem": "y", "answer": "\\sqrt{"}])
    argv = [*RUN, "--train", str(path), "--train-problems", "0", "--problems-per-step", "4", "--out", str(tmp_path / "r")]
    assert train_main(argv) == 2
    said = capsys.readouterr()
    assert "leaves 2 to train on" in said.err and "evaluating" not in said.out


@pytest.mark.parametrize("body, words", [
    ("def f(problem, response): raise KeyError('no')", "KeyError"), ("def f(problem, response): return [1.0, 0.0]", "list"), ("def f(problem, response): return 'good'", "'good'"), ("def f(problem, response): return None", "NoneType"),
    ("def f(problem, response): return float('nan')", "nan"), ("def f(response): return 1.0", "takes (response)"), ("def f(completions, **kwargs): return [c.shape for c in completions]", "AttributeError"),
    ("def f(problem, response): return problem['answer']", "TypeError"), ("def f(problem, response): raise SystemExit", "SystemExit"), ("class f:\n    def __init__(self, a, b): pass", "TypeError")])
def test_rewards_that_cannot_work_are_found_before_a_model_is_loaded(tmp_path, capsys, monkeypatch, body, words):
    monkeypatch.setattr("extra_nb.commands.make.load_policy", lambda *a, **k: pytest.fail("a model is loaded"))
    (tmp_path / "mine.py").write_text(body + "\n")
    assert train_main([*RUN, "--rewards", f"{tmp_path / 'mine.py'}:f", "--out", str(tmp_path / "r")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "reward 'f'" in said and "f(problem, response) -> one finite number" in said and words in said, said


def test_the_usual_instruction_is_the_one_that_rows_may_replace():
    assert build_policy(RunConfig(**{**preset("tiny"), "train": "gsm8k", "instruction": STEP_BY_STEP})).instruction == STEP_BY_STEP == preset("one-gpu")["instruction"]


# ---- leakage

def test_training_problems_that_are_evaluated_on_are_counted_and_left_out(tmp_path, capsys):
    written(tmp_path / "amc23.jsonl", [GOOD[0], {"problem": "1+7", "answer": "8"}])
    written(tmp_path / "aime24.jsonl", [{**GOOD[2], "problem": " 3+3 \n"}])
    path, argv = written(tmp_path / "mine.jsonl", [{**r, "id": f"mine/{i}"} for i, r in enumerate(GOOD)]), [*RUN, "--benchmarks", "amc23,aime24", "--data-dir", str(tmp_path)]
    argv += ["--train", str(path), "--train-problems", "0", "--eval-samples", "1", "--eval-k", "1"]
    assert train_main([*argv, "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().out
    assert "2 of 4 training problems also stand in an evaluation set (mine/0, mine/2): --decontaminate leaves them out" in said
    assert json.loads((tmp_path / "a" / "config.json").read_text())["problems"] == 4
    assert train_main([*argv, "--decontaminate", "--out", str(tmp_path / "b")]) == 0
    assert "they are left out" in capsys.readouterr().out and json.loads((tmp_path / "b" / "config.json").read_text())["problems"] == 2
    assert train_main([*argv, "--decontaminate", "--train", str(tmp_path / "aime24.jsonl"), "--out", str(tmp_path / "c")]) == 2
    assert "none is left" in capsys.readouterr().err


def test_the_ten_rows_of_dapo_that_stand_in_the_benchmarks(shared):
    data = shared / "data"
    training = load_problems("dapo-math-17k", data_dir=data / "train").problems
    sets = [p for name in ("math500", "amc23", "olympiadbench", "aime24", "aime25", "minerva") for p in load_problems(name, data_dir=data / "eval").problems]
    found = sorted(int(p.id.split("/")[-1]) for p in overlap(training, sets))
    assert found == sorted([6216, 17762, 6170, 6090, 15860, 15900, 14720, 15868, 15876, 11279])


def test_numbers_of_a_preset_are_not_blamed_on_the_user_and_totals_are_said(tmp_path):
    from extra_nb.cli import train_and_heldout
    path = written(tmp_path / "d.jsonl", [{"problem": f"{i}+1", "answer": str(i + 1)} for i in range(20)])
    config, said = {**preset("tiny"), "train": str(path)}, []
    train_and_heldout(RunConfig(**config), said.append)
    assert any("train_problems=6, heldout=8, so 14 of 20 problems are used" in line for line in said)
    with pytest.raises(InputError, match="d.jsonl has 20; a preset may have set these: --train-problems 0 takes all, --heldout 0 holds none out"):
        train_and_heldout(RunConfig(**{**config, "train_problems": 40}), said.append)
