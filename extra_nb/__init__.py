__version__ = "0.1.0"

import sys as _sys
from importlib import import_module as _import_module
from importlib.machinery import ModuleSpec as _ModuleSpec

# Modules that had another place before. Code that names the old place gets the same module, not a copy.
_MOVED = {
    "answers": "verify.answers",
    "reading": "verify.reading",
    "judge": "verify.equality",
    "worker": "verify.worker",
    "files": "data.files",
    "loading": "models.loading",
    "kernels": "fast.kernels",
    "decoder": "fast.decoder",
    "attention": "fast.attention",
    "backends": "engines.backends",
    "rewards": "methods.rewards",
    "replay": "methods.replay",
    "alarms": "running.alarms",
    "checkpoints": "running.checkpoints",
    "ranks": "running.ranks",
    "trackers": "running.trackers",
    "figures": "running.figures",
    "report": "running.report",
    "child": "bench.child",
    "speed": "bench.speed",
    "arms": "lab.arms",
    "paired": "lab.paired",
    "labfigures": "lab.figures",
    "laboratory": "lab.laboratory",
}


class _Moved:
    "Finds a module under the name that it had before."

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        return _ModuleSpec(name, self) if package == __name__ and module in _MOVED else None

    def create_module(self, spec):
        module = _import_module(f"{__name__}.{_MOVED[spec.name.partition('.')[2]]}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        # the import system has put the old name's specification on the module; it keeps its own
        module.__spec__ = module.__spec__.loader_state


_sys.meta_path.insert(0, _Moved())

# The names that a script needs most. Each is imported when it is first asked for, since PyTorch takes seconds.
_PLACES = {
    "types": "Problem Request Rollout Verdict Group InputError",
    "verifier": "Verifier",
    "grpo": "group_advantage policy_loss token_weights",
    "mechanisms": "Mechanism",
    "embedders": "NgramEmbedder load_embedder",
    "novelty": "NoveltyBonus NoveltyMemory",
    "regeneration": "PrefixRegeneration",
    "methods.replay": "SuccessReplay",
    "methods.rewards": "CustomReward trl_reward verified_reward",
    "tasks": "arithmetic load_problems split_heldout",
    "policy": "Policy load_policy tiny_policy",
    "sampler": "sample logprobs_of recompute",
    "train": "Trainer TrainConfig RunStopped warm_start",
    "evaluate": "Evaluation compare_evaluations pass_at_k",
    "running.figures": "plot_reward plot_groups plot_entropy plot_length plot_novelty plot_regeneration read_metrics",
    "running.report": "write_report compare_runs",
}
_NAMES = {name: module for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name):
    if name not in _NAMES: raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(f"{__name__}.{_NAMES[name]}"), name)
    return value


def __dir__(): return [*globals(), *_NAMES]
