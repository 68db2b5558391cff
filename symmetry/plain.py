"""Leaving no trace: networks of ordinary layers that compute what equivariant ones do."""

from __future__ import annotations

import copy

from torch import nn


def to_plain(module: nn.Module) -> nn.Module:
    """A copy with the same outputs in which every equivariant layer is an ordinary nn.Linear, nn.Conv2d, pooling.

    It needs this package no longer, and its weights are free: trained further, it obeys nothing. Modules of one's own
    take part by a method `to_plain()`; a module that occurs several times remains one module.
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
