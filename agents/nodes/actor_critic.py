"""The heads of PPO and A2C on the features of nodes."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import nn

from agents.nodes.gaussian import MaskedDiagGaussian
from encoders.heads import SMALL, AveragedHead, NodeHead, PooledHead
from encoders.nodes import NodeFeatures
from symmetry import Representation


def build(policy: Any, layout: NodeFeatures, actions: Representation | None = None) -> None:
    """Give an SB3 policy a head for each node, one standard deviation for all of them, and a value of the whole body.

    Args:
        layout: of the features; under a symmetry, of each of their |G| copies.
        actions: how they transform under the symmetry that the policy obeys, if it obeys one.

    Raises:
        ValueError: the actions are not one for each node, or gSDE explores.
    """
    check_nodes(layout, policy.action_space, policy.use_sde)
    policy.action_dist = MaskedDiagGaussian(layout.nodes)
    policy.ties = torch.zeros(layout.nodes, dtype=torch.long)
    policy._parameters["log_std"] = nn.Parameter(torch.ones(1) * policy.log_std_init)
    policy.action_net, policy.value_net = NodeHead(layout, SMALL), PooledHead(layout)
    if actions is not None:
        means_and_mask = actions + actions.unsigned()
        policy.action_net = AveragedHead(policy.action_net, means_and_mask)
        policy.value_net = AveragedHead(policy.value_net, Representation.trivial(actions.group))


def check_nodes(layout: NodeFeatures, actions: spaces.Space, use_sde: bool) -> None:
    """Raise ValueError unless every node of a body has one action, without gSDE."""
    if not isinstance(actions, spaces.Box) or actions.shape != (layout.nodes,):
        raise ValueError(f"a body of {layout.nodes} nodes acts in Box(-1, 1, ({layout.nodes},)); got {actions}")
    if use_sde:
        raise ValueError("agent.use_sde=true explores by the features of the whole body; the heads of nodes need false")
