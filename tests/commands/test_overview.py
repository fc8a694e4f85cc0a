"""`python -m extra_nb` is quick, says what there is, and runs the commands."""
import subprocess
import sys

import pytest

from extra_nb.commands.overview import COMMANDS, main


def run(*words):
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("module", ["extra_nb", "extra_nb.cli"])
def test_a_module_says_which_commands_there_are(module):
    done = run(module)
    assert done.returncode == 0 and all(c.name in done.stdout for c in COMMANDS.values()) and not done.stderr


def test_it_loads_no_pytorch():
    done = run("extra_nb.commands.overview")
    code = "import sys, extra_nb.commands.overview as o; o.main([]); sys.exit('torch' in sys.modules)"
    assert done.returncode == 0 and subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_reached(name, capsys):
    with pytest.raises(SystemExit) as e: main([name, "--help"])
    assert e.value.code == 0 and f"extra-{name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tran", "extra-tran", "x" * 500])
def test_an_unknown_command(name, capsys):
    assert main([name]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "known: train, eval, report, bench, lab" in said and len(said) < 200
