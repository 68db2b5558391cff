"""Homomorphic: a network whose every layer commutes with the environment's symmetry (van der Pol et al. 2020)."""

from __future__ import annotations

from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, activation_named, describe, encoders_reading, items, kind_of
from encoders.layers.equivariant import EquivariantGrid, regular
from encoders.layers.stem import Observation
from encoders.ranges import require_choice, require_whole
from symmetry import EquivariantLinear, Representation, Symmetry


class Homomorphic(Encoder):
    """f(φ(g)s) = ρ(g) f(s) for every g, ρ copies of the regular representation.

    Vectors pass through equivariant linear layers: ρ permutes features without signs, so any pointwise activation keeps
    the law. Grids pass through equivariant convolutions (`encoders.layers.equivariant`). With equivariant heads behind
    it (`encoders.heads`), π(ψ(g)a | φ(g)s) = π(a | s) and V(φ(g)s) = V(s).

    Args:
        observation_space: vectors or grids whose environment declares a symmetry.
        symmetry: that declaration.
        channels: vectors: copies of the regular representation in each layer, so that there are channels·|G| features.
        layers: number of linear layers (vectors) or 3×3 convolutions (grids).
        activation: "tanh" or "relu" (vectors only).
        width: number of features (grids only); this and `filters` are rounded up to multiples of |G|.
        filters: channels of each convolution (grids only).
        pooling: "flatten" keeps every position; "max", the maximum over cells, fits any grid size (grids only).

    Raises:
        ValueError: no symmetry, one whose sizes do not match the observation, or an unknown activation or pooling.
    """

    reads = ("vector", "grid")
    equivariant = True
    scaled = ("width", "filters", "channels")

    def __init__(
        self,
        observation_space: spaces.Space,
        symmetry: Symmetry | None = None,
        channels: int = 64,
        layers: int = 2,
        activation: str = "tanh",
        width: int = 128,
        filters: int = 32,
        pooling: str = "flatten",
    ):
        if symmetry is None:
            others = ", ".join(name for name in encoders_reading("vector") if name != "homomorphic")
            raise ValueError(
                "encoder Homomorphic needs an environment that declares a symmetry, and this one declares none; "
                f"encoders that need none: {others}"
            )
        require_whole(1, channels=channels, layers=layers, width=width, filters=filters)
        require_choice(("flatten", "max"), pooling=pooling)
        is_grid = kind_of(observation_space) == "grid"
        out_rep = regular(symmetry, width) if is_grid else Representation.regular(symmetry.group) * channels
        super().__init__(observation_space, out_rep.size)
        self.out_rep = out_rep
        chosen = activation_named(activation)
        parts = dict(items(observation_space))
        symmetry.validate({key: part.shape for key, part in parts.items()})
        if not is_grid and len(parts) > 1:
            raise ValueError(f"encoder Homomorphic reads one vector or a grid; got {describe(observation_space)}")
        if is_grid:
            vocabulary = int(parts["mission"].high.max()) + 1 if "mission" in parts else 0
            grid = parts["image"].shape[:2]
            self.trunk: nn.Module = EquivariantGrid(grid, symmetry, vocabulary, width, filters, layers, pooling)
        else:
            (rep_in,) = symmetry.observation.values()
            assert isinstance(rep_in, Representation)
            reps = [rep_in] + [out_rep] * layers
            self.trunk = nn.Sequential(
                *(
                    module
                    for inputs, outputs in zip(reps, reps[1:], strict=False)
                    for module in (EquivariantLinear(inputs, outputs), chosen())
                )
            )

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        return self.trunk(obs)

    def stages(self) -> tuple[nn.Module, ...]:
        return (self.trunk,)
