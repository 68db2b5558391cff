"""SB3's PPO in a fraction of the time: the same hyperparameters, logs and files.

    eager     the same arithmetic in the same order: SB3's parameters, bit for bit, after any number of updates
    compiled  one compiled graph for a minibatch step: equal to rounding (agents/ppo/compiled.py)
    distinct  each distinct observation of a rollout is encoded once while collecting, and each of a minibatch once
              while learning: equal to rounding; for encoders without memory on observations that repeat
    overlap   the engine steps one half of the environments while the policy acts on the other (agents/ppo/collect.py)

Options that only SB3's own class supports (`sb3_only`) are left to it.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3 import PPO

from agents.ppo.collect import not_overlapped
from agents.ppo.distributions import distribution_for
from agents.ppo.learning import Epochs
from agents.ppo.loss import Loss
from agents.ppo.update import Settings

REPAID = 25_000  # minibatch steps: compiling takes 10 to 50 s and saves 1 to 8 ms in each (benchmarks/training.py)


class FastPPO(Epochs, PPO):
    """SB3's PPO with faster collection and updates.

    Args:
        implementation: "eager", "compiled", or "auto": compiled on a CPU with a C++ compiler if the run has `REPAID`
            minibatch steps or more and the encoder can be traced, else eager; decided when `learn` is called.
        distinct: see `agents.ppo.learning.Learning`.
        overlap: whether the policy acts on one half of the environments while the other steps; "auto": on CUDA, where
            the environments can be stepped in halves (the batched engine of MiniGrid, an even number); decided when
            `learn` is called, into `overlapping`.
        normalize_advantage: SB3's true and false, or "peak": over whole rollouts, divided by a decaying peak of recent
            RMS advantages (`Rollout.scale_advantages`).
        precision: "float32", or "bf16": the encoder computes in bfloat16 (CUDA only).
        args, kwargs: SB3's, see `agents.ppo.learning.Learning`.

    Raises:
        ValueError: an option that only SB3's PPO has, or a precision that the device does not have.
    """

    repaid = REPAID

    def __init__(
        self,
        *args: Any,
        overlap: bool | str = "auto",
        normalize_advantage: bool | str = True,
        precision: str = "float32",
        **kwargs: Any,
    ):
        if overlap not in ("auto", True, False):
            raise ValueError(f"agent.overlap is auto, true or false; got {overlap!r}")
        if normalize_advantage not in (True, False, "peak"):
            raise ValueError(f"agent.normalize_advantage is true, false or peak; got {normalize_advantage!r}")
        if precision not in ("float32", "bf16"):
            raise ValueError(f"precision is float32 or bf16; got {precision!r}")
        self.overlap, self.precision = overlap, precision
        super().__init__(*args, normalize_advantage=normalize_advantage, **kwargs)

    def _setup_model(self) -> None:
        if self.precision == "bf16" and not (self.device.type == "cuda" and torch.cuda.is_bf16_supported()):
            raise ValueError(
                f"precision=bf16 needs a CUDA device that computes in bfloat16; this is {self.device.type}"
            )
        super()._setup_model()

    def decide(self, total_timesteps: int) -> str:
        assert self.env is not None
        reason = not_overlapped(self.env)
        if self.overlap is True and reason:
            raise ValueError(f"agent.overlap=true is not possible here: {reason}; use auto or false")
        self.overlapping = reason is None and self.overlap in (True, "auto" if self.device.type == "cuda" else True)
        return super().decide(total_timesteps)

    def _settings(self) -> Settings:
        distribution = distribution_for(self.policy)
        assert distribution is not None
        normalize: Any = self.normalize_advantage
        loss = Loss(distribution, normalize is True, self.ent_coef, self.vf_coef, self.clip_range_vf is not None)
        return Settings(self.policy, loss, self.max_grad_norm, self.target_kl, self.precision == "bf16")
