"""The actors of SAC and TD3 on the features of nodes."""

from __future__ import annotations

from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.td3.policies import Actor as TD3Actor

from agents.nodes.actor_critic import check_nodes
from agents.nodes.gaussian import MaskedSquashedDiagGaussian
from encoders.heads import SMALL, NodeHead, PointwiseTanh
from encoders.nodes import NodeFeatures


def gaussian(actor: SACActor, layout: NodeFeatures) -> SACActor:
    """Give an actor a mean and a log standard deviation for each node.

    Raises:
        ValueError: the actions are not one for each node, or gSDE explores.
    """
    check_nodes(layout, actor.action_space, actor.use_sde)
    actor.action_dist = MaskedSquashedDiagGaussian(layout.nodes)  # type: ignore[assignment]
    actor.mu = NodeHead(layout)  # type: ignore[assignment]
    actor.log_std = NodeHead(layout, masked=False)  # type: ignore[assignment]
    return actor


def deterministic(actor: TD3Actor, layout: NodeFeatures) -> TD3Actor:
    """Give an actor an action for each node, the tanh of a head; 0 where a node does not act.

    Raises:
        ValueError: the actions are not one for each node.
    """
    check_nodes(layout, actor.action_space, use_sde=False)
    actor.mu = PointwiseTanh(NodeHead(layout, SMALL, masked=False))  # type: ignore[assignment]
    return actor
