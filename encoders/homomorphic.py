"""Homomorphic: an MLP whose every layer commutes with the environment's symmetry (van der Pol et al. 2020)."""

from __future__ import annotations

from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, describe, encoders_reading
from symmetry import EquivariantLinear, Representation, Symmetry

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


class Homomorphic(Encoder):
    """f(φ(g)s) = ρ(g) f(s) for every g: equivariant linear layers between copies of the regular representation.

    ρ permutes features without signs, so any pointwise activation keeps the law. With equivariant heads behind it
    (`encoders.heads`), π(ψ(g)a | φ(g)s) = π(a | s) and V(φ(g)s) = V(s).

    Args:
        observation_space: a vector Box whose environment declares a symmetry.
        symmetry: that declaration.
        channels: copies of the regular representation in each layer; the number of features is channels·|G|.
        layers: number of layers.
        activation: "tanh" or "relu".

    Raises:
        ValueError: no symmetry, one whose sizes do not match the observation, or an unknown activation.
    """

    reads = ("vector",)

    def __init__(
        self,
        observation_space: spaces.Space,
        symmetry: Symmetry | None = None,
        channels: int = 64,
        layers: int = 2,
        activation: str = "tanh",
    ):
        if symmetry is None:
            others = ", ".join(name for name in encoders_reading("vector") if name != "homomorphic")
            raise ValueError(
                "encoder Homomorphic needs an environment that declares a symmetry, and this one declares none; "
                f"encoders that need none: {others}"
            )
        super().__init__(observation_space, channels * symmetry.group.order)
        rep_in = symmetry.observation.get("observation")
        if not isinstance(rep_in, Representation) or observation_space.shape != (rep_in.size,):
            declared = {key: representation.size for key, representation in symmetry.observation.items()}
            raise ValueError(
                f"encoder Homomorphic: the symmetry is declared on {declared}, got {describe(observation_space)}"
            )
        if activation not in ACTIVATIONS:
            raise ValueError(f"encoder.activation is {' or '.join(ACTIVATIONS)}, got {activation!r}")
        self.out_rep = Representation.regular(symmetry.group) * channels
        reps = [rep_in] + [self.out_rep] * layers
        self.trunk = nn.Sequential(
            *(
                module
                for inputs, outputs in zip(reps, reps[1:], strict=False)
                for module in (EquivariantLinear(inputs, outputs), ACTIVATIONS[activation]())
            )
        )

    def forward(self, obs: Float[Tensor, "batch size"]) -> Float[Tensor, "batch features"]:
        return self.trunk(obs)
