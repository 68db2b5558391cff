"""The symmetry loss: a soft penalty on a policy that breaks the symmetry (Yu et al. 2018, equation 4; Abdolhosseini et
al. 2019, section 3.3; the regularizer that van der Pol et al. 2020 compare with).

    L ← L + λ · Σ_h mean over g ≠ e, states and outputs of (ψ_h(g)⁻¹ h(φ(g)s) - h(s))²

with h the log-probabilities (or means) and values of PPO and A2C, Q values of DQN, quantiles of QR-DQN, means of SAC
and TD3. No algorithm needs to know of it: a hook passes the features of a minibatch on unchanged, and in the backward
pass adds the penalty's gradient to that of the loss, whatever the loss is, before gradients are clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from agents.heads import SCALES, transformed
from encoders.average import check_sizes, orbit
from symmetry import Symmetry

Heads = Callable[[Tensor], list[tuple[str, Tensor]]]  # features -> outputs, and how each transforms


class Beside(torch.autograd.Function):
    """Passes features on unchanged; in the backward pass the penalty gets derivative 1, as the loss does."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, penalty: Tensor) -> Tensor:
        ctx.shape = penalty.shape
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return gradient, gradient.new_ones(ctx.shape)


def penalty(symmetry: Symmetry, outputs: list[tuple[str, Tensor]], twins: list[tuple[str, Tensor]]) -> Tensor:
    """Σ_h mean (ψ_h(g)⁻¹ h(φ(g)s) - h(s))²; `twins` holds h(φ(g)s) for all g ≠ e, element after element."""
    group, total = symmetry.group, torch.zeros((), device=outputs[0][1].device)
    for (how, here), (_, there) in zip(outputs, twins, strict=True):
        each = there.reshape(group.order - 1, *here.shape).unbind()
        back = [transformed(symmetry, how, group.inverse(g), h) for g, h in enumerate(each, start=1)]
        total = total + (torch.stack(back) - here).square().mean()
    return total


def penalize(policy: BasePolicy, symmetry: Symmetry, weight: float) -> None:
    """Add `weight` times the penalty to every loss that trains the policy's actor (or Q network).

    Raises:
        ValueError: the weight is not a positive number, or a symmetry that does not match the observations.
    """
    if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not weight > 0:
        raise ValueError(f"symmetry.weight is a positive number; got {weight!r}")
    check_sizes(symmetry, policy.observation_space)
    elements = list(range(1, symmetry.group.order))
    if not elements:
        return

    def watch(encoder: nn.Module, heads: Heads) -> None:
        def attach(module: nn.Module, inputs: tuple[Any, ...], features: Tensor) -> Tensor:
            if not (policy.training and torch.is_grad_enabled()):  # a frozen encoder is never in training mode
                return features
            twins = heads(module.forward(orbit(symmetry, inputs[0], elements)))
            return Beside.apply(features, weight * penalty(symmetry, heads(features), twins))

        encoder.register_forward_hook(attach)

    for encoder, heads in trained(policy):
        watch(encoder, heads)


def trained(policy: Any) -> list[tuple[nn.Module, Heads]]:
    """The encoders that the penalty reaches, each once, with the heads on its features."""
    encoders = policy.encoders()
    names: dict[int, list[str]] = {}
    for name in policy.penalized:
        names.setdefault(id(encoders[name]), []).append(name)

    def heads(names: list[str], features: Tensor) -> list[tuple[str, Tensor]]:
        found = policy.heads(dict.fromkeys(names, features)).values()
        return [(how, output) for how, output in found if how != SCALES]

    return [(encoders[several[0]], partial(heads, several)) for several in names.values()]
