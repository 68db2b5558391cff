"""The laboratory: measure the claims of generalization theory on which this project rests.

    python lab.py                           list them, with their verdicts
    python lab.py claim=parity              measure one and draw its picture: minutes
    python lab.py claim=parity quick=true   under a minute, with fewer seeds and smaller parts
    python lab.py quick=true                all of them
    python lab.py write=docs                docs/claims.md and its pictures, from results/lab

From Python: `lab({"claim": "parity", "quick": True})`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command_line import command_line, sweep
from configs.compose import UsageError, compose, overrides_of
from configs.jobs import Sweepable
from envs.names import unknown
from sweeps.attempt import Outcome

if TYPE_CHECKING:
    from laboratory import Result

RESULTS = Path(__file__).resolve().parent / "results" / "lab"


def lab(config: Mapping[str, Any] | Sequence[str] = (), **options: Any) -> dict[str, Result]:
    """Measure claims, and write `<claim>.json` and `<claim>.png` for each; returns the results by the claims' names.

    Args:
        config: a partial mapping or a list of overrides of configs/lab.yaml.
        options: more entries of the mapping.

    Raises:
        ValueError: an unknown claim, or an option that cannot be.
        OSError: a file cannot be written.
    """
    given = overrides_of(config) if isinstance(config, Mapping) else list(config)
    settings = _checked(compose("lab", given + overrides_of(options)))
    return {name: _measure(name, settings) for name in _chosen(settings)}


def _measure(name: str, settings: Mapping[str, Any]) -> Result:
    import torch

    from laboratory.claims import claim
    from laboratory.result import draw, measured, write
    from laboratory.show import told

    torch.set_num_threads(1)
    each = claim(name)
    result = measured(each, settings["quick"])
    file = _file(name, settings)
    write(result, file)
    draw(each, result, file.with_suffix(".png"))
    print(f"{told(name, each, result)}\n\n{file}, {file.with_suffix('.png')} ({result.seconds:.0f} s)")
    return result


def _file(name: str, settings: Mapping[str, Any]) -> Path:
    return Path(settings["output"], f"{name}{'-quick' * settings['quick']}.json")


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, if they can be."""
    if not isinstance(settings["quick"], bool):
        raise UsageError(f"quick is true or false; got {settings['quick']!r}")
    jobs = settings["jobs"]
    if jobs != "auto" and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise UsageError(f"jobs is how many claims are measured at a time: auto, or 1 or more; got {jobs!r}")
    if settings["write"] is not None and (settings["claim"] is not None or settings["quick"]):
        raise UsageError("write= writes the page from results/lab and measures nothing; leave claim= and quick= out")
    _chosen(settings)
    return settings


def _chosen(settings: Mapping[str, Any]) -> Sequence[str]:
    """The names of the claims that are measured."""
    from laboratory.claims import NAMES

    given = settings["claim"]
    if given == "all" or (given is None and settings["quick"]):
        return NAMES
    names = given if isinstance(given, list) else [] if given is None else [given]
    for name in names:
        if name not in NAMES:
            raise UsageError(unknown("claim", name, NAMES))
    return names


def main(overrides: list[str]) -> int:
    settings = _checked(compose("lab", overrides))
    if settings["write"] is not None:
        return _write(Path(settings["write"]))
    names = _chosen(settings)
    if not names:
        from laboratory.claims import claims
        from laboratory.show import listing

        print(listing(claims(), committed()))
    elif len(names) == 1:
        _measure(names[0], settings)
    else:
        return _measure_all(names, overrides, settings["jobs"])
    return 0


def _write(folder: Path) -> int:
    from laboratory.claims import claims
    from laboratory.show import write_page

    print(f"written: {', '.join(map(str, write_page(claims(), committed(), folder)))}")
    return 0


def committed() -> dict[str, Result]:
    """The results in results/lab."""
    from laboratory.claims import NAMES, claim
    from laboratory.result import read

    files = {name: RESULTS / f"{name}.json" for name in NAMES}
    return {name: read(claim(name), file) for name, file in files.items() if file.exists()}


def _measure_all(names: Sequence[str], overrides: Sequence[str], at_once: int | str) -> int:
    """Measure each claim in a process of its own, as a sweep; returns the exit code."""
    kept = [override for override in overrides if not override.startswith("claim=")]
    return sweep("lab", main, SWEEPABLE, [[f"claim={name}", *kept] for name in names], at_once)


def in_a_sweep(overrides: list[str]) -> Outcome:
    """One claim of several."""
    from laboratory.claims import claim
    from laboratory.show import decides

    ((name, result),) = lab(overrides).items()
    return Outcome(0, f"{result.word}{' (quick)' * result.quick}; {decides(claim(name), result)}")


def can_be_measured(overrides: list[str]) -> None:
    """Raises ValueError if not."""
    _checked(compose("lab", overrides))


def log_of(overrides: list[str]) -> Path:
    """The file for what a claim of several prints: beside its result."""
    settings = compose("lab", overrides)
    return _file(settings["claim"], settings).with_suffix(".log")


def warm() -> None:
    """Import what every claim imports, once for all processes that are forked."""
    for module in ("torch", "matplotlib.pyplot", "laboratory.result"):
        import_module(module)


SWEEPABLE = Sweepable(in_a_sweep, can_be_measured, log_of, warm)

if __name__ == "__main__":
    command_line("lab", main, SWEEPABLE)
