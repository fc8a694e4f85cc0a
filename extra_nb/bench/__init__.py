import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType


def __getattr__(name):
    # `extra_nb.bench` was a module once: what it held is in `verifier` now
    if name.startswith("__"): raise AttributeError(name)
    return getattr(import_module(f"{__name__}.verifier"), name)


class _Speed(ModuleType):
    "`extra_nb.bench.speed` was a module once: it finds its names on the pages that it became."

    pages = ("comparison", "workloads", "peers", "peaks", "sampler", "trainers", "step", "memory", "scaling")

    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        name = "compare_speed" if name == "compare" else name
        for page in self.pages:
            module = import_module(f"{__package__}.{page}")
            if hasattr(module, name): return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


speed = _Speed(f"{__name__}.speed")
speed.__spec__ = ModuleSpec(speed.__name__, None)
sys.modules[speed.__name__] = speed
