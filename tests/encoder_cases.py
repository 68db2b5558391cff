"""The encoders there are, and observations that each can read: cases for tests that hold for every encoder.

A new file in configs/encoder/ is a case without further ado.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from conftest import PROJECT

from agents.make import encoder_named

ENCODERS = sorted(file.stem for file in (PROJECT / "configs" / "encoder").glob("*.yaml") if file.stem != "custom")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "grid": ("DoorKey-5x5", {}),
    "vector": ("CartPole", {}),
    "image": ("DoorKey-5x5", {"view": "rgb"}),
    "body": ("Centipede-4", {}),
}
WITHOUT_MUJOCO = "MuJoCo is not installed: pip install -e .[mujoco]"
NEEDS_MUJOCO = pytest.mark.skipif(find_spec("mujoco") is None, reason=WITHOUT_MUJOCO)  # all that is of the kind "body"


def reads(name: str, kind: str) -> bool:
    """Whether an encoder reads observations of a kind, by themselves or in a window."""
    encoder = encoder_named(name)
    return kind in encoder.reads or encoder.reads == ("window",)


def needs_symmetry(name: str) -> bool:
    """Whether an encoder is built for a symmetry (pixels declare none)."""
    return name == "homomorphic"


def reading(kind: str) -> list[str]:
    """The encoders that read observations of a kind."""
    return [name for name in ENCODERS if reads(name, kind) and not (kind == "image" and needs_symmetry(name))]


def history(name: str) -> dict[str, Any]:
    """The options of an environment whose observations an encoder reads."""
    return {"history": 4} if encoder_named(name).reads == ("window",) else {}


def case(name: str) -> tuple[str, dict[str, Any]]:
    """An environment, and its options, that an encoder reads; the test is skipped where that cannot be made."""
    for kind, (env_id, options) in KINDS.items():
        if reads(name, kind):
            if kind == "body":
                pytest.importorskip("mujoco", reason=WITHOUT_MUJOCO)
            return env_id, {**options, **history(name)}
    raise ValueError(f"no case for an encoder that reads {encoder_named(name).reads}")
