"""What `policy.yaml` may say: checked before anything is built or imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.saved.spaces import check_space, numbers_in
from storage.schema import mapping as names_of
from storage.schema import nested, number, one_of, optional, plain, record, several, text, truth, whole

LARGEST_YAML = 2_000_000  # bytes
MOST = 2**31  # of a whole number that counts nothing here
GRID = 1000  # the most of anything in a MiniGrid level
GRIDS = 20_000  # and the most that all its numbers may multiply to: rooms in rows and columns of rooms
ORDER = 1024  # points that a group moves
SMALL = 500  # a size that need not be compared: it may belong to a part that the network does not have

GENERATORS = several(several(whole(0, ORDER - 1), ORDER, 1), 16, 1)
PERMUTATION = several(whole(0, MOST), 100_000)
IMAGES = several(record({"permutation": PERMUTATION, "signs": several(one_of(-1, 1), 100_000)}), 16, 1)
CODES = record(
    {
        "shape": several(whole(1, 10_000), 8),
        "cells": several(PERMUTATION, 16),
        "renames": several(
            record(
                {
                    "channel": whole(0, 10_000),
                    "values": several(PERMUTATION, 16),
                    "where": optional(several(whole(0, 10_000), 2, 2)),
                }
            ),
            100,
        ),
    }
)
ARRAYS = record({"shape": several(whole(1, 10_000), 8), "images": optional(IMAGES)})


def _transforms(value: Any, name: str) -> None:
    (IMAGES if not isinstance(value, dict) else CODES if "cells" in value else ARRAYS)(value, name)


def _encoder(value: Any, name: str) -> None:
    """A class and its options; those of Average name another encoder."""
    record({"class": text(200), "options": PLAIN})(value, name)
    if "encoder" in value["options"]:
        _encoder(value["options"]["encoder"], f"{name}.options.encoder")


def _levels(value: Any, name: str) -> None:
    if value != "all":
        whole(1, MOST)(value, name)


SYMMETRY = record(
    {
        "group": record({"name": text(200), "generators": GENERATORS}),
        "observation": names_of(_transforms, 100),
        "action": IMAGES,
    }
)
PLAIN = names_of(plain(MOST), 1000)
HEAD = record(
    {},
    {
        **dict.fromkeys(("use_sde", "full_std", "use_expln", "squash_output", "share_features_extractor"), truth),
        **dict.fromkeys(("normalize_images", "dueling", "shared_lstm", "enable_critic_lstm"), truth),
        **dict.fromkeys(("n_quantiles", "n_critics", "lstm_hidden_size", "n_lstm_layers"), whole(1, MOST)),
        "log_std_init": number(-100, 100),
        "clip_mean": number(0),
        "critic_hidden": optional(several(whole(1, MOST), 100)),
        "lstm_kwargs": optional(PLAIN),
    },
)
NORMALIZATION = record(
    {
        "mean": nested(number()),
        "variance": nested(number(0)),
        "epsilon": number(0, 1),
        "clip": number(1e-6),
    }
)
ENVIRONMENT = record(
    {},
    {
        "id": text(200),
        "view": one_of("partial", "full", "rgb", "flat"),
        "shuffle": optional(whole(0, 2**63)),
        "words": optional(several(text(100), 1000)),
        "history": whole(0, 100_000),
        "reward_scale": number(),
        "render_mode": optional(text(100)),
        "kwargs": optional(PLAIN),
        "engine": text(100),  # of earlier versions
        "bank": optional(whole(0, MOST)),  # levels of training, as are `levels` of them, of which `part` is played
        "levels": optional(_levels),
        "held_out": optional(text(100)),
        "part": one_of("training", "test", "tuning"),
    },
)
POLICY = record(
    {
        "agent": text(100),
        "encoder": _encoder,
        "head": HEAD,
        "symmetry": optional(SYMMETRY),
        "observation_space": check_space,
        "action_space": check_space,
        "normalization": optional(NORMALIZATION),
        "environment": optional(ENVIRONMENT),
    },
    more=True,
)


def check_policy(spec: dict[str, Any]) -> None:
    """Check the content of `policy.yaml`, its format excepted.

    Raises:
        ValueError: the first field that is missing, is of the wrong type or range, or contradicts another.
    """
    POLICY(spec, "")
    if spec["normalization"] is not None:
        _check_normalization(spec["normalization"], spec["observation_space"])
    if spec["environment"]:
        _check_environment(spec["environment"], spec["observation_space"])


def _check_normalization(statistics: Mapping[str, Any], space: Mapping[str, Any]) -> None:
    for key in ("mean", "variance"):
        try:
            shape = np.array(statistics[key], float).shape
        except ValueError as error:
            raise ValueError(f"normalization.{key} is a list of numbers, or lists of equal length") from error
        if space["type"] != "Box" or shape != tuple(space["shape"]):
            raise ValueError(f"normalization.{key} has the shape {shape}, and the observations have another")
    if statistics["epsilon"] == 0 and not np.all(statistics["variance"]):
        raise ValueError("normalization.epsilon is positive where a variance is 0")


def _check_environment(options: Mapping[str, Any], space: Mapping[str, Any]) -> None:
    if options.get("reward_scale") == 0:
        raise ValueError("environment.reward_scale is a finite number other than 0; got 0")
    parts = space["spaces"] if space["type"] == "Dict" else {}
    windows = numbers_in(parts["valid"]) if "valid" in parts else 0
    if options.get("history", 0) not in (0, windows):
        raise ValueError(
            f"environment.history is {options['history']:,}, and the observations are "
            f"{f'windows of {windows:,}' if windows else 'no windows'}"
        )
    check_grid(options)


def check_grid(options: Mapping[str, Any]) -> None:
    """Raise ValueError if the options of an environment describe a grid that is too large to be made."""
    if str(options.get("id")).startswith(("MiniGrid-", "BabyAI-")):
        kwargs = {key: value for key, value in (options.get("kwargs") or {}).items() if key != "max_steps"}
        numbers = {key: abs(value) for key, value in kwargs.items() if isinstance(value, (int, float))}
        for key, value in numbers.items():
            if value > GRID:
                raise ValueError(f"environment.kwargs.{key} is at most {GRID:,} in MiniGrid; got {value:,}")
        if math.prod(max(value, 1) for value in numbers.values()) > GRIDS:
            raise ValueError(f"environment.kwargs describes too large a grid: {', '.join(numbers)}")


def check_sizes(spec: Mapping[str, Any], tensors: int, numbers: int) -> None:
    """Check the sizes of the network against its parameters: there is one number at least for each thing counted.

    Args:
        tensors, numbers: how many the file of the parameters holds.

    Raises:
        ValueError: the network described is larger.
    """

    def check(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                check(each, f"{name}.{key}")
        elif isinstance(value, list):
            for i, each in enumerate(value):
                check(each, f"{name}[{i}]")
        elif isinstance(value, int):
            last = name.rpartition(".")[2]
            most, of = (tensors, "tensors") if last.endswith(("layers", "n_critics")) else (numbers, "numbers")
            if value > max(most, SMALL):
                raise ValueError(f"{name} is {value:,}, and the file of the parameters holds {most:,} {of}")

    check(spec["head"], "head")
    options = spec["encoder"]["options"]
    while "encoder" in options:  # the one that Average lifts
        options = options["encoder"]["options"]
    if spec["encoder"]["class"].startswith("encoders."):  # others may count something else
        check(options, "encoder.options")
