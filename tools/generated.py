"""Check that nbdev_clean and nbdev_export would change nothing: notebooks are clean, modules are what the notebooks export.

Works on a copy, so the working tree stays as it is, needs no git, and says the same in a dirty checkout as in CI.
"""
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOWN = 12  # lines of each difference


def notebooks(root: Path) -> dict[str, Path]:
    "The notebooks nbdev looks at: it skips files and folders whose name begins with `_` or `.`."
    found = {path.relative_to(root): path for path in (root / "nbs").rglob("*.ipynb")}
    return {str(name): path for name, path in sorted(found.items()) if not any(part[0] in "_." for part in name.parts)}


def modules(root: Path) -> dict[str, Path]:
    return {str(path.relative_to(root)): path for path in sorted((root / "extra_nb").rglob("*.py"))}


def nbdev(module: str, command: str, root: Path) -> None:
    "Run one nbdev command in `root`, in a process of its own: nbdev keeps its configuration for the life of a process."
    env = {key: value for key, value in os.environ.items() if key != "IN_TEST"}  # with it set, nbdev_export does nothing
    # a notebook that cannot be read is only warned about by nbdev_clean; here it is an error
    call = [sys.executable, "-W", "error::UserWarning", "-c", f"from nbdev.{module} import {command}; {command}.__wrapped__()"]
    done = subprocess.run(call, cwd=root, env=env, capture_output=True, text=True)
    if done.returncode: sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")


def differences(ours: dict[str, Path], made: dict[str, Path], command: str) -> list[str]:
    "One message for each file that `command` would change, add or leave behind."
    messages = []
    for name in sorted(ours.keys() | made.keys()):
        if name not in made: messages.append(f"{name}: no notebook exports it; delete it")
        elif name not in ours: messages.append(f"{name}: missing; run {command}")
        elif ours[name].read_bytes() != made[name].read_bytes():
            before, after = (paths[name].read_text(encoding="utf-8").splitlines() for paths in (ours, made))
            lines = list(islice(difflib.unified_diff(before, after, "now", f"after {command}", n=0, lineterm=""), SHOWN))
            messages.append("\n    ".join([f"{name}: not as {command} leaves it; run {command}", *(line[:160] for line in lines)]))
    return messages


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name, path in notebooks(ROOT).items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy / name)
        shutil.copy(ROOT / "settings.ini", copy)
        # only the hand-written part of the package: a module that no notebook exports any more then stays away
        for path in [*(ROOT / "extra_nb").rglob("__init__.py"), *(ROOT / "extra_nb" / f"{name}.py" for name in ("__main__", "all"))]:
            to = copy / path.relative_to(ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)

        nbdev("clean", "nbdev_clean", copy)
        found = differences(notebooks(ROOT), notebooks(copy), "nbdev_clean")
        nbdev("doclinks", "nbdev_export", copy)
        found += differences(modules(ROOT), modules(copy), "nbdev_export")
    if found: sys.exit("\n".join(found))
    print(f"{len(notebooks(ROOT))} notebooks are clean; {len(modules(ROOT))} modules are what they export")


if __name__ == "__main__": main()
