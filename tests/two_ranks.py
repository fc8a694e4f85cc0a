"""One of the processes of a run in two: what tests/test_ranks.py starts, with RANK and so on in its environment.

    python tests/two_ranks.py SCENARIO FOLDER
"""
import json
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from extra_nb.embedders import NgramEmbedder
from extra_nb.novelty import NoveltyBonus
from extra_nb.policy import load_policy, tiny_policy
from extra_nb.running.ranks import Ranks, join, leave
from extra_nb.regeneration import PrefixRegeneration
from extra_nb.methods.replay import SuccessReplay
from extra_nb.tasks import arithmetic
from extra_nb.train import RunStopped, Trainer
from extra_nb.types import Verdict, stable_hash

PROBLEMS = arithmetic(10, levels=(2, 3), seed=2)
RUNS = {"full": {"minibatch_problems": 3, "micro_batch_tokens": 60}, "lora": {"adapter": "lora", "kl_coef": 0.05}, "refilled": {"dynamic_sampling": 2}}


class Judge:
    "Right and wrong in every step, whatever the policy knows; the same text is always judged alike."
    def judge(self, problems, responses):
        right = [stable_hash(r) % 3 == 0 for r in responses]
        return [Verdict(r, "correct" if r else "wrong") for r in right]


def trainer(out, ranks=None, adapter="none", **settings):
    policy = tiny_policy() if adapter == "none" else load_policy("tiny", adapter=adapter, lora_rank=4)
    embedder = NgramEmbedder()
    mechanisms = [NoveltyBonus(embedder=embedder, min_history=4), PrefixRegeneration(start_step=1, per_step=2, min_gap=2, cut_at="entropy", embedder=embedder),
                  SuccessReplay(per_step=4)]
    settings = {"steps": 4, "problems_per_step": 4, "group_size": 4, "max_new_tokens": 12, "lr": 3e-3, "verifier": Judge(), "say": None, **settings}
    return Trainer(policy, PROBLEMS, mechanisms, out=out, ranks=ranks, **settings)


def weights(t) -> torch.Tensor: return torch.cat([p.detach().flatten() for p in t.parameters])


def stopped(t) -> str:
    try: t.fit()
    except RunStopped as e: return str(e)
    return "no error"


def runs(ranks: Ranks, folder: Path):
    "Each run twice: at a stretch, and stopped after two steps and taken up by a new trainer."
    for name, settings in RUNS.items():
        whole = trainer(folder / f"{name}-whole", ranks, **settings)
        whole.fit()
        first = trainer(folder / f"{name}-parts", ranks, **settings)
        first.step(), first.step()
        first.save_checkpoint()
        second = trainer(folder / f"{name}-parts", ranks, **settings)
        assert second.resume() == 2
        second.fit()
        torch.save({"whole": weights(whole), "parts": weights(second)}, folder / f"{name}-{ranks.rank}.pt")
    t = trainer(folder / "apart", ranks)
    if ranks.rank: t.sum_of_weights = lambda: 0.5
    print(json.dumps(stopped(t)))


def broken(t, ranks: Ranks, where: str):
    "Let rank 1 fail at a place in the second step."
    def after_one(real, fail):
        def call(*args, **kwargs): return fail(*args, **kwargs) if t.step_count == 1 else real(*args, **kwargs)
        return call

    def fail(*args, **kwargs): raise ValueError("a fault on one rank\nand its second line")

    target, name = {"sample": (t, "draw"), "judge": (t.verifier, "judge"), "gradient": (t, "add_gradient")}[where]
    if ranks.rank == 1: setattr(target, name, after_one(getattr(target, name), fail))
    return t


def faults(ranks: Ranks, folder: Path):
    "Faults on one rank, of which all learn, and after which the same processes go on; then a signal; then one that is gone."
    said = {where: stopped(broken(trainer(folder / where, ranks, checkpoint_every=0), ranks, where)) for where in ("sample", "judge", "gradient")}
    t = trainer(folder / "again", ranks)
    t.fit()
    again = trainer(folder / "sample", ranks)
    again.resume(), again.fit()
    said["resumed equals"] = torch.equal(weights(t), weights(again))

    asked, real = trainer(folder / "asked", ranks), Judge.judge
    def judge(self, problems, responses):
        if asked.step_count == 1 and ranks.rank == 1: os.kill(os.getpid(), signal.SIGTERM)
        return real(self, problems, responses)
    Judge.judge = judge
    asked.fit()
    Judge.judge = real
    said["asked"] = [asked.step_count, asked.interrupted]

    def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)

    t = trainer(folder / "killed", ranks, checkpoint_every=0)
    t.step()
    if ranks.rank == 1: t.draw = die
    said["killed"] = stopped(t)
    print(json.dumps(said))


if __name__ == "__main__":
    torch.set_num_threads(1)
    ranks = join(minutes=2)
    {"runs": runs, "faults": faults}[sys.argv[1]](ranks, Path(sys.argv[2]))
    if sys.argv[1] == "runs": leave(ranks)
