import functools
import json
import os
from pathlib import Path

import fastcore.docments
import pytest

# every parser of a command reads the comments of its settings; here hundreds are made, and the comments stay the same
fastcore.docments.docments = functools.cache(fastcore.docments.docments)

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may depend on a network
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    "Recorded parity numbers and real data sets, kept beside the checkout and never inside it."
    path = ROOT.parent / "shared"
    if not path.is_dir(): pytest.skip("needs the data folder `shared` beside the checkout; it is not there")
    return path


@pytest.fixture(scope="session")
def stored():
    "A function: what is left of a state after a checkpoint's JSON and safetensors; any other kind of value raises."
    from safetensors.torch import load, save

    from extra_nb.running.checkpoints import pack, unpack

    def there_and_back(state):
        packed, tensors = pack(state)
        return unpack(json.loads(json.dumps(packed)), load(save(tensors)))

    return there_and_back
