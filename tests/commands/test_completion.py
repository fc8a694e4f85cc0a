"""The script of `--print-completion`, in a real shell."""
import shutil
import subprocess

import pytest

from extra_nb.cli import bench_main, eval_main, report_main, train_main


def script(command, capsys, *argv):
    with pytest.raises(SystemExit) as e: command([*argv, "--print-completion", "bash"])
    assert e.value.code == 0
    return capsys.readouterr().out


def answers(program, script, *words):
    "What bash would offer after these words."
    run = f"{script}\nCOMP_WORDS=({program} {' '.join(map(repr, words))}); COMP_CWORD={len(words)}\n_shtab_{program.replace('-', '_')}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes_options_choices_and_folders(capsys, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    found = script(train_main, capsys)
    assert answers("extra-train", found, "--loss-av") == ["--loss-average"]
    assert set(answers("extra-train", found, "--loss-average", "")) >= {"token", "sequence", "constant"}
    assert "runs" in answers("extra-train", found, "--resume", "ru")
    assert answers("extra-eval", script(eval_main, capsys), "--samp") == ["--samples"]
    assert answers("extra-report", script(report_main, capsys), "--o") == ["--out"]


@pytest.mark.parametrize("argv, words", [(["--print-completion", "fish"], "unknown shell 'fish'"), (["--print-completion"], "unknown shell ''")])
def test_shells_that_are_not_known(argv, words, capsys):
    assert train_main(argv) == 2
    assert words in capsys.readouterr().err


def test_each_command_prints_one(capsys):
    assert "_shtab_extra_bench_sampler" in script(bench_main, capsys, "sampler")
