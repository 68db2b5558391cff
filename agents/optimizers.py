"""What the optimizers of a policy train: weights that decay, and no frozen encoder."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from encoders.layers.dropout import dropouts
from encoders.layers.normalization import BatchNorm

NORMALIZATIONS = (BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)


class Optimized:
    """An SB3 policy whose weights may decay, and whose encoders may be frozen.

    Args:
        weight_decay: λ, see `decay`.
        freeze: whether its encoders are not trained, see `freeze_encoders`.
        args, kwargs: SB3's.
    """

    def __init__(self, *args: Any, weight_decay: float = 0.0, freeze: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if freeze:
            freeze_encoders(self)
        if weight_decay:
            decay(self, weight_decay)


def decay(policy: Any, weight_decay: float) -> None:
    """Replace every Adam of a policy by AdamW, θ ← θ - η λ θ beside the step (Loshchilov & Hutter 2019, algorithm 2).

    Biases, the gains of normalizations and the logarithms of standard deviations do not decay.

    Raises:
        ValueError: λ is negative, or an optimizer is not Adam.
    """
    if not weight_decay > 0:
        raise ValueError(f"agent.weight_decay is at least 0, like 1e-2; got {weight_decay!r}")
    alone = spared(policy)
    for owner in owners(policy):
        adam = owner.optimizer
        if type(adam) is not torch.optim.Adam:
            hint = "; use agent.use_rms_prop=false" if "RMSprop" in type(adam).__name__ else ""
            raise ValueError(f"agent.weight_decay is AdamW's, and the optimizer is {type(adam).__name__}{hint}")
        parameters = adam.param_groups[0]["params"]
        groups = [
            {"params": [p for p in parameters if id(p) not in alone], "weight_decay": weight_decay},
            {"params": [p for p in parameters if id(p) in alone], "weight_decay": 0.0},
        ]
        owner.optimizer = torch.optim.AdamW(groups, **{key: adam.defaults[key] for key in ("lr", "betas", "eps")})


def freeze_encoders(policy: Any) -> None:
    """Make the parameters of a policy's encoders buffers of the same names: nothing trains them.

    No gradient is computed for them, and neither an optimizer nor a target network's following reaches them. Frozen
    encoders stay in evaluation mode: they drop nothing, and the statistics of batch normalization stay as they are.
    """
    frozen: dict[int, tuple[nn.Parameter, torch.Tensor]] = {}
    for encoder in encoders_of(policy).values():
        encoder.eval()
        encoder.train = partial(_stays, encoder)  # type: ignore[assignment, method-assign]
        for layer in dropouts(encoder):
            layer.p = 0.0
        for part in encoder.modules():
            for name, parameter in [*part.named_parameters(recurse=False, remove_duplicate=False)]:
                _, buffer = frozen.setdefault(id(parameter), (parameter, parameter.requires_grad_(False).detach()))
                delattr(part, name)
                part.register_buffer(name, buffer)
    for owner in owners(policy):
        for group in owner.optimizer.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in frozen]


def _stays(module: nn.Module, mode: bool = True) -> nn.Module:
    """`nn.Module.train` of a module that stays in its mode."""
    return module


def encoders_of(policy: nn.Module) -> dict[str, BaseFeaturesExtractor]:
    """The encoders of a policy by the name of their place, a shared one once; none that is a part of another."""
    found: dict[str, BaseFeaturesExtractor] = {}
    for name, module in policy.named_modules():
        within = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, BaseFeaturesExtractor) and not within:
            found[name] = module
    return found


def owners(policy: Any) -> list[Any]:
    """The parts of a policy that have an optimizer."""
    parts = [policy, getattr(policy, "actor", None), getattr(policy, "critic", None)]
    return [part for part in parts if getattr(part, "optimizer", None) is not None]


def spared(policy: nn.Module) -> set[int]:
    """The ids of the parameters that do not decay."""
    return {
        id(parameter)
        for module in policy.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if "bias" in name or name == "log_std" or isinstance(module, NORMALIZATIONS)
    }
