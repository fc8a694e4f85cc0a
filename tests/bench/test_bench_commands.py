"What the commands of the benchmarks of speed refuse, and what their help says."
import pytest
import torch

from extra_nb.bench.memory import MemoryBench
from extra_nb.bench.sampler import SamplerBench
from extra_nb.bench.scaling import ScalingBench
from extra_nb.bench.trainers import StepBench
from extra_nb.cli import bench_main


@pytest.mark.parametrize("argv, said", [
    (["sampler", "--workload", "a,e"], "unknown workload 'e'"), (["sampler", "--workload", ""], "unknown workload ''"),
    (["sampler", "--repeats", "0"], "repeats=0: at least 1"), (["sampler", "--device", "cpuu"], "did you mean 'cpu'"),
    (["sampler", "--figure", "x.jpg"], "figure='x.jpg'"), (["sampler", "--workloads", "a"], "did you mean '--workload'"),
    (["sampler", "--json", "{folder}"], "it is a folder"), (["step", "--group-size", "3"], "group_size=3"), (["step", "--problems", "0"], "problems=0"),
    (["step", "--new-tokens", "0"], "new_tokens=0"), (["memory", "--vocabulary", "9"], "vocabulary=9: at least 100"), (["memory", "--rows", "0"], "rows=0"),
    (["scaling", "--groups", "1,2"], "each must be at least 2"), (["scaling", "--problems", "1"], "each must be at least 2"), (["scaling", "--lengths", "8,x"], "whole numbers"), (["sampler", "extra"], "'extra'"),
    (["scaling", "--model", "tiny", "--embedder", "ngrams"], "did you mean 'ngram'"), (["speed"], "unknown benchmark 'speed'"),
])
def test_bad_options_take_one_line_and_status_2(argv, said, tmp_path, capsys):
    assert bench_main([a.replace("{folder}", str(tmp_path)) for a in argv]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said(capsys):
    assert bench_main(["memory", "--device", "cuda"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err


@pytest.mark.parametrize("bench", ["sampler", "step", "memory", "scaling"])
def test_help_explains_every_option(bench, capsys):
    with pytest.raises(SystemExit) as e: bench_main([bench, "--help"])
    assert e.value.code == 0
    lines = capsys.readouterr().out.split("options:")[1]
    config = {"sampler": SamplerBench, "step": StepBench, "memory": MemoryBench, "scaling": ScalingBench}[bench]
    for name in config.__dataclass_fields__: assert f"--{name.replace('_', '-')}" in lines
    assert "Rounds of measurements" in lines  # an inherited field
