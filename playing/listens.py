"""Which node of a body listens to which: by how much what one shows moves the mean action of another.

    S_ij = E_s ‖∂μ_i/∂x_j‖₂    the states s are those that the policy itself meets

It is the same measure for every encoder. It is local: what would happen if x_j moved far is not in it, nor is how much
x_j moves in play. A transformer's attention, drawn below it, is no measure of influence (Jain & Wallace 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from agents.diagnostics import as_encoded
from analysis.cells import as_function
from analysis.saliency import listening
from encoders.base import describe, kind_of
from encoders.transformer import Transformer
from playing.lipschitz import actor_of

if TYPE_CHECKING:
    from agents import Policy

STATES = 64  # that the measure is a mean over
MOST = 3  # nodes that a line names


@dataclass(frozen=True)
class Listens:
    """Which node of a body listens to which.

    Attributes:
        body: an `envs.bodies.graph.Body`.
        name: of it.
        acting: the nodes that act.
        strength: S, a row for each of them.
        attention: of them to each token, mean over heads and states; None: the encoder is no transformer.
        states: how many states the means are over.
    """

    body: Any
    name: str
    acting: list[int]
    strength: Float[np.ndarray, "acting nodes"]
    attention: Float[np.ndarray, "layers acting tokens"] | None
    states: int

    @property
    def shares(self) -> Float[np.ndarray, "acting nodes"]:
        """S with rows that sum to 1; those of nodes that listen to nothing are zeros."""
        total = self.strength.sum(1, keepdims=True)
        return self.strength / np.where(total > 0, total, 1)

    @property
    def tokens(self) -> list[str]:
        """The names of what is attended to: the class token, where there is one, and the nodes."""
        more = 0 if self.attention is None else self.attention.shape[2] - self.body.nodes
        return [*["class token"] * more, *self.body.names]

    def lines(self) -> str:
        """For each node that acts the three that it listens to most, with shares."""
        names, rows = self.body.names, []
        width = max(len(names[node]) for node in self.acting)
        for node, shares in zip(self.acting, self.shares, strict=True):
            most = [other for other in np.argsort(-shares, kind="stable")[:MOST] if shares[other] > 0]
            heard = ", ".join(f"{names[other]} {shares[other]:.0%}" for other in most)
            rows.append(f"  {names[node].ljust(width)}  {heard or 'nothing'}")
        return "\n".join(rows)


def check_listens(policy: Policy) -> None:
    """Raise ValueError unless a policy is one of bodies."""
    if kind_of(policy.observation_space) != "body":
        raise ValueError(
            f"listens= needs a policy of bodies, as of env=bodies; this one reads {describe(policy.observation_space)}"
        )


def listening_of(policy: Policy, options: dict[str, Any], states: Any) -> Listens:
    """Measure it on at most `STATES` of these observations, at even distances.

    Args:
        options: of the environment that the policy plays; of several bodies the first is looked at.
        states: (raw) observations that it met.

    Raises:
        ValueError: none of the observations shows the body.
    """
    import envs

    env = envs.make_env(options["id"], kwargs=options.get("kwargs"))
    kind, layout = env.get_wrapper_attr("kinds")[0], env.get_wrapper_attr("layout")
    still = {key: part for key, part in layout.still(kind.body).items() if key != "nodes"}
    shown = [(states[key] == part).reshape(len(states[key]), -1).all(1) for key, part in still.items()]
    own = np.flatnonzero(np.logical_and.reduce(shown))
    if not len(own):
        raise ValueError(f"listens= draws {kind.task.name}, and no state of it was met; play more episodes=")
    own = own[np.unique(np.linspace(0, len(own) - 1, STATES).round().astype(int))]
    policy.module.set_training_mode(False)
    network, obs = actor_of(policy, "listens")[1], as_encoded(policy, {key: part[own] for key, part in states.items()})
    nodes, acting = kind.body.nodes, np.flatnonzero(kind.body.motors >= 0).tolist()
    function, x = as_function(network, obs)
    return Listens(
        body=kind.body,
        name=kind.task.name,
        acting=acting,
        strength=listening(function, x, acting)[:, :nodes].cpu().numpy(),
        attention=_attention(network, obs, nodes, acting),
        states=len(own),
    )


@torch.no_grad()
def _attention(
    network: torch.nn.Module, obs: Any, nodes: int, acting: list[int]
) -> Float[np.ndarray, "layers acting tokens"] | None:
    """The attention of a body's nodes, without padding; None: the network has no transformer."""
    encoder = next((module for module in network.modules() if isinstance(module, Transformer)), None)
    if encoder is None:
        return None
    weights = encoder.weights(obs).mean((0, 2))
    first = weights.shape[2] - obs["nodes"].shape[1]  # the class token, if there is one
    return weights[:, [first + node for node in acting], : first + nodes].cpu().numpy()
