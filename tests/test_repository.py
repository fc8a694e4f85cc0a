"""Guards on the repository itself: that notebooks, modules, README and settings keep the rules they were written by."""
import ast
import builtins
import configparser
import dis
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import extra_nb

ROOT = Path(__file__).resolve().parent.parent
# Packages that take seconds to import and belong inside the functions that need them
HEAVY = {"transformers", "sentence_transformers", "datasets", "peft", "trl", "seaborn", "matplotlib", "pandas", "accelerate", "bitsandbytes"}

NOTEBOOKS = {str(path.relative_to(ROOT / "nbs")): path for path in sorted((ROOT / "nbs").rglob("*.ipynb"))
             if not any(part[0] in "_." for part in path.relative_to(ROOT / "nbs").parts)}
MODULES = {".".join(path.relative_to(ROOT / "extra_nb").with_suffix("").parts): path
           for path in sorted((ROOT / "extra_nb").rglob("*.py")) if not path.stem.startswith("_") and path.stem != "all"}
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS.keys())
every_module = pytest.mark.parametrize("name", MODULES)


def cells(path: Path, kind: str | None = None) -> list[dict]:
    "The cells of a notebook, their source as one string."
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in found if kind in (None, cell["cell_type"])]


def exported_module(path: Path) -> str | None:
    "The module that a notebook writes, if it writes one."
    match = re.search(r"^#\|\s*default_exp\s+([\w.]+)", "\n".join(cell["source"] for cell in cells(path, "code")), re.MULTILINE)
    return match[1] if match else None


# A module may import from those above it, and from no others. The main line stands in the order in which it is read; what a
# folder holds stands above the first page that asks for it.
ORDER = """
    types
    verify.answers verify.asked verify.tokens verify.words verify.units verify.bounds verify.notation verify.reading
    verify.leaves verify.renaming verify.structures verify.integrals verify.expressions verify.formulas verify.equality
    verify.worker verifier
    grpo mechanisms
    models.hub models.tiny models.messages models.architecture models.checks models.lora models.adapters
    models.loading embedders novelty prefix regeneration
    data.files data.columns data.contents data.choices data.rows data.sources tasks
    models.smollm2 models.compute models.sources models.prompts policy
    fast.checks fast.kernels fast.attention fast.output_layer fast.cache fast.model fast.decoder
    fast.rows sampler
    engines.backends methods.signatures methods.rewards methods.replay
    running.settings running.hooks running.steps running.memory running.alarms running.checkpoints running.directory running.ranks
    running.saving running.stopping running.trackers train
    evaluate commands.overview commands.completion commands.names commands.parameters commands.settings running.figures running.report
    commands.options commands.make commands.own commands.jobs
    bench.child bench.comparison bench.pairs bench.mix bench.verifier bench.workloads bench.peers bench.sampler
    bench.peaks bench.trainers bench.step bench.memory bench.scaling cli
    lab.toy lab.world lab.arms lab.paired lab.figures lab.laboratory
""".split()
# The pages of the method, in the order in which they are read
MAIN_LINE = [name for name in NOTEBOOKS if re.match(r"\d\d_\w+\.ipynb$", name)]


def settings() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


# ---- notebooks

EXPORTED = re.compile(r"^#\|\s*export", re.MULTILINE)
IMPORTS = (ast.Import, ast.ImportFrom)


def mixes_imports(source: str) -> bool:
    """Whether a cell has imports beside other code. To document a module, nbdev runs the cells that hold imports and the
    exported ones, and no others: whatever stands beside an import is run there without what it needs."""
    if re.fullmatch(r"#\|\s*hide\s+import nbdev; nbdev\.nbdev_export\(\)", source.strip()): return False
    if re.match(r"\s*[%!]", source): return False
    body = ast.parse(source).body
    # an exported cell is run whole, so an import inside one of its functions does no harm
    imports = any(isinstance(node, IMPORTS) for top in body for node in ([top] if EXPORTED.search(source) else ast.walk(top)))
    return imports and not all(isinstance(node, IMPORTS) for node in body)


@pytest.mark.parametrize("source, mixed", [
    ("import math\nfrom os import path", False),
    ("x = 1", False),
    ("import math\nx = 1", True),
    ("import math\nprint(1)", True),
    ("#| hide\nimport nbdev; nbdev.nbdev_export()", False),
    ("#| export\ndef f():\n    import math\n    return math", False),
    ("#| export\nimport math\ndef f(): return math", True),
    ("def f():\n    import math\nf()", True),
])
def test_mixed_imports_are_recognised(source, mixed):
    assert mixes_imports(source) == mixed


