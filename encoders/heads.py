"""Heads: from features to logits, means, values and Q values. Pure torch modules.

Without a symmetry a head is an ordinary linear layer. With one it is the equivariant layer from the features'
representation to that of its output:

    policy logits, Q values       how the actions transform, ψ
    dueling Q values              V trivial, A ψ: Q = V + A - mean A
    quantiles                     a copy of ψ for each quantile
    mean of a Gaussian            ψ;  its log standard deviation: |ψ|, where it is no function of the state
                                  one free number for each orbit of |ψ| (`ties`)
    value                         trivial
    actions of a body's nodes     a head for each type of node (`NodeHead`), averaged (`AveragedHead`)
    Q(s, a) of a continuous critic   from features ⊕ ψ to the trivial representation; of a body: `NodeCritic`
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from encoders.base import mlp
from encoders.nodes import NodeFeatures
from symmetry import EquivariantLinear, Representation

FEWEST, ROUND = 32, 8  # hidden units of a continuous critic
SMALL = 0.01  # initial scale of policy heads: the first policy is nearly uniform, whatever the encoder


def head(
    features: int | Representation, outputs: int | Representation, gain: float = 1.0
) -> nn.Linear | EquivariantLinear:
    """A linear map from features to outputs: equivariant if both are representations, ordinary if both are sizes.

    Initial weights are uniform in ±gain/√fan_in, the bias is zero.
    """
    if isinstance(features, Representation) and isinstance(outputs, Representation):
        return EquivariantLinear(features, outputs, gain=gain)
    assert isinstance(features, int) and isinstance(outputs, int)
    linear = nn.Linear(features, outputs)
    bound = gain / features**0.5
    nn.init.uniform_(linear.weight, -bound, bound)
    nn.init.zeros_(linear.bias)
    return linear


def critic(
    features: int | Representation | NodeFeatures, action: int | Representation, hidden: tuple[int, ...]
) -> nn.Sequential | NodeCritic:
    """Q(s, a) = head(trunk(features ⊕ action)); an affine Q would make the best action ignore the state.

    Args:
        features, action: sizes, or representations for an invariant Q(φ(g)s, ψ(g)a) = Q(s, a); or how the features of
            the nodes of a body are laid out, for a `NodeCritic`.
        hidden: units of the trunk's layers (rounded up to copies of the regular representation).
    """
    if isinstance(features, NodeFeatures):
        return NodeCritic(features, hidden)
    if isinstance(features, Representation) and isinstance(action, Representation):
        group = features.group
        regular = Representation.regular(group)
        reps = [features + action] + [regular * -(-units // group.order) for units in hidden]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(reps, reps[1:], strict=False):
            layers += [EquivariantLinear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, head(reps[-1], Representation.trivial(group)))
    assert isinstance(features, int) and isinstance(action, int)
    sizes = (features + action, *hidden)
    return nn.Sequential(*mlp(*sizes), head(sizes[-1], 1))


def units_for(
    encoder: nn.Module, features: int | Representation | NodeFeatures, action: int | Representation, critics: int
) -> int:
    """Units of one hidden layer with which n critics behind an encoder are as large as n critics with one each,

        n · |critic| = (n - 1) · |encoder|, counting parameters

    rounded to a multiple of `ROUND`, which processors multiply by faster, and at least `FEWEST`.

    Stable-Baselines3's critics share nothing: each has hidden layers as large as the actor's.

    Args:
        features, action: as for `critic`.
        critics: n.
    """
    order = features.group.order if isinstance(features, Representation) else 1
    one, two = (_count(critic(features, action, (copies * order,))) for copies in (1, 2))
    fixed = 2 * one - two - 1  # parameters of φ in a `NodeCritic`, which has them whatever its units; else 0
    wanted = (critics - 1) / critics * _count(encoder) - fixed
    return max(FEWEST, round(wanted / (two - one) * order / ROUND) * ROUND)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class Dueling(nn.Module):
    """Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a') (Wang et al. 2016, equation 9).

    The mean over actions is invariant under permutations, so Q transforms as A does.

    Args:
        features, actions: sizes, or representations.
    """

    def __init__(self, features: int | Representation, actions: int | Representation):
        super().__init__()
        symmetric = isinstance(features, Representation)
        self.value = head(features, Representation.trivial(features.group) if symmetric else 1)  # type: ignore[union-attr]
        self.advantage = head(features, actions)

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch actions"]:
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(-1, keepdim=True)


def ties(actions: Representation) -> Int[Tensor, " actions"]:
    """Which free number each component of an invariant scale shares: its orbit under |ψ|, numbered from 0."""
    return actions.source.amin(0).unique(return_inverse=True)[1]


class NodeHead(nn.Module):
    """The mean action of each node of a body, from its state, with weights for each type: μ_i = w_t(i)·h_i + b_t(i).

    It gives means and, behind them, which nodes act: (batch, 2 · nodes). A node that does not act has the mean 0. Where
    nodes have no states, one linear head reads all means off the pooled features.

    Args:
        layout: of the features.
        gain: scale of the initial weights.
        masked: whether it also gives which nodes act.
    """

    def __init__(self, layout: NodeFeatures, gain: float = 1.0, masked: bool = True):
        super().__init__()
        self.layout, self.masked = layout, masked
        self.linear = (
            head(layout.width, layout.types, gain) if layout.width else head(layout.pooled, layout.nodes, gain)
        )

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch means_and_maybe_mask"]:
        pooled, states, acting = self.layout.split(features)
        mask = acting.sum(2)
        means = (self.linear(states) * acting).sum(2) if self.layout.width else self.linear(pooled) * mask
        return torch.cat([means, mask], dim=1) if self.masked else means


class PooledHead(nn.Module):
    """A linear head on the pooled features of a body: its value."""

    def __init__(self, layout: NodeFeatures, outputs: int = 1):
        super().__init__()
        self.layout, self.linear = layout, head(layout.pooled, outputs)

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        return self.linear(features[:, : self.layout.pooled])


class NodeCritic(nn.Module):
    """Q(s, a) of a body, from pooled features, the states h of its nodes and their actions,

        Q = head(trunk(pooled ⊕ mean of φ(h_i ⊕ acting_i ⊕ a_i)))

    The mean is over the nodes that act; acting_i is the one-hot of the type of node i (`encoders.nodes`). φ is one
    layer as wide as a state. Q depends neither on how many nodes there are nor on their order, and actions of nodes
    that do not act are not read. Where nodes have no states, Q = head(trunk(pooled ⊕ a)) with those actions as 0.

    Source of the form: deep sets (Zaheer et al. 2017).

    Args:
        layout: of the features.
        hidden: units of the trunk's layers.
    """

    def __init__(self, layout: NodeFeatures, hidden: tuple[int, ...]):
        super().__init__()
        self.layout = layout
        self.of_node = mlp(layout.width + layout.types + 1, layout.width) if layout.width else None
        self.of_body = critic(layout.pooled, layout.width or layout.nodes, hidden)

    def forward(self, inputs: Float[Tensor, "batch features_and_actions"]) -> Float[Tensor, "batch 1"]:
        features, actions = inputs.split([self.layout.size, self.layout.nodes], dim=1)
        pooled, states, acting = self.layout.split(features)
        mask = acting.sum(2)
        acts = actions * mask
        if self.of_node is not None:
            each = self.of_node(torch.cat([states, acting, acts[..., None]], dim=2))
            acts = (each * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return self.of_body(torch.cat([pooled, acts], dim=1))


class AveragedHead(nn.Module):
    """Any head f, averaged over a group: f̄(z) = 1/|G| Σ_g ρ(g) f(z_g) for features z that are regular representations.

    Where the features are z(φ(h)s)_g = z(s)_{h⁻¹g} (`encoders.average`), f̄(z(φ(h)s)) = ρ(h) f̄(z(s)), whatever f is.

    Args:
        head: f, of features (batch, size).
        outputs: ρ, how what it gives transforms.
    """

    def __init__(self, head: nn.Module, outputs: Representation):
        super().__init__()
        self.head, self.outputs = head, outputs

    def forward(self, features: Float[Tensor, "batch size_times_order"]) -> Float[Tensor, "batch outputs"]:
        order = self.outputs.group.order
        copies = features.unflatten(1, (-1, order)).unbind(2)
        return torch.stack([self.outputs(g, self.head(z)) for g, z in enumerate(copies)]).mean(0)


class PointwiseTanh(nn.Module):
    """A head followed by tanh: deterministic actions in [-1, 1]; tanh is odd, so signs pass through it."""

    def __init__(self, linear: nn.Module):
        super().__init__()
        self.linear = linear

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch actions"]:
        return torch.tanh(self.linear(x))
