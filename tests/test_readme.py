"README's Python code, run as a reader would run it; and how README.md is made."
import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ran() -> dict:
    "What is defined once all Python blocks of the README have run, in their order, in one interpreter."
    matplotlib.use("Agg")
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert blocks
    names = {}
    exec(compile("\n".join(blocks), "README.md", "exec"), names)
    return names


def total(history: list[dict], name: str) -> float: return sum(metrics.get(name, 0.0) for metrics in history)


def test_the_readmes_python_learns(ran):
    history = ran["history"]
    assert len(history) == 30
    assert all(metrics["reward/mean"] >= 0 for metrics in history) and total(history, "reward/mean") > 0
    assert 0 < ran["before"] < ran["after"]


def test_both_mechanisms_of_the_readme_are_at_work(ran):
    history = ran["history"]
    assert total(history, "novelty/paid") > 0
    assert total(history, "regen/groups") > 0
    assert total(history, "regen/rescued") > 0


def test_the_readme_draws_a_figure(ran):
    [ax] = ran["figure"].axes
    assert len(ax.lines[0].get_xdata()) == 30
    images = re.findall(r"!\[\]\(([^)]+)\)", README)
    assert images and all((ROOT / name).read_bytes().startswith(b"\x89PNG") for name in images)


@pytest.mark.parametrize("argument", ["--check", None])
def test_figures_are_written_and_checked(argument, tmp_path):
    "The check notices another figure, and writing puts the right one there."
    [name] = re.findall(r"!\[\]\(([^)]+)\)", README)
    for file in ("tools/readme.py", "nbs/index.ipynb", "README.md"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    command = [sys.executable, tmp_path / "tools/readme.py", *([argument] if argument else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    if argument: assert done.returncode == 1 and done.stderr.startswith(f"{name} is not the figure of nbs/index.ipynb")
    else: assert done.returncode == 0 and (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_first_screen_says_what_was_found():
    first = README[: README.index("\n## ")]
    for words in ("What it is for", "Why not TRL or verl alone", "Two commands", "neither mechanism of the paper beat GRPO", "cannot tell"): assert words in first
    assert "| groups | method | pass@1 | pass@16 |" in first


def test_the_map_is_one_cell():
    cells = json.loads((ROOT / "nbs" / "index.ipynb").read_text(encoding="utf-8"))["cells"]
    maps = [cell for cell in cells if cell["cell_type"] == "markdown" and "**The main line**" in "".join(cell["source"])]
    assert len(maps) == 1 and "| folder | what it is for |" in "".join(maps[0]["source"])