@every_notebook
def test_no_cell_mixes_imports_with_other_code(path):
    assert [cell["id"] for cell in cells(path, "code") if mixes_imports(cell["source"])] == []


@every_notebook
def test_notebook_begins_with_a_title_and_a_promise(path):
    first = cells(path)[0]
    assert first["cell_type"] == "markdown"
    assert re.fullmatch(r"# \S.*\n+> \S.*", first["source"].strip()), "the first cell is '# Title', then '> one-line promise', nothing else"


@every_notebook
def test_notebook_that_exports_ends_with_the_export(path):
    code = [cell["source"] for cell in cells(path, "code")]
    if any(re.search(r"^#\|\s*default_exp", source, re.MULTILINE) for source in code): assert "nbdev.nbdev_export()" in code[-1]


@every_notebook
def test_notebook_is_small(path):
    assert path.stat().st_size < 300_000


@every_notebook
def test_cell_ids_are_unique(path):
    # the header of each exported block carries the id of its cell
    ids = [cell["id"] for cell in cells(path)]
    assert len(ids) == len(set(ids))


def stored_text(cell: dict) -> str:
    "All text among a cell's outputs, images left out."
    texts = []
    for output in cell.get("outputs", []):
        data = {"text": output.get("text", ""), **output.get("data", {})}
        texts += ["".join(value) for kind, value in data.items() if not kind.startswith("image/")]
    return "\n".join(texts)


# What differs from machine to machine or from run to run
UNSTABLE = {
    "a path": r"(?<![\w.])/(tmp|root|work|home|Users|var|private|opt|usr)/|\b[A-Z]:\\",
    "a memory address": r"\b0x[0-9a-f]{6,}",
    "a progress bar": r"it/s\]|s/it\]|\d+%\|",
    "a date": r"\b20\d\d-[01]\d-[0-3]\d\b",
    "a time of day": r"\b[0-2]\d:[0-5]\d:[0-5]\d\b",
    "a timing": r"\bWall time\b|\bCPU times\b|\d ?(ms|µs|ns) ±",
    "a warning": r"\w+Warning:",
}


def unstable(text: str) -> list[str]: return [what for what, pattern in UNSTABLE.items() if re.search(pattern, text)]


@pytest.mark.parametrize("text, found", [
    ("/tmp/x/metrics.jsonl", ["a path"]), ("runs/quickstart/report.html", []), ("C:\\Users\\me", ["a path"]),
    ("<object at 0x7f3a2b4c5d>", ["a memory address"]), ("0x1f", []), ("4/9 [00:01<00:02,  3.1it/s]", ["a progress bar"]),
    (" 44%|####", ["a progress bar"]), ("2026-02-03", ["a date"]), ("12:30:01", ["a time of day"]), ("3 ms ± 2", ["a timing"]),
    ("UserWarning: no", ["a warning"]), ("reward 1/2, ratio 3:4", []),
])
def test_unstable_output_is_recognised(text, found):
    assert unstable(text) == found


@every_notebook
def test_stored_outputs_are_the_same_everywhere(path):
    assert {cell["id"]: unstable(stored_text(cell)) for cell in cells(path, "code") if unstable(stored_text(cell))} == {}


