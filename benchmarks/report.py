"""How long a report over many runs takes: real short runs, copied with other environments, encoders and seeds.

    python benchmarks/report.py                  # 500 runs: 10 environments, 10 encoders, 5 seeds
    python benchmarks/report.py --environments 2 --encoders 3 --seeds 2 --folder /tmp/report

Prints the CPU seconds of `compare.py` in a process of its own, and of its parts in this one.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from comparing.compare import compare
from evaluation.runs import Run, look_for_runs, read_run
from train import train

PROJECT = Path(__file__).resolve().parent.parent
SHORT = {"total_timesteps": 4096, "evaluation": {"every": 128, "episodes": 2, "final_episodes": 4}, "progress": False}
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
COPIED = ("timing.json", "progress.csv", "log.txt")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, number in (("environments", 10), ("encoders", 10), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--folder", type=Path, help="where to make the runs and the report, which are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        real = read_run(train(SHORT, env="DoorKey-5x5", encoder="mlp", run_dir=str(folder / "real")).folder)
        generator = np.random.default_rng(0)
        for i in range(options.environments * options.encoders * options.seeds):
            rest, seed = divmod(i, options.seeds)
            env, encoder = divmod(rest, options.encoders)
            success = float(generator.beta(1 + encoder, 2))
            copied(real, folder / "runs", f"Environment{env}", f"encoder{encoder}", seed, success)
        began = children()
        subprocess.run([sys.executable, str(PROJECT / "compare.py"), str(folder / "runs")], check=True)
        whole = children() - began
        found, reading = timed(lambda: look_for_runs([folder / "runs"]))
        _, comparing = timed(lambda: compare(*found))
    print(f"{len(found[0])} runs: {whole:.1f} CPU seconds; reading {reading:.1f}, statistics {comparing:.1f}")


def copied(run: Run, root: Path, env: str, encoder: str, seed: int, success: float, options: str = "default") -> Path:
    """A copy of a finished run that says it is of another environment, encoder and seed, and ends with this success.

    Its learning curve rises in a straight line; returns equal successes.
    """
    folder = root / env / f"{run.config['agent']['name']}-{encoder}" / options / f"seed={seed}"
    config: dict[str, Any] = {**run.config, "seed": seed}
    config |= {"env": {**config["env"], "name": env}, "encoder": {**config["encoder"], "name": encoder}}
    result: dict[str, Any] = {**(run.result or {}), "env": env, "encoder": encoder, "seed": seed}
    result |= {measure: {"mean": success, "low": 0.0, "high": 1.0} for measure in ("return", "success")}
    folder.mkdir(parents=True)
    for name in COPIED:
        shutil.copy(run.folder / name, folder / name)
    (folder / "config.yaml").write_text(yaml.dump(config, Dumper=DUMPER))
    (folder / "result.json").write_text(json.dumps(result))
    lines = ["steps,return,return_low,return_high,success,success_low,success_high,length"]
    for i, row in enumerate(run.evaluations, 1):
        value = success * i / len(run.evaluations)
        lines.append(f"{row['steps']:.0f},{value},0.0,1.0,{value},0.0,1.0,{row['length']}")
    (folder / "evaluations.csv").write_text("\n".join(lines) + "\n")
    return folder


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """A result and the CPU seconds that it took."""
    began = time.process_time()
    return call(), time.process_time() - began


def children() -> float:
    """The CPU seconds of all processes that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
