"""Networks of ordinary layers that compute what equivariant ones do."""

from __future__ import annotations

import copy

from torch import nn


def to_plain(module: nn.Module) -> nn.Module:
    """A copy with the same outputs in which every equivariant layer is an ordinary nn.Linear, nn.Conv2d, pooling.

    It does not need this package, and nothing ties its weights: trained further, it breaks the symmetry. Your own
    modules take part if they have a method `to_plain()`. A module that occurs several times remains one module.
    """
    replaced: dict[int, nn.Module] = {}

    def replace(part: nn.Module) -> nn.Module:
        if id(part) not in replaced:
            own = getattr(part, "to_plain", None)
            replaced[id(part)] = own() if callable(own) else part
            if not callable(own):
                for name, child in part._modules.items():
                    if child is not None:
                        part._modules[name] = replace(child)
        return replaced[id(part)]

    return replace(copy.deepcopy(module))
