"""Each inductive bias on its home ground: tasks in which theory predicts a winner, and the results of all encoders.

    python benchmarks/home_ground.py --run [--tasks ...] [--encoders ...] [--seeds 3] [--steps N] [--jobs 2]
    python benchmarks/home_ground.py [--json PATH] [--picture PATH]

The first command trains the runs that are missing in runs/, as `python train.py experiment=home-ground` does. Both
print a table of the runs that exist: the success of the last policy with sampled actions in fresh episodes, its mean
and 95% interval over seeds (Student's t), with a * for the predicted winner. All runs share one set of hyperparameters
(agent=ppo_fast) and one budget; all networks have 70,000 parameters, to within a fifth.

    remote-relations  LavaCrossingS9N1: find the gap in a river of lava, wherever in its row or column: gnn
    size-transfer     trained on DoorKey-6x6 in full view, tested on 8x8, for encoders that fit any size: gnn
    memory            MemoryS7: what is seen at the start decides at the end: lstm, here over 8 observations, and an
                      LSTM over the episode behind a cnn, the column recurrent_ppo
    mission           GoToDoor-5x5: go to the door of the colour that the mission names: hypernetwork
    instruction       BabyAI-GoToLocal-v0: go to the object that the mission names, among others: hypernetwork
    shuffled-cells    SimpleCrossingS9N1 with cells moved by a fixed permutation: transformer without positions, which
                      sees a bag of cells with or without it; a dense layer, as in mlp, loses nothing either
    local-layout      SimpleCrossingS9N1 itself, walls and a gap around the agent: cnn

A run has 150,000 steps; for `mission` it has 500,000, since no encoder learns that task in fewer than 200,000. 3 seeds
make 120 runs, which take about 3 h on 2 cores. (Steps per second on one core: hypernetwork 14,000, mlp 9,000, cnn
6,000, lstm 3,700, recurrent_ppo 3,400, gnn 2,100, transformer 1,300; half as many with missions.) Start another budget
(--tasks memory --steps 1000000) in another folder: the number of steps is not part of a run's name.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine, output

from configs.compose import UsageError, compose, compose_defaults
from evaluate import evaluate
from evaluation.report import table
from evaluation.runs import differences, read_run, run_folder
from evaluation.scores import Interval, student_interval
from learning.decide import decide
from train import train

ENCODERS = ("mlp", "cnn", "lstm", "gnn", "transformer", "hypernetwork")
COLUMNS = {**{name: [f"encoder={name}"] for name in ENCODERS}, "recurrent_ppo": ["encoder=cnn", "agent=recurrent_ppo"]}


@dataclass(frozen=True)
class Task:
    """An environment, the encoder that theory favours there, and what else a run needs.

    Attributes:
        overrides: for every run; own: for the runs of one column.
        columns: those that can take part.
        tested: the environment of the test, where it differs from that of training.
    """

    env: str
    favoured: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] = ENCODERS
    tested: str | None = None


TASKS = {
    "remote-relations": Task("LavaCrossingS9N1", ("gnn",)),
    "size-transfer": Task(
        "DoorKey-6x6",
        ("gnn",),
        ("env.view=full",),
        {"cnn": ("encoder.pooling=max", "encoder.channels=64"), "transformer": ("encoder.positions=sine",)},
        ("cnn", "gnn", "transformer"),
        "DoorKey-8x8",
    ),
    "memory": Task(
        "MemoryS7",
        ("lstm", "recurrent_ppo"),
        own={"lstm": ("env.history=8",)},
        columns=(*ENCODERS, "recurrent_ppo"),
    ),
    "mission": Task("GoToDoor-5x5", ("hypernetwork",), ("total_timesteps=500000", "evaluation.every=100000")),
    "instruction": Task("BabyAI-GoToLocal-v0", ("hypernetwork",)),
    "shuffled-cells": Task(
        "SimpleCrossingS9N1", ("transformer",), ("env.shuffle=0",), {"transformer": ("encoder.positions=none",)}
    ),
    "local-layout": Task("SimpleCrossingS9N1", ("cnn",)),
}
TESTED = 200  # episodes in another environment


@dataclass(frozen=True)
class Job:
    """One run: a task, a column and a seed."""

    task: str
    column: str
    seed: int
    overrides: tuple[str, ...]
    folder: Path
    tested: str | None
    episodes: int  # there

    def result(self) -> dict[str, Any] | None:
        """`result.json`, if the run is finished."""
        file = self.folder / "result.json"
        return json.loads(file.read_text()) if file.exists() else None

    def success(self) -> float | None:
        """The success of the last policy with sampled actions in the test environment; None without a result."""
        if self.tested is None:
            result = self.result()
            return result and result["success"]["mean"]
        file = self.folder / f"evaluation-{self.tested}-0.json"
        tested = json.loads(file.read_text()) if file.exists() else {}
        return tested["sampled"]["success"]["mean"] if tested.get("episodes") == self.episodes else None


def overrides_of(task: Task, column: str, given: Sequence[str] = ()) -> list[str]:
    """The overrides of `train.py`, without the seed."""
    own = task.own.get(column, ())
    return ["experiment=home-ground", f"env={task.env}", *COLUMNS[column], *task.overrides, *own, *given]


def jobs_of(
    tasks: Sequence[str], columns: Sequence[str], seeds: int, episodes: int = TESTED, given: Sequence[str] = ()
) -> list[Job]:
    """Every run that the table needs, seed by seed.

    Raises:
        ValueError: an override that cannot be, or a folder that holds a run with another configuration.
    """
    jobs = []
    for name, task in ((name, TASKS[name]) for name in tasks):
        for column in (column for column in columns if column in task.columns):
            overrides = overrides_of(task, column, given)
            config = compose("train", overrides)
            decided, _ = decide(config)
            place = run_folder(config, compose_defaults(overrides)).parent
            for seed in range(seeds):
                folder = place / f"seed={seed}"
                changed = differences({**decided, "seed": seed}, read_run(folder).config) if folder.exists() else []
                if changed:
                    raise UsageError(
                        f"{folder} holds a run with another configuration ({'; '.join(changed)}); give the same "
                        "--steps and --overrides as for that one, or put it elsewhere"
                    )
                jobs.append(Job(name, column, seed, (*overrides, f"seed={seed}"), folder, task.tested, episodes))
    return sorted(jobs, key=lambda job: job.seed)


def run(job: Job) -> str:
    """Train and test one run, as far as that is missing; returns its result in a line."""
    about = f"{job.task} {job.column} seed {job.seed}"
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            scores = train([*job.overrides, "progress=false"]).scores
        except FloatingPointError as error:
            return f"{about}: {error}"
        if scores is None:
            return f"{about}: interrupted"
        if job.tested is not None and job.success() is None:
            evaluate({"policy": str(job.folder), "env": job.tested, "episodes": job.episodes})
    return f"{about}: success {job.success():.2f}"


def run_all(jobs: Sequence[Job], processes: int) -> None:
    """Make the missing runs, one thread each; an error, or Ctrl-C, ends all."""
    missing = [job for job in jobs if job.success() is None]
    print(f"{len(missing)} of {len(jobs)} runs are missing; making them, {processes} at a time", flush=True)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, job) for job in missing]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                print(f"{count}/{len(missing)} {future.result()}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def rows_of(jobs: Sequence[Job]) -> dict[str, dict[str, dict[str, Any]]]:
    """task -> column -> success of every seed that has a result, with mean and interval."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for job in jobs:
        success, result = job.success(), job.result()
        if success is not None and result is not None:
            parameters = sum(result["parameters"].values())
            row = rows.setdefault(job.task, {}).setdefault(job.column, {"parameters": parameters, "success": {}})
            row["success"][job.seed] = success
    for row in (row for columns in rows.values() for row in columns.values()):
        row |= student_interval(np.array([*row["success"].values()]), within=(0, 1)).to_data()
    return rows


