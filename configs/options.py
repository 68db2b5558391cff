"""Every option of all environments, agents, encoders and symmetries, whichever of them a run has chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from configs.flatten import flatten

FOLDER = Path(__file__).resolve().parent
FOLDERS = {"env": "env/base", "agent": "agent", "encoder": "encoder", "symmetry": "symmetry"}  # of each group's files


def defaults() -> dict[str, Any]:
    """Each option with the default of the first file that has it: {"agent.batch_size": 64, ...}."""
    found: dict[str, Any] = {}
    for group, folder in FOLDERS.items():
        for file in sorted((FOLDER / folder).glob("*.yaml")):
            text = file.read_text()
            content = yaml.safe_load(text)
            own = content.get(group, {}) if text.startswith("# @package _global_") else content
            found = {**{key: _number(value) for key, value in flatten(own, f"{group}.").items()}, **found}
    return found


def _number(value: Any) -> Any:
    """A word as a number if Hydra takes it for one, and PyYAML does not: 3e-4."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