@every_notebook
def test_stored_outputs_hold_no_errors(path):
    outputs = [output for cell in cells(path, "code") for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"] == []


@every_notebook
def test_sources_name_no_place_on_one_machine(path):
    assert [cell["id"] for cell in cells(path) if re.search(UNSTABLE["a path"], cell["source"])] == []


@every_notebook
def test_links_lead_somewhere(path):
    prose = re.sub(r"^```.*?^```", "", "\n".join(cell["source"] for cell in cells(path, "markdown")), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", prose)
    assert [target for target in targets if not (path.parent / target).exists()] == []


EXPORTS = re.compile(r"^#\|\s*exports\s*$", re.MULTILINE)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def defined(source: str) -> set[str]:
    "What a cell defines at its top level: functions, classes and constants."
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, DEFINITIONS): names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


def at_work(path: Path, name: str) -> bool:
    "Whether a notebook speaks of a name, or uses it, outside the cell that defines it."
    for cell in cells(path):
        if not re.search(rf"\b{re.escape(name)}\b", cell["source"]): continue
        if cell["cell_type"] == "markdown" or not EXPORTED.search(cell["source"]) or name not in defined(cell["source"]): return True
    return False


@every_notebook
def test_every_public_name_is_documented_and_at_work(path):
    module = exported_module(path)
    found = importlib.import_module(f"extra_nb.{module}") if module else None
    public = found.__all__ if found else []
    assert [name for name in public if not at_work(path, name)] == []
    objects = {name: getattr(found, name) for name in public}
    made_here = {name: o for name, o in objects.items() if getattr(o, "__module__", None) == found.__name__ and hasattr(o, "__qualname__")}
    # a dataclass without a docstring gets its signature for one
    assert [name for name, o in made_here.items() if not o.__doc__ or o.__doc__.startswith(f"{name}(")] == []


@every_notebook
def test_the_code_of_every_function_and_class_is_on_its_page(path):
    # nbdev takes cells marked `export` and `exporti` off the page, and leaves those marked `exports`
    hidden = {}
    for cell in cells(path, "code"):
        if not EXPORTED.search(cell["source"]) or EXPORTS.search(cell["source"]): continue
        names = [node.name for node in ast.parse(cell["source"]).body if isinstance(node, DEFINITIONS)]
        if names: hidden[cell["id"]] = names
    assert hidden == {}


def test_every_module_has_its_notebook():
    assert sorted(module for path in NOTEBOOKS.values() if (module := exported_module(path))) == sorted(MODULES)


def test_every_module_has_its_layer():
    assert sorted(ORDER) == sorted(MODULES)


def test_the_main_line_is_read_in_the_order_of_its_layers():
    numbered = [module for name in MAIN_LINE if (module := exported_module(NOTEBOOKS[name]))]
    assert numbered == [module for module in ORDER if "." not in module]
    assert [name[:2] for name in MAIN_LINE] == [f"{i:02}" for i in range(len(MAIN_LINE))]


@every_notebook
def test_no_cell_is_exported_to_a_module_of_another_notebook(path):
    # nbdev appends such cells to the module again at every export
    assert [cell["id"] for cell in cells(path, "code") if re.search(r"^#\|\s*export[is]?[^\S\n]+\S", cell["source"], re.MULTILINE)] == []


@every_notebook
def test_index_leads_to_the_notebook(path):
    # the front page leads to the main line and to each folder, and the first page of a folder to its pages
    name = path.relative_to(ROOT / "nbs")
    if str(name) == "index.ipynb": return
    goes_through = NOTEBOOKS["index.ipynb"] if name.name == "index.ipynb" or name.parent == Path() else path.parent / "index.ipynb"
    prose = "\n".join(cell["source"] for cell in cells(goes_through, "markdown"))
    assert f"]({name.relative_to(goes_through.parent.relative_to(ROOT / 'nbs'))})" in prose


def test_sidebar_lists_every_notebook():
    listed = re.findall(r"^\s+- (\S+\.ipynb)$", (ROOT / "nbs" / "sidebar.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(NOTEBOOKS)
    assert [name for name in listed if name in MAIN_LINE] == MAIN_LINE


# ---- modules

def run(code: str) -> str:
    "What a fresh interpreter prints."
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    "For each module, the packages that are loaded once it has been imported, in one interpreter that has seen no notebook."
    return json.loads(run(f"import importlib, json, sys\nloaded = {{}}\nfor name in {ORDER}:\n"
                          "    importlib.import_module(f'extra_nb.{name}')\n"
                          "    loaded[name] = sorted({module.split('.')[0] for module in sys.modules})\n"
                          "print(json.dumps(loaded))"))


@every_module
def test_module_imports_alone_and_lightly(name, loaded):
    assert HEAVY.intersection(loaded[name]) == set(), "import these inside the functions that need them"


def test_judge_starts_without_torch():
    # it is started once for every worker, and again after every answer that hangs
    assert run("import sys, extra_nb.verify.equality; print('torch' in sys.modules)").strip() == "False"


def imported(source: str, module: str) -> set[str]:
    "The modules of the package that the source of `module` imports from, inside its functions too."
    package = ["extra_nb", *module.split(".")[:-1]]
    used = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            place = ".".join([*base, *([node.module] if node.module else [])])
            # `from place import name` may name a module, or something inside the module `place`
            used |= {f"{place}.{alias.name}" for alias in node.names}
    own = {name.removeprefix("extra_nb.") for name in used if name.startswith("extra_nb.")}
    return {next((m for m in MODULES if name == m or name.startswith(f"{m}.")), name) for name in own}


@pytest.mark.parametrize("source, found", [
    ("from .types import Group", {"types"}), ("from ..types import Group", {"extra_nb?"}), ("from . import types", {"types"}),
    ("import extra_nb.fast.decoder as d", {"fast.decoder"}), ("def f():\n    from extra_nb.sampler import sample", {"sampler"}), ("import torch", set()),
])
def test_imports_are_recognised(source, found):
    if found == {"extra_nb?"}: assert imported(source, "fast.decoder") == {"types"}
    else: assert imported(source, "train") == found


@every_module
def test_module_imports_only_from_those_above_it(name):
    assert imported(MODULES[name].read_text(encoding="utf-8"), name) <= set(ORDER[: ORDER.index(name)])


@pytest.mark.parametrize("old", extra_nb._MOVED)
def test_a_module_that_moved_is_found_at_its_old_place(old):
    code = (f"import importlib; a = importlib.import_module('extra_nb.{old}'); b = importlib.import_module('extra_nb.{extra_nb._MOVED[old]}'); "
            "print(a is b, a.__spec__.name == a.__name__)")
    assert run(code).split() == ["True", "True"]


@pytest.mark.parametrize("folder, name", [("bench", "Verifier"), ("bench.speed", "compare"), ("bench.speed", "bench_step"), ("lab", "base_policy"), ("lab", "REGIMES")])
def test_a_folder_answers_for_the_module_that_had_its_name(folder, name):
    module = importlib.import_module(f"extra_nb.{folder}")
    assert hasattr(module, name)
    assert not hasattr(module, "no_such_name")


def missing_globals(code, known: set[str]) -> set[str]:
    "Names that a code object, or one inside it, looks up in its module and would not find."
    inner = [const for const in code.co_consts if hasattr(const, "co_code")]
    here = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return (here - known).union(*(missing_globals(const, known) for const in inner))


def test_missing_globals_are_found():
    code = compile("import math\ndef f(x):\n    return lambda: math.sqrt(x) + helper + len(x)", "example", "exec")
    assert missing_globals(code, {"math", *dir(builtins)}) == {"helper"}


@every_module
def test_module_needs_nothing_that_only_its_notebook_has(name):
    # examples run in the notebook, where a name from a cell that is not exported is there; in the module it is not
    code = compile(MODULES[name].read_text(encoding="utf-8"), name, "exec")
    assert missing_globals(code, {*vars(importlib.import_module(f"extra_nb.{name}")), *dir(builtins)}) == set()


# ---- settings, README, CI

def test_version_is_one():
    assert extra_nb.__version__ == settings()["version"]


def test_nbdev_is_pinned_to_what_can_be_imported():
    # nbdev 2.4.14 names no upper bounds, and does not import with execnb 0.2 or fastcore 2
    assert {"nbdev>=2.4.14,<3", "execnb<0.2", "fastcore<2"} <= set(settings()["dev_requirements"].split())


def test_fastcore_is_capped_for_development_only():
    # a cap at run time would keep the package from being installed beside whatever needs fastcore 2
    assert [r for r in settings()["requirements"].split() if r.startswith("fastcore")] == ["fastcore>=1.7"]


@pytest.mark.parametrize("line", [line.strip() for line in settings()["console_scripts"].splitlines() if line.strip()])
def test_commands_exist(line):
    module, function = line.split("=")[1].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def shell_lines(text: str) -> list[str]:
    "The lines of the bash blocks of a markdown text."
    return [line for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()]


def test_ci_runs_the_test_command_of_the_readme():
    commands = [line for line in shell_lines((ROOT / "README.md").read_text(encoding="utf-8")) if "tools/test.sh" in line]
    assert len(commands) == 1
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == commands[0]


def test_readme_python_imports_what_exists():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    imports = [node for block in blocks for node in ast.parse(block).body if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        module = importlib.import_module(node.module)
        assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("argument", ["--check", None])
def test_readme_is_made_from_index(argument, tmp_path):
    "The check notices one changed word, and writing puts it right."
    for name in ("tools/readme.py", "nbs/index.ipynb", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    readme = tmp_path / "README.md"
    right = readme.read_text(encoding="utf-8")
    readme.write_text(right.replace("GRPO", "PPO", 1), encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "tools/readme.py", *([argument] if argument else [])], capture_output=True, text=True)
    if argument:
        assert done.returncode == 1 and done.stderr.startswith("README.md is not what nbs/index.ipynb says")
        assert readme.read_text(encoding="utf-8") != right
    else: assert done.returncode == 0 and readme.read_text(encoding="utf-8") == right


def test_quarto_reads_the_file_at_the_root():
    link = ROOT / "nbs" / "_quarto.yml"
    assert link.is_symlink() and link.readlink() == Path("../_quarto.yml") and link.exists()
