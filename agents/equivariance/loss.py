"""The symmetry loss: a soft penalty on a policy that breaks the symmetry (Yu et al. 2018, equation 4; Abdolhosseini et
al. 2019, section 3.3; the regularizer that van der Pol et al. 2020 compare with).

    L ← L + λ · Σ_h mean over g ≠ e, states and outputs of (ψ_h(g)⁻¹ h(φ(g)s) - h(s))²

with h the log-probabilities (or means) and values of PPO and A2C, Q values of DQN, quantiles of QR-DQN, means of SAC
and TD3. It is added where the algorithm cannot tell: the features of a minibatch pass unchanged, and going back through
them adds the penalty's gradient to the loss's, before clipping, whatever the loss is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import Tensor, nn

from encoders.average import check_sizes, orbit
from symmetry import Symmetry

Heads = Callable[[Tensor], list[tuple[bool, Tensor]]]  # features -> outputs, and whether actions are their last axis


class Beside(torch.autograd.Function):
    """The features as they are; in the backward pass the penalty beside them has derivative 1, as the loss has."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, penalty: Tensor) -> Tensor:
        ctx.shape = penalty.shape
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return gradient, gradient.new_ones(ctx.shape)


def penalty(symmetry: Symmetry, outputs: list[tuple[bool, Tensor]], twins: list[tuple[bool, Tensor]]) -> Tensor:
    """Σ_h mean (ψ_h(g)⁻¹ h(φ(g)s) - h(s))²; `twins` holds h(φ(g)s) for all g ≠ e, element after element."""
    group, total = symmetry.group, torch.zeros((), device=outputs[0][1].device)
    for (acts, here), (_, there) in zip(outputs, twins, strict=True):
        each = there.reshape(group.order - 1, *here.shape).unbind()
        back = [symmetry.action(group.inverse(g), h) if acts else h for g, h in enumerate(each, start=1)]
        total = total + (torch.stack(back) - here).square().mean()
    return total


def penalize(policy: BasePolicy, symmetry: Symmetry, weight: float) -> None:
    """Add `weight` times the penalty to every loss that the policy's actor (or Q network) is trained by.

    Raises:
        ValueError: a weight that is no positive number, or a symmetry that does not match the observations.
    """
    if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not weight > 0:
        raise ValueError(f"symmetry.weight is a positive number; got {weight!r}")
    check_sizes(symmetry, policy.observation_space)
    elements = list(range(1, symmetry.group.order))
    if not elements:
        return

    def watch(encoder: nn.Module, heads: Heads) -> None:
        def attach(module: nn.Module, inputs: tuple[Any, ...], features: Tensor) -> Tensor:
            if not (module.training and torch.is_grad_enabled()):
                return features
            twins = heads(module.forward(orbit(symmetry, inputs[0], elements)))
            return Beside.apply(features, weight * penalty(symmetry, heads(features), twins))

        encoder.register_forward_hook(attach)

    for encoder, heads in trained(policy):
        watch(encoder, heads)


def trained(policy: Any) -> list[tuple[nn.Module, Heads]]:
    """The encoders that a loss reaches, and what the heads say of their features."""
    if isinstance(policy, ActorCriticPolicy):
        discrete = isinstance(policy.action_space, spaces.Discrete)

        def acts(features: Tensor) -> list[tuple[bool, Tensor]]:
            output = policy.action_net(policy.mlp_extractor.forward_actor(features))
            return [(True, output.log_softmax(-1) if discrete else output)]

        def values(features: Tensor) -> list[tuple[bool, Tensor]]:
            return [(False, policy.value_net(policy.mlp_extractor.forward_critic(features)))]

        if policy.share_features_extractor:
            return [(policy.features_extractor, lambda features: acts(features) + values(features))]
        return [(policy.pi_features_extractor, acts), (policy.vf_features_extractor, values)]
    if hasattr(policy, "q_net"):
        return [(policy.q_net.features_extractor, lambda features: [(True, policy.q_net.q_net(features))])]
    if hasattr(policy, "quantile_net"):
        network = policy.quantile_net
        shape = (-1, network.n_quantiles, int(policy.action_space.n))
        return [(network.features_extractor, lambda f: [(True, network.quantile_net(f).reshape(shape))])]
    actor = policy.actor
    if hasattr(actor, "latent_pi"):
        return [(actor.features_extractor, lambda features: [(True, actor.mu(actor.latent_pi(features)))])]
    return [(actor.features_extractor, lambda features: [(True, actor.mu(features))])]
