"""A run in Weights & Biases, beside its own logs (`logger=wandb`, extra `[wandb]`): configuration and curves.

The run's folder keeps its id in `wandb.json`, so a run that goes on is the same one there, too. Points that were logged
after the last snapshot are then logged twice, with equal values.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter

from storage.durable import write_file
from storage.plain import from_json
from storage.reading import read_regular
from storage.schema import record, text

FILE = "wandb.json"
PROJECT = "inductive"  # unless WANDB_PROJECT names another
SCHEMA = record({"id": text(64)})


def check() -> None:
    """Raise a ValueError unless runs can be logged to Weights & Biases from here."""
    if find_spec("wandb") is None:
        raise ValueError('logger=wandb needs the package wandb: pip install -e ".[wandb]"')
    import wandb

    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return
    try:
        wandb.login()
    except wandb.errors.UsageError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"logger=wandb: {reason} Or keep the runs here: WANDB_MODE=offline") from error


class WeightsAndBiases(KVWriter):
    """What SB3's logger writes, in Weights & Biases.

    Args:
        folder: the run folder.
        config: of the run, decided.

    Raises:
        ValueError: Weights & Biases does not take the run.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        import wandb

        # it takes a package called `agents`, which this project has, for OpenAI's, and says so in every run
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")
        try:
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                id=run_id(folder),
                name=str(folder),
                resume="allow",
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.errors.Error as error:
            raise ValueError(f"logger=wandb: {str(error).splitlines()[0]}") from error
        self.run.config.update(dict(config), allow_val_change=True)  # a longer run has another total_timesteps
        self.run.define_metric("*", step_metric="steps")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        shown = {
            key: float(value)
            for key, value in key_values.items()
            if isinstance(value, (int, float, np.number)) and "tensorboard" not in (key_excluded.get(key) or ())
        }
        self.run.log({"steps": step, **shown})

    def close(self) -> None:
        self.run.finish()


def run_id(folder: Path) -> str:
    """The id of a run in Weights & Biases, which its folder keeps.

    Raises:
        ValueError: the file that keeps it is damaged.
    """
    file = folder / FILE
    try:
        kept = from_json(read_regular(file, 1000))
        SCHEMA(kept, "")
    except FileNotFoundError:
        kept = {"id": secrets.token_hex(4)}  # not of the random numbers that decide a run
        write_file(file, json.dumps(kept) + "\n")
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    return str(kept["id"])
