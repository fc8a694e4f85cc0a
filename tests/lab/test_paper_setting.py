"The commands on the page about the paper's setting, as the parsers understand them today."
import json
import shlex
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from extra_nb.cli import RunConfig, eval_settings, report_main, train_settings

GROUPS = json.loads((Path(__file__).parents[2] / "nbs" / "experiments" / "paper_setting.json").read_text(encoding="utf-8"))
COMMANDS = [pytest.param(place, method, command, id=f"{place}: {method}") for place, commands in GROUPS.items() for method, command in commands.items()]
MECHANISMS = {"GRPO": "none", "DAPO": "none", "novelty": "novelty", "regeneration": "regeneration", "ExTra": "novelty,regeneration"}


def test_every_place_has_every_method_and_a_table():
    for commands in GROUPS.values(): assert set(commands) == {*MECHANISMS, "table"}


@pytest.mark.parametrize("place, method, command", [p for p in COMMANDS if p.values[1] != "table"])
def test_a_command_is_accepted_and_means_its_method(place, method, command):
    words, processes = shlex.split(command), "1"
    if words[0] == "torchrun":
        launch = get_args_parser().parse_args(words[1:])
        assert launch.no_python
        words, processes = [launch.training_script, *launch.training_script_args], launch.nproc_per_node
    config, args = {"extra-train": train_settings, "extra-eval": eval_settings}[words[0]](words[1:])
    assert isinstance(config, RunConfig) and config.mechanisms == MECHANISMS[method] and bool(config.dynamic_sampling) == (method == "DAPO")
    assert config.model == "Qwen/Qwen3-1.7B" and processes == {"four": "4", "one": "1"}[place.split()[0]]
    assert args.out and f"{args.out} " in GROUPS[place]["table"] + " "


@pytest.mark.parametrize("place, method, command", [p for p in COMMANDS if p.values[1] == "table"])
def test_a_table_command_gets_as_far_as_the_runs(place, method, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where there are none
    words = shlex.split(command)
    assert words[0] == "extra-report" and report_main(words[1:]) == 2
    assert f"{words[1]!r} is no run directory" in capsys.readouterr().err
