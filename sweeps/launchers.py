"""The launchers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sweeps.attempt import Launcher, Outcome

LAUNCHERS = {  # name -> module, class, the package that it needs
    "processes": ("sweeps.processes", "Processes", None),
    "ray": ("sweeps.ray_tasks", "RayTasks", "ray"),
    "slurm": ("sweeps.slurm_jobs", "SlurmJobs", "submitit"),
}


def missing(name: str) -> str:
    """What to install for a launcher; empty if all is there."""
    needed = LAUNCHERS[name][2]
    there = needed is None or find_spec(needed) is not None
    return "" if there else f'launcher={name} needs the package {needed}: pip install -e ".[{name}]"'


def launcher(name: str, work: Callable[[list[str]], Outcome], options: Mapping[str, Any]) -> Launcher:
    """A launcher, which calls `work` with the overrides of each run.

    Raises:
        ValueError: an option cannot be, or there is no such cluster.
    """
    module, kind, _ = LAUNCHERS[name]
    return getattr(import_module(module), kind)(work, **options)
