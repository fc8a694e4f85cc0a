"""Names of the package itself: importing it is quick, and each name comes from where it is defined."""
import importlib
import subprocess
import sys

import pytest

import extra_nb


def test_importing_the_package_is_quick_and_loads_no_pytorch():
    code = ("import sys, time; t = time.perf_counter(); import extra_nb; dir(extra_nb); t = time.perf_counter() - t; "
            "print(t); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)")
    times = []
    for _ in range(3):  # the least of three, as another program may run at the same time
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        times.append(float(done.stdout))
    assert min(times) < 0.2


@pytest.mark.parametrize("name, module", extra_nb._NAMES.items())
def test_each_name_comes_from_its_module(name, module):
    assert getattr(extra_nb, name) is getattr(importlib.import_module(f"extra_nb.{module}"), name)


def test_no_name_hides_a_module(): assert not [n for n in extra_nb._NAMES if importlib.util.find_spec(f"extra_nb.{n}")]


def test_all_of_them_in_a_notebook():
    names = {}
    exec("from extra_nb.all import *", names)
    assert names.keys() >= extra_nb._NAMES.keys() and names["Trainer"] is extra_nb.Trainer


def test_a_name_that_is_not_there():
    with pytest.raises(ImportError, match="cannot import name 'Trianer'"): exec("from extra_nb import Trianer")
    assert {"Trainer", "load_policy"} <= set(dir(extra_nb))
