"""Compare finished runs: a table, learning curves and a CSV file.

    python train.py -m env=DoorKey-5x5 encoder=mlp,cnn,gnn seed=0,1,2
    python compare.py runs/DoorKey-5x5

Scores are those of the last policy on fresh episodes, never of the best one.
From Python: `compare_runs({"runs": "runs"})`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.command_line import command_line
from configs.compose import UsageError, compose, overrides_of


def compare_runs(config: Mapping[str, Any] | Sequence[str] = (), **options: Any) -> dict[str, list[dict[str, Any]]]:
    """Compare the finished runs below a folder; returns the rows of each environment's table.

    Args:
        config: a partial mapping or a list of overrides of configs/compare.yaml.
        options: more entries of the mapping.

    Raises:
        ValueError: no finished run there; damaged ones are left out with a warning.
        OSError: the report cannot be written.
    """
    given = overrides_of(config) if isinstance(config, Mapping) else list(config)
    overrides = given + overrides_of(options)
    settings = compose("compare", overrides)
    if settings["threshold"] != "auto" and not isinstance(settings["threshold"], (int, float)):
        raise UsageError(f"threshold is auto or a number; got {settings['threshold']!r}")
    root = Path(settings["runs"])
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}; train first: python train.py env=CartPole encoder=homomorphic")

    from evaluation.pictures import draw_comparison
    from evaluation.report import (
        compare,
        comparison_table,
        measure_of,
        mixed_lengths,
        mixed_releases,
        write_csv,
    )
    from evaluation.runs import Run, find_runs

    found = find_runs(root)
    groups: dict[str, list[Run]] = {}
    for run in found:
        if run.result is not None:
            groups.setdefault(run.config["env"]["name"], []).append(run)
        else:
            print(f"left out, not finished: {run.folder}")
    if not groups:
        raise UsageError(f"there is no finished run below {root}")
    comparisons = {}
    for env, runs in sorted(groups.items()):
        threshold = settings["threshold"]
        if threshold == "auto":
            threshold = default_threshold(runs[0].config["env"]["id"], measure_of(runs))
        comparisons[env] = compare(runs, threshold)
        print(f"{env}: means and 95% intervals over seeds (Student's t)")
        print(comparison_table(comparisons[env], threshold))
        if mixed := mixed_releases(runs):
            print(f"note: these runs need not be of the same environment: {mixed}")
        if mixed := mixed_lengths(runs):
            print(f"note: these rows average runs of different lengths: {mixed}")
    output = Path(settings["output"]) if settings["output"] else root / "report"
    output.mkdir(parents=True, exist_ok=True)
    write_csv(comparisons, output / "results.csv")
    draw_comparison(dict(sorted(groups.items())), output / "learning_curves.png")
    print(f"written: {output / 'results.csv'}, {output / 'learning_curves.png'}")
    return comparisons


def default_threshold(env_id: str, measure: str) -> float | None:
    """0.9 success, or the return at which Gymnasium calls the environment solved; None where it does not say."""
    import gymnasium

    from evaluation.report import SUCCESS

    if measure == "success":
        return SUCCESS
    spec = gymnasium.registry.get(env_id)
    return spec.reward_threshold if spec else None


def main(overrides: list[str]) -> int:
    compare_runs(overrides)
    return 0


if __name__ == "__main__":
    command_line("compare", main)
