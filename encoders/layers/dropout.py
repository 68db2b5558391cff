"""Dropout that a policy gradient can be trained with: consistent dropout (Hausknecht & Wagener 2022, section 4).

The policy that learns has to be the policy that acted, or π/π_old is not 1 before the first step of an update. So the
mask is not drawn afresh. It is a function of the observation s, the unit j, and a nonce that is renewed once per
rollout:

    y_j = x_j · [u(nonce, j, s) < 1 - p] / (1 - p),        u: a hash, uniform on [0, 1)

Nothing has to be stored with a sample: an observation has the same mask when the policy acts on it, in every epoch of
the update, and when it is encoded once for all samples that share it. Otherwise dropout is unchanged: units and
observations are dropped independently of each other.

A module drops while it learns (`training`) and while it collects samples to learn from (`acting`). In evaluation
nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

DROPS = ("features", "channels")

# of splitmix64 (Steele, Lea & Flood 2014), as the signed integers that torch has
FIRST, SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of a float


class Keyed(nn.Module):
    """A module whose `forward(x, key)` takes the key of each sample (`observation_key`); None without dropout."""


class Layers(Keyed, nn.Sequential):
    """Modules in sequence; those that take a key get it."""

    def forward(self, x: Tensor, key: Int[Tensor, " batch"] | None = None) -> Tensor:  # type: ignore[override]
        for module in self:
            x = module(x, key) if isinstance(module, Keyed) else module(x)
        return x


class Dropout(Keyed):
    """y_j = x_j · [u(nonce, j, s) < 1 - p] / (1 - p) while learning or acting, else y = x.

    The nonce is drawn with the network's parameters and renewed whenever learning stops, when the next rollout begins.

    Args:
        p: the probability that a unit is dropped.
        drops: what a unit is: "features", each number; "channels", all numbers of a channel (Tompson et al. 2015).
    """

    nonce: Int[Tensor, ""]

    def __init__(self, p: float, drops: str = "features"):
        super().__init__()
        self.p, self.drops, self.acting = p, drops, False
        self.register_buffer("nonce", torch.randint(2**62, ()))

    def forward(
        self, x: Float[Tensor, "batch channels *cells"], key: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channels *cells"]:
        if not (self.training or self.acting):
            return x
        assert key is not None, "dropout needs the keys of the observations"
        cells = x.shape[2:] if self.drops == "features" else torch.Size([1] * (x.dim() - 2))
        units = torch.arange(1, 1 + x.shape[1] * cells.numel(), device=x.device)
        numbers = _mixed(key[:, None] + _mixed(units + self.nonce))
        kept = _shifted(numbers, 33) < round((1 - self.p) * 2**31)
        return x * (kept.to(x.dtype) / (1 - self.p)).reshape(-1, x.shape[1], *cells)

    def train(self, mode: bool = True) -> Dropout:
        if self.training and not mode:
            self.nonce.copy_(_mixed(self.nonce + 1))
        return super().train(mode)

    def extra_repr(self) -> str:
        return f"p={self.p}, drops={self.drops}"


def dropouts(module: nn.Module) -> tuple[Dropout, ...]:
    """The layers within a module that drop something; those of frozen encoders do not (p = 0)."""
    return tuple(part for part in module.modules() if isinstance(part, Dropout) and part.p)


@contextmanager
def acting(parts: Sequence[Dropout]) -> Iterator[None]:
    """Within this block the given layers drop as they will when learning from the same observations."""
    before = [part.acting for part in parts]
    for part in parts:
        part.acting = True
    try:
        yield
    finally:
        for part, was in zip(parts, before, strict=True):
            part.acting = was


@torch.no_grad()
def observation_key(obs: Tensor | dict[str, Tensor]) -> Int[Tensor, " batch"]:
    """A hash of all bytes of an observation: Σ_i w_i b_i mod 2⁶⁴, mixed, with fixed weights w."""
    parts: Any = [obs[key] for key in sorted(obs)] if isinstance(obs, dict) else [obs]
    integers = [_integers(part.flatten(1)) for part in parts]
    weights = _mixed(torch.arange(1, 1 + sum(part.shape[1] for part in integers), device=parts[0].device))
    pieces = weights.split([part.shape[1] for part in integers])
    total = sum((part * piece).sum(1) for part, piece in zip(integers, pieces, strict=True))
    assert isinstance(total, Tensor)
    return _mixed(total)


def _integers(numbers: Tensor) -> Int[Tensor, "batch numbers"]:
    return (numbers.view(INTEGERS[numbers.element_size()]) if numbers.is_floating_point() else numbers).long()


def _mixed(z: Tensor) -> Tensor:
    """splitmix64's last step: all bits of the result depend on all bits of z."""
    z = (z ^ _shifted(z, 30)) * FIRST
    z = (z ^ _shifted(z, 27)) * SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """z >> bits of an unsigned number: torch's shift would repeat the sign."""
    return (z >> bits) & (2 ** (64 - bits) - 1)