def print_table(rows: Mapping[str, Mapping[str, dict[str, Any]]], columns: Sequence[str], seeds: int) -> None:
    """A row for each task, a column for each encoder, and the highest success of the row."""
    shown = [column for column in columns if any(column in row for row in rows.values())]
    lines = []
    for name, row in rows.items():
        first = max(row, key=lambda column: row[column]["mean"])
        lines.append([name, *(cell(row.get(column), column in TASKS[name].favoured, seeds) for column in shown), first])
    print(
        f"\nsuccess of sampled actions: mean and 95% interval over {seeds} seeds (Student's t); * is theory's choice\n"
    )
    print(table(["task", *shown, "highest"], lines))
    sizes = {column: [row[column]["parameters"] for row in rows.values() if column in row] for column in shown}
    print("parameters: " + ", ".join(f"{column} {span(counts)}" for column, counts in sizes.items()))


def cell(row: Mapping[str, Any] | None, favoured: bool, seeds: int) -> str:
    """One success; with the number of seeds where some are missing."""
    if row is None:
        return "*" if favoured else ""
    found = len(row["success"])
    text = str(Interval(row["mean"], row["low"], row["high"])) if found > 1 else f"{row['mean']:.2f}"
    return ("*" if favoured else "") + text + (f" ({found})" if found < seeds else "")


