"""Run folders: their names, their files, and reading them back for reports.

runs/<env>/<agent>-<encoder>[-<symmetry>]/<differences from the defaults, or "default">/seed=<n>/

config.yaml        the configuration, with every `auto` decided
log.txt            what the learner logged; progress.csv and TensorBoard events hold the same numbers
evaluations.csv    a line for each evaluation during training
result.json        the final score: present once the run is finished; holds no clocks. While a finished run is made
                   longer, it and policy/ are still those of the shorter run, and reports use them
timing.json        wall times
learning_curve.png, policy/ (the last), best/ (best by evaluation, never used in reports)
snapshot/          what an interrupted run goes on from; checkpoints/, the policies of the last `snapshot.keep` of them
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from configs.flatten import flatten
from evaluation.schema import CONFIG, LARGEST, TIMING, check_result, read_evaluations
from storage.durable import write_file
from storage.plain import from_json, from_yaml
from storage.reading import read_regular

LONGEST_NAME = 255  # bytes of a folder's name
UNNAMED = (
    "total_timesteps",
    "evaluation",
    "snapshot",
    "on_nonfinite",
    "device",
    "threads",
    "progress",
    "logger",
    "run_dir",
    "overwrite",
    "trust",
    "seed",
    "command",
    "env.engine",
    "transfer",
    "symmetry.name",
    "symmetry.method",
)
# these change no number of a finished run; what a longer `transfer` adds is played when it is asked for
IRRELEVANT = (
    "device",
    "threads",
    "progress",
    "logger",
    "run_dir",
    "overwrite",
    "trust",
    "command",
    "env.engine",
    "evaluation.patience",
    "evaluation.videos",
    "encoder_source",
    "initial_sha256",
    "transfer",
    "snapshot",
    "on_nonfinite",
    "decided_for",
)
# what the runs of earlier versions meant, which do not say it; the second, where they say the first
ABSENT = {"encoder.freeze": False, "evaluation.purpose": "report"}
ABSENT_BESIDE = {"env.bank": ("env.levels", "all")}


def run_folder(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> Path:
    """The folder of a configuration, named after its choices and its differences from `defaults`.

    A name that no file system takes ends in a checksum of what is left out.
    """
    symmetry = config["symmetry"]["name"]
    kind = f"{config['agent']['name']}-{config['encoder']['name']}" + (f"-{symmetry}" if symmetry != "auto" else "")
    mine, theirs = flatten(config), flatten(defaults)
    differences = [
        f"{key}={'+'.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in sorted(mine.items())
        if value != theirs.get(key) and not {key, key.split(".")[0]} & {*UNNAMED}
    ]
    name = re.sub(r"[/\s:]", "_", ",".join(differences)) or "default"
    if len(name.encode()) > LONGEST_NAME:
        name = f"{name.encode()[:200].decode(errors='ignore')}...{sha256(name.encode()).hexdigest()[:16]}"
    return Path("runs", re.sub(r"[/:]", "_", config["env"]["name"]), kind, name, f"seed={config['seed']}")


def differences(config: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """How two configurations differ in what determines a run's numbers: "key was x, now y", names of choices first.

    An `auto` of the first that is not decided yet equals every value.
    """
    mine, theirs = flatten(config), flatten(other)
    theirs = {**ABSENT, **dict(meant for key, meant in ABSENT_BESIDE.items() if key in theirs), **theirs}
    return [
        f"{key} was {theirs.get(key)}, now {mine.get(key)}"
        for key in sorted(mine.keys() | theirs.keys(), key=lambda key: (not key.endswith(".name"), key))
        if not {key, key.split(".")[0]} & {*IRRELEVANT} and mine.get(key) not in ("auto", theirs.get(key))
    ]


def few(differing: Sequence[str]) -> str:
    """The first four differences, and how many more there are."""
    return "; ".join(differing[:4]) + (f" and {len(differing) - 4} more" if len(differing) > 4 else "")


def prepare(folder: Path, config: Mapping[str, Any], overwrite: bool, write: bool = False) -> bool:
    """Whether there is anything to train in `folder`: False if it holds a finished run of the same configuration.

    There is if a run, finished or not, is to be longer than it was. With `write`, also rename an unfinished or
    overwritten run to `<name>.old-<n>`, which reports ignore, and write `config.yaml`.

    Raises:
        ValueError: the folder holds another configuration, a longer run, or files that are not a run's.
        OSError: the folder cannot be written.
    """
    if (folder / "config.yaml").exists():
        run = read_run(folder)
        total, before = config["total_timesteps"], run.config.get("total_timesteps", 0)
        changed = differences({**config, "total_timesteps": before}, run.config)
        elsewhere = "overwrite=true trains anew and keeps the old one aside, run_dir=<folder> puts this one elsewhere"
        if changed and not overwrite:
            shown = few(differences(config, run.config))
            raise ValueError(f"{folder} holds a run with another configuration ({shown}); {elsewhere}")
        if total < before and not overwrite:
            raise ValueError(
                f"{folder} holds a run of total_timesteps={before}, which can be made longer but not shorter; got "
                f"total_timesteps={total}; {elsewhere}"
            )
        if run.result is not None and run.result["steps"] >= total and not overwrite:
            return False
        if write:
            n = 1
            while (aside := folder.with_name(f"{folder.name}.old-{n}")).exists():
                n += 1
            folder.rename(aside)
            print(f"{'the earlier' if run.result else 'an unfinished'} run was kept aside as {aside}")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not a run folder; give another run_dir")
    if write:
        write_config(folder, config)
    return True


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write `config.yaml`.

    Raises:
        OSError: it cannot be written.
    """
    write_file(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))


