"A few kills of the driver; `python tests/kill_driver.py --kills 50` is the long version."
import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(root):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, str(root / "tests" / "kill_driver.py"), "--kills", "3", "--steps", "3"], capture_output=True, text=True,
                          env=env, timeout=1800)
    assert done.returncode == 0 and "all runs equal the one that was left alone" in done.stdout, done.stdout + done.stderr
