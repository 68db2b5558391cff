"""The parts of Hydra that Hydra does not promise to keep, in one place (hydra-core is pinned to 1.3 for them).

`split_sweep` lists the jobs of a sweep (`-m`) before Hydra runs them, so that all can be checked first. `read_flags`
uses Hydra's own parser, so that it separates flags from overrides as Hydra does.
"""

from __future__ import annotations

import argparse
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser


def split_sweep(parsed: list[Any]) -> list[list[str]]:
    """Every combination of a sweep, as lists of overrides; `parsed` are the overrides of the sweep."""
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, max_batch_size=None) for job in batch]


def flags() -> set[str]:
    """The names of Hydra's own flags, like --multirun."""
    return {name for action in get_args_parser()._actions for name in action.option_strings}


def read_flags() -> argparse.Namespace:
    """The command line as Hydra reads it."""
    return get_args_parser().parse_args()
