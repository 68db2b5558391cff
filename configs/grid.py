"""What a sweep (`-m`) is made of: its launcher's options, the grid that an experiment holds, all combinations."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from configs.compose import FOLDER, UsageError, check_options
from configs.hydra_internals import split_sweep
from envs.names import unknown
from sweeps.launchers import LAUNCHERS, missing


def parted(name: str, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is for Hydra and its launcher, and the other overrides; launcher=ray is hydra/launcher=ray.

    Raises:
        UsageError: a launcher that there is not, or an option of it that cannot be.
    """
    of_hydra: list[str] = []
    others: list[str] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if key == "launcher" or key.startswith("launcher."):
            key = f"hydra{'/' if key == 'launcher' else '.'}{key}"
        (of_hydra if key.startswith(("hydra.", "hydra/")) else others).append(f"{key}{equals}{value}")
        if key == "hydra/launcher" and value not in LAUNCHERS:
            raise UsageError(unknown("launcher", value, sorted(LAUNCHERS)))
        if key == "hydra.launcher.jobs" and value != "auto" and not (value.isdecimal() and int(value) > 0):
            raise UsageError(f"launcher.jobs is how many runs there are at a time: auto, or 1 or more; got {value}")
    if of_hydra:
        check_options(name, of_hydra)
    return of_hydra, others


def check_installed(of_hydra: Sequence[str]) -> None:
    """Raise UsageError unless the package that the chosen launcher needs is installed."""
    for override in of_hydra:
        key, _, name = override.partition("=")
        if key == "hydra/launcher" and (needed := missing(name)):
            raise UsageError(needed)


def grid_of(overrides: Sequence[str]) -> list[str]:
    """The overrides that a chosen experiment sweeps over (`hydra.sweeper.params` in its file), unless they are given.

    Raises:
        UsageError: such an experiment beside another one.
    """
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    chosen = [o.partition("=")[2] for o in overrides if o.startswith("experiment=")][-1:]
    experiments = chosen[0].split(",") if chosen else []
    grid: list[str] = []
    for experiment in set(experiments) - {"null"}:
        params = OmegaConf.select(OmegaConf.load(FOLDER / "experiment" / f"{experiment}.yaml"), "hydra.sweeper.params")
        grid += [f"{key}={value}" for key, value in (params or {}).items() if key not in given]
    if grid and len(experiments) > 1:
        raise UsageError(f"experiment={chosen[0]}: an experiment that holds a grid of its own is swept alone")
    return grid


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of a sweep (`-m encoder=cnn,gnn seed=0,1`), one list of overrides each."""
    try:
        return split_sweep(OverridesParser.create().parse_overrides(list(overrides)))
    except HydraException as error:
        raise UsageError(str(error).split("\n")[0]) from error