@dataclass(frozen=True)
class Run:
    """A run folder read back.

    Attributes:
        folder, config: its path, and the content of `config.yaml`.
        result, timing: the content of `result.json` and `timing.json`, None if it is not finished.
        evaluations: the rows of `evaluations.csv`, with floats, or None for an empty field; up to the result.
    """

    folder: Path
    config: dict[str, Any]
    result: dict[str, Any] | None
    timing: dict[str, Any] | None
    evaluations: list[dict[str, float | None]]


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        ValueError: it is not a run folder, or a file in it is damaged; the message names file and field.
    """
    config = _read(folder, "config.yaml", from_yaml, lambda data: CONFIG(data, ""))
    if config is None:
        raise ValueError(f"{folder} is not a run folder: it has no config.yaml")
    result = _read(folder, "result.json", from_json, lambda data: check_result(data, config))
    timing = _read(folder, "timing.json", from_json, lambda data: TIMING(data, ""))
    grows = result is None or result["steps"] < config.get("total_timesteps", 0)
    rows = _read(folder, "evaluations.csv", lambda content: read_evaluations(content, result, grows))
    return Run(folder, config, result, timing, rows or [])


def _read(
    folder: Path, name: str, parse: Callable[[bytes], Any], check: Callable[[Any], None] = lambda data: None
) -> Any:
    """The checked content of a file; None if there is no such file."""
    try:
        content = read_regular(folder / name, LARGEST[name])
    except FileNotFoundError:
        return None
    try:
        data = parse(content)
        check(data)
    except ValueError as error:
        raise ValueError(f"{folder / name} is damaged: {error}") from error
    return data


def environment_of(run: Run) -> str:
    """The name of a run's environment in a comparison, with its task or bodies: "chomsky odds_first"."""
    env = run.config["env"]
    return " ".join([env["name"], *([env["task"]] if "task" in env else env.get("train", ()))])


def label(run: Run) -> str:
    """A run's name in a comparison: agent, encoder, symmetry and its differences from the defaults."""
    config = run.config
    kind, name = run.folder.parent.parent.name, run.folder.parent.name
    own = f"{config['agent']['name']}-{config['encoder']['name']}"
    if not kind.startswith(own):  # a folder given as run_dir
        return own
    options = [option for option in name.split(",") if not option.startswith(("env.task=", "env.train="))]
    return kind if options in ([], ["default"]) else f"{kind} {','.join(options)}"


def look_for_runs(roots: Iterable[Path]) -> tuple[list[Run], list[tuple[Path, str]]]:
    """Every run below some folders but those set aside (`*.old-<n>`) and of tune.py; the damaged ones, and why."""
    folders = {file.parent.resolve(): file.parent for root in roots for file in sorted(root.rglob("config.yaml"))}
    found, damaged = [], []
    for folder in folders.values():
        if ".old-" in folder.name:
            continue
        try:
            run = read_run(folder)
        except ValueError as error:
            damaged.append((folder, str(error)))
            continue
        if not is_of_tuning(run.config):
            found.append(run)
    return found, damaged


def find_runs(root: Path) -> list[Run]:
    """The runs of `look_for_runs`; a warning is printed for each damaged one."""
    found, damaged = look_for_runs([root])
    for _, reason in damaged:
        print(f"warning: left out: {reason}", file=sys.stderr)
    return found


def is_of_tuning(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a run that tune.py made, whose evaluations no report plays."""
    evaluation = config.get("evaluation")
    return isinstance(evaluation, Mapping) and evaluation.get("purpose") == "tuning"