def span(counts: Sequence[int]) -> str:
    low, high = (f"{bound:,}" for bound in (min(counts), max(counts)))
    return low if low == high else f"{low} to {high}"


def draw(rows: Mapping[str, Mapping[str, dict[str, Any]]], columns: Sequence[str], file: Path) -> None:
    """A panel for every task: the mean as a bar, the predicted winner's dark, and every seed as a dot."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(rows), figsize=(2.6 * len(rows), 3.4), squeeze=False, sharey=True)
    for axis, (name, row) in zip(axes[0], rows.items(), strict=True):
        shown = [column for column in columns if column in row]
        colours = ["tab:blue" if column in TASKS[name].favoured else "lightsteelblue" for column in shown]
        axis.bar(range(len(shown)), [row[column]["mean"] for column in shown], color=colours)
        for place, column in enumerate(shown):
            seeds = row[column]["success"].values()
            axis.plot([place] * len(seeds), [*seeds], ".", color="black", markersize=4)
        axis.set_xticks(range(len(shown)), shown, rotation=60, ha="right", fontsize=8)
        task = TASKS[name]
        axis.set_title(f"{name}\n{task.env}{f' → {task.tested}' if task.tested else ''}", fontsize=8)
        axis.set(ylim=(0, 1.02))
        axis.grid(alpha=0.3, axis="y")
    axes[0][0].set_ylabel("success (sampled actions)")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--run", action="store_true", help="train the runs that are missing")
    add("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    add("--encoders", nargs="+", default=list(COLUMNS), choices=COLUMNS)
    add("--seeds", type=int, default=3)
    add("--steps", type=int, help="for every run, instead of the experiment's")
    add("--episodes", type=int, default=TESTED, help="in a test in another environment")
    add("--jobs", type=int, default=2, help="processes, one thread each")
    add("--overrides", nargs="+", default=[], help="of train.py, for every run")
    add("--json", type=output, help="write the numbers there")
    add("--picture", type=output, help="draw them there")
    options = parser.parse_args()
    given = [*([f"total_timesteps={options.steps}"] if options.steps else []), *options.overrides]
    try:
        jobs = jobs_of(options.tasks, options.encoders, options.seeds, options.episodes, given)
        if options.run:
            run_all(jobs, options.jobs)
    except ValueError as error:
        parser.error(str(error))
    rows = rows_of(jobs)
    if not rows:
        parser.error("none of these runs exists; train them: benchmarks/home_ground.py --run")
    about = machine("torch", "stable-baselines3", "minigrid")
    print_table(rows, options.encoders, options.seeds)
    if options.picture:
        draw(rows, options.encoders, options.picture)
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "home_ground": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
