"""What regularization asks of SB3's algorithms: decoupled weight decay, and dropout that acts as it learns.

Dropout and batch normalization are layers of the encoder (`encoders.layers`). The policies here make them obey the law
that PPO's ratio π/π_old is 1 before the first step of an update, in SB3's own classes too: while SB3 collects it puts
the policy into evaluation mode, where dropout rests, and `OnPolicy` wakes it for what will be learned from.

DQN, QR-DQN, SAC and TD3 learn from what another policy did, so there is no ratio: they act without dropout, and drop
while they learn, by masks renewed at each `train`. Batch normalization by stored statistics is the same for all agents.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from encoders.layers.dropout import acting, dropouts
from encoders.layers.normalization import SINGLE, BatchNorm, counts_samples

NORMALIZATIONS = (BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)


class Decayed:
    """An SB3 policy whose optimizers decay its weights.

    Args:
        weight_decay: λ, see `decay`.
        args, kwargs: SB3's.
    """

    def __init__(self, *args: Any, weight_decay: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if weight_decay:
            decay(self, weight_decay)


class OnPolicy(Decayed):
    """An SB3 policy that learns from what it did itself; `forward` and `predict_values` are called to collect that."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.dropouts = dropouts(self)  # type: ignore[arg-type]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with acting(self.dropouts):
            return super().forward(*args, **kwargs)  # type: ignore[misc]

    def predict_values(self, *args: Any, **kwargs: Any) -> Any:
        with acting(self.dropouts):
            return super().predict_values(*args, **kwargs)  # type: ignore[misc]


def decay(policy: Any, weight_decay: float) -> None:
    """Let every Adam of a policy be an AdamW (Loshchilov & Hutter 2019, algorithm 2): θ ← θ - η λ θ beside Adam's step.

    Biases, the gains of normalizations and the logarithms of standard deviations are left alone.

    Raises:
        ValueError: λ is negative, or an optimizer is not Adam.
    """
    if not weight_decay > 0:
        raise ValueError(f"agent.weight_decay is at least 0, like 1e-2; got {weight_decay!r}")
    alone = spared(policy)
    owners: list[Any] = [policy, getattr(policy, "actor", None), getattr(policy, "critic", None)]
    for owner in owners:
        adam = getattr(owner, "optimizer", None)
        if adam is None:
            continue
        if type(adam) is not torch.optim.Adam:
            hint = "; use agent.use_rms_prop=false" if "RMSprop" in type(adam).__name__ else ""
            raise ValueError(f"agent.weight_decay is AdamW's, and the optimizer is {type(adam).__name__}{hint}")
        parameters = adam.param_groups[0]["params"]
        groups = [
            {"params": [p for p in parameters if id(p) not in alone], "weight_decay": weight_decay},
            {"params": [p for p in parameters if id(p) in alone], "weight_decay": 0.0},
        ]
        owner.optimizer = torch.optim.AdamW(groups, **{key: adam.defaults[key] for key in ("lr", "betas", "eps")})


def spared(policy: nn.Module) -> set[int]:
    """The ids of the parameters that do not decay."""
    return {
        id(parameter)
        for module in policy.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if "bias" in name or name == "log_std" or isinstance(module, NORMALIZATIONS)
    }


def check_minibatches(model: BaseAlgorithm) -> None:
    """Raise ValueError if batch normalization would meet a minibatch of one sample."""
    size = getattr(model, "batch_size", None)
    if size is None or not counts_samples(model.policy):
        return
    rest = model.n_steps * model.n_envs % size if isinstance(model, OnPolicyAlgorithm) else 0
    if 1 in (size, rest):
        raise ValueError(SINGLE)
