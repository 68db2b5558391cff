"""What a learner logs: `log.txt`, `progress.csv` and TensorBoard, continued after an interruption as if none had been.

`progress.csv` holds no clocks, so equal runs write equal files; steps per second are in the other two.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import HumanOutputFormat, KVWriter, Logger, TensorBoardOutputFormat
from tensorboard.compat.proto.summary_pb2 import Summary

from evaluation.tensorboard import hyperparameters, layout
from evaluation.weights_and_biases import WeightsAndBiases
from storage.durable import sync, write_file

CLOCKS = ("time/fps", "time/time_elapsed")
GROWING = ("log.txt", "evaluations.csv", "events.out.tfevents.*")  # files that are only ever appended to


class Table(KVWriter):
    """`progress.csv`: a column for each key, in the order in which keys came, and a row for each dump."""

    def __init__(self, file: Path):
        self.file = file
        lines = self._lines()
        self.columns, self.rows = lines[0], len(lines) - 1

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        shown = {
            key: value
            for key, value in key_values.items()
            if key not in CLOCKS and "csv" not in (key_excluded.get(key) or ())
        }
        new = [key for key in shown if key not in self.columns]
        if new:
            self._widen(new)
        with self.file.open("a", newline="") as file:
            values = [str(shown[key]) if key in shown else "" for key in self.columns]
            csv.writer(file, lineterminator="\n").writerow(values)
        self.rows += 1

    def cut(self, columns: list[str], rows: int) -> None:
        """Keep the first rows and columns: what was there when these were all."""
        lines = self._lines()
        if len(lines) <= rows or lines[0][: len(columns)] != columns:
            raise ValueError(f"{self.file} is shorter than it was")
        self._replace([line[: len(columns)] for line in lines[: rows + 1]])

    def close(self) -> None:
        """Nothing is open."""

    def _lines(self) -> list[list[str]]:
        """The head and the rows."""
        written = self.file.read_text() if self.file.exists() else ""
        return [*csv.reader(io.StringIO(written, newline=""))] or [[]]

    def _widen(self, new: list[str]) -> None:
        lines = self._lines()
        self._replace([lines[0] + new, *(line + [""] * len(new) for line in lines[1:])])

    def _replace(self, lines: list[list[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(lines)
        write_file(self.file, text.getvalue())
        self.columns, self.rows = lines[0], len(lines) - 1


class Logs(Logger):
    """SB3's logger on the files of a run folder.

    Args:
        folder: the run folder.
        state: of `saved`, if the run goes on: what was written since then is removed.
        others: what else is to write all numbers.

    Raises:
        ValueError: a file lacks what it held when the state was saved.
    """

    def __init__(self, folder: Path, state: Mapping[str, Any] | None = None, others: Sequence[KVWriter] = ()):
        self.folder = folder
        self.iterations = 0
        folder.mkdir(parents=True, exist_ok=True)
        if state is not None:
            self._cut(state)
        self.table = Table(folder / "progress.csv")
        self.text = (folder / "log.txt").open("a")
        self.events = TensorBoardOutputFormat(str(folder))
        super().__init__(str(folder), [HumanOutputFormat(self.text), self.table, self.events, *others])
        if state is not None:
            self.iterations = state["iterations"]
            for key, (value, count, excluded) in state["pending"].items():
                self.name_to_value[key] = value
                self.name_to_excluded[key] = tuple(excluded)
                if count:
                    self.name_to_count[key] = count

    def describe(self, config: Mapping[str, Any], step: int = 0) -> None:
        """Show the configuration in TensorBoard, among its texts."""
        text = "\n".join(f"    {line}" for line in yaml.safe_dump(dict(config), sort_keys=False).split("\n"))
        self.events.write({"config": text}, {"config": ()}, step)

    def show(self, summary: Summary, step: int = 0) -> None:
        """Show in TensorBoard what is no curve (evaluation/tensorboard.py)."""
        writer = self.events.writer.file_writer
        assert writer is not None
        writer.add_summary(summary, step)

    def after_rollouts(self, dump_logs: Callable[[int], None], every: int) -> Callable[[int], None]:
        """`dump_logs` of a model that calls it after each rollout, so that it logs every `every`-th.

        Rollouts before an interruption count, which SB3 forgets.
        """

        def counted(_: int) -> None:
            self.iterations += 1
            if self.iterations % every == 0:
                dump_logs(self.iterations)

        return counted

    def saved(self) -> dict[str, Any]:
        """What is recorded and not yet written, and the length of every file, which is on the disk from now on."""
        self.text.flush()
        self.events.writer.flush()
        files = [path for pattern in GROWING for path in sorted(self.folder.glob(pattern))]
        for path in (*files, *([self.table.file] if self.table.file.exists() else [])):
            sync(path)
        return {
            "iterations": self.iterations,
            "pending": {
                key: [value, self.name_to_count.get(key, 0), list(self.name_to_excluded[key])]
                for key, value in self.name_to_value.items()
            },
            "lengths": {path.name: path.stat().st_size for path in files},
            "columns": list(self.table.columns),
            "rows": self.table.rows,
        }

    def close(self) -> None:
        super().close()
        self.text.close()

    def _cut(self, state: Mapping[str, Any]) -> None:
        """Remove what was written after a state was saved."""
        lengths = state["lengths"]
        for name, length in lengths.items():
            path = self.folder / Path(name).name
            if not path.is_file() or path.stat().st_size < length:
                raise ValueError(f"{path} is shorter than it was")
        for path in [path for pattern in GROWING for path in self.folder.glob(pattern)]:
            if path.name not in lengths:
                path.unlink()
            elif path.stat().st_size > lengths[path.name]:
                with path.open("r+b") as file:
                    file.truncate(lengths[path.name])
        table = self.folder / "progress.csv"
        if state["columns"]:
            Table(table).cut(state["columns"], state["rows"])
        else:
            table.unlink(missing_ok=True)


def open_logs(
    model: BaseAlgorithm, folder: Path, config: Mapping[str, Any], state: Mapping[str, Any] | None = None
) -> None:
    """Let a model log into a run folder; a new run's TensorBoard also shows its configuration and hyperparameters.

    Args:
        state: of `Logs.saved`, if the run goes on.

    Raises:
        ValueError: a file lacks what it held when the state was saved.
    """
    others = [WeightsAndBiases(folder, config)] if config["logger"] == "wandb" else []
    logger = Logs(folder, state, others)
    model.set_logger(logger)
    if state is not None:
        return
    logger.describe(config)
    for summary in (*hyperparameters(config), layout()):
        logger.show(summary)
