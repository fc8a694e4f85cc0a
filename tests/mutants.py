"""Break the formulas of a page one at a time, and list the breaks that no cell of the page notices.

    python tests/mutants.py nbs/03_grpo.ipynb nbs/07_prefix.ipynb     # these pages
    python tests/mutants.py --json survivors.json                     # the main line

A **mutant** is an exported cell with one change: a sign, a comparison, an index or another constant, `and` for `or`, the
smallest for the largest. The cells before it have run; the mutant and the cells after it run in a process of their own. It
is **killed** if one of them fails or takes too long, and **survives** if all pass. Error messages, type hints and strings
are left alone, since they hold no formula.
"""
import __future__

import argparse
import ast
import contextlib
import copy
import io
import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPORTED = re.compile(r"^#\|\s*export", re.MULTILINE)
NOT_RUN = re.compile(r"^#\|\s*(eval:\s*false|slow|cuda)|nbdev_export\(\)", re.MULTILINE)

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
               ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
             ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
BOOLEANS = {ast.And: ast.Or, ast.Or: ast.And}
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmin": "argmax", "argmax": "argmin", "any": "all",
         "all": "any", "amin": "amax", "amax": "amin", "exp": "log", "log": "exp", "sum": "mean", "mean": "sum", "std": "var", "floor": "ceil", "ceil": "floor"}


@dataclass
class Mutant:
    page: str
    cell: str  # Id of the cell
    line: int  # In the cell
    before: str
    after: str
    killed_by: str = ""  # Id of the cell that failed, or "time"; "" for a survivor


def cells_of(path: Path) -> list[tuple[str, str]]:
    "Id and source of the code cells that run."
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [(cell["id"], "".join(cell["source"])) for cell in found if cell["cell_type"] == "code"]
    return [(name, source) for name, source in code if source.strip() and not NOT_RUN.search(source)]


def draws_only(source: str, later: str) -> bool:
    "Whether a cell makes a figure and nothing that a cell after it asks for: figures take most of the time and hold no check."
    if EXPORTED.search(source) or not re.search(r"\bplt\.|\bsns\.", source) or re.search(r"\bassert|\btest_", source): return False
    tree = ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!"))))
    made = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made |= {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return not any(re.search(rf"\b{name}\b", later) for name in made - {"fig", "ax", "i", "name", "p"})


def changes(node: ast.AST):
    "Other nodes that may stand in the place of one node."
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield from (_with(node, ops=[COMPARISONS[type(op)]() if i == k else op for i, op in enumerate(node.ops)]) for k in range(len(node.ops)))
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        yield _with(node, op=OPERATORS[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=BOOLEANS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _with(node, value=not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield _with(node, value=node.value + 1 if isinstance(node.value, int) else node.value * 2 + (node.value == 0))
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield _with(node, attr=NAMES[node.attr])
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield _with(node, id=NAMES[node.id])
    elif isinstance(node, ast.IfExp):
        yield _with(node, body=node.orelse, orelse=node.body)


def _with(node, **fields):
    new = copy.copy(node)
    for name, value in fields.items(): setattr(new, name, value)
    return new


def places(node: ast.AST):
    "Each (parent, field, index or None) whose node may be changed: no type hints, no text, no errors, no imports."
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"): continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)): continue
            yield node, name, i
            yield from places(child)


def mutants_of(page: str, cell: str, source: str):
    "Each mutant of a cell with its code."
    tree = ast.parse(source)
    for parent, name, i in list(places(tree)):
        value = getattr(parent, name)
        node = value if i is None else value[i]
        for new in changes(node):
            before = ast.unparse(node)
            ast.copy_location(new, node)
            if i is None: setattr(parent, name, new)
            else: value[i] = new
            text = ast.unparse(ast.fix_missing_locations(tree))
            after = ast.unparse(new)
            if i is None: setattr(parent, name, node)
            else: value[i] = node
            yield Mutant(page, cell, getattr(node, "lineno", 0), before, after), text


def run_cell(name: str, source: str, space: dict) -> None:
    body = "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.splitlines())
    # `from __future__ import annotations` holds for all later cells of a page
    flags = space["annotations"].compiler_flag if isinstance(space.get("annotations"), __future__._Feature) else 0
    exec(compile(body, name, "exec", flags, dont_inherit=True), space)


def quietly():
    stack = contextlib.ExitStack()
    stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
    stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
    return stack


def killed_by(mutant: Mutant, text: str, rest: list[tuple[str, str]], space: dict, seconds: float) -> str:
    "Run a mutant and the cells after it in a process of their own."
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(read)
        name = mutant.cell
        try:
            with quietly():
                run_cell(name, text, space)
                for name, source in rest: run_cell(name, source, space)
            name = ""
        except BaseException: pass
        finally:
            with contextlib.suppress(OSError): os.write(write, name.encode())  # nobody may wait any more
            os._exit(0)
    os.close(write)
    until, said = time.monotonic() + seconds, None
    os.set_blocking(read, False)
    while said is None and time.monotonic() < until:
        with contextlib.suppress(BlockingIOError): said = os.read(read, 200)
        if said is None: time.sleep(0.005)
    os.close(read)
    with contextlib.suppress(ProcessLookupError, PermissionError): os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time" if said is None else said.decode()


def break_page(path: Path, seconds: float = 30.0) -> list[Mutant]:
    "Every mutant of one page, and the cell that killed it."
    code, space, found = cells_of(path), {"__name__": "__main__"}, []
    page = str(path.resolve().relative_to(ROOT)) if path.resolve().is_relative_to(ROOT) else path.name
    code = [(name, source) for i, (name, source) in enumerate(code) if not draws_only(source, "\n".join(s for _, s in code[i + 1 :]))]
    here = Path.cwd()
    os.chdir(path.parent)  # as nbdev_test does
    start = time.monotonic()
    for i, (name, source) in enumerate(code):
        if EXPORTED.search(source):
            for mutant, text in mutants_of(page, name, source):
                mutant.killed_by = killed_by(mutant, text, code[i + 1 :], space, seconds)
                found.append(mutant)
        with quietly(): run_cell(name, source, space)
    os.chdir(here)
    left = [m for m in found if not m.killed_by]
    print(f"{page}: {len(found)} mutants, {len(left)} survive ({time.monotonic() - start:.0f} s)", flush=True)
    for m in left: print(f"    {m.cell}:{m.line}: {m.before}  ->  {m.after}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, help="notebooks; without any, the main line")
    parser.add_argument("--seconds", type=float, default=30.0, help="until a mutant counts as killed by time (30)")
    parser.add_argument("--json", type=Path, help="write all mutants there")
    args = parser.parse_args()
    os.environ.setdefault("MPLBACKEND", "agg")
    pages = args.pages or sorted(p for p in (ROOT / "nbs").glob("[0-9]*.ipynb"))
    found = [mutant for page in pages for mutant in break_page(page, args.seconds)]
    print(f"{len(found)} mutants, {sum(not m.killed_by for m in found)} survive")
    if args.json: args.json.write_text(json.dumps([asdict(m) for m in found], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
