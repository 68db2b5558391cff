"""The claims: a file here is one, and its name is the claim's. Each has a `CLAIM`."""

from __future__ import annotations

import inspect
from importlib import import_module

from laboratory.claim import Claim

NAMES = (
    # in the lecture's order
    "approximation",
    "lipschitz",
    "folding",
    "constraint",
    "parity",
    "positions",
    "chomsky",
    "reductions",
    "units",
    "regularization",
    "prediction",
    "averaging",
)


def claims() -> dict[str, Claim]:
    """Every claim by its name."""
    return {name: claim(name) for name in NAMES}


def claim(name: str) -> Claim:
    """The claim of this name, of NAMES."""
    return import_module(f"laboratory.claims.{name}").CLAIM


def how(name: str) -> str:
    """How a claim is measured, what its table's columns are and what decides: the text at the top of its file."""
    text = inspect.getdoc(import_module(f"laboratory.claims.{name}")) or ""
    return text.partition("\n\n")[2]
