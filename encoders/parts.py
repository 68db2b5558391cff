"""The parts of a policy.

stem      what embeds the cells of a grid (encoders/layers/stem.py)
trunk     the rest of an encoder: all of it where it reads no grid
memory    recurrent layers behind the encoder
heads     everything else: output layers, critics of continuous actions, standard deviations
"""

from __future__ import annotations

from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from encoders.layers.stem import Stem

KINDS: dict[str, type[nn.Module]] = {
    "stem": Stem,
    "trunk": BaseFeaturesExtractor,
    "memory": nn.RNNBase,
    "heads": nn.Module,
}
PARTS = (*KINDS,)


def parts_of(policy: nn.Module) -> dict[str, str]:
    """The part of each parameter, by its name: the first of `KINDS` that it is inside of.

    Target networks follow others, so their parameters are in none.
    """
    places = {
        part: tuple(f"{name}." if name else "" for name, module in policy.named_modules() if isinstance(module, kind))
        for part, kind in KINDS.items()
    }
    names = [name for name, _ in policy.named_parameters() if "target" not in name.split(".")[0]]
    return {name: next(part for part in PARTS if name.startswith(places[part])) for name in names}
