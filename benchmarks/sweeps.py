"""What a sweep takes beside the same runs one after another, and whether it ends alike when it is killed.

    python benchmarks/sweeps.py                                  # 60 runs, two at a time
    python benchmarks/sweeps.py --runs 12 total_timesteps=4000
    python benchmarks/sweeps.py --kills 30                       # kill -9 at random moments: the sweep, or one run

One after another is one process that imports PyTorch once and trains run after run. The overhead of a run is what the
sweep takes of each of its places beyond the wall times that the runs record themselves (timing.json): composing,
checking, building, and writing the results.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.kills import differences

PROJECT = Path(__file__).resolve().parent.parent
SMALL = ["env=CartPole", "encoder.width=16", "total_timesteps=20000", "snapshot.every=5000", "evaluation.every=5000"]
SMALL += ["evaluation.episodes=2", "evaluation.final_episodes=4", "progress=false"]
IN_TURN = "import sys; from train import train; [train([*sys.argv[2:], f'seed={n}']) for n in range(int(sys.argv[1]))]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("overrides", nargs="*", help="of train.py")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--kills", type=int, default=0, help="kill so often, instead of measuring")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    overrides = [*SMALL, *options.overrides]
    sweep = ["train.py", "-m", *overrides, f"seed=range({options.runs})", f"launcher.jobs={options.jobs}"]
    with tempfile.TemporaryDirectory() as place:
        whole, other = Path(place, "whole"), Path(place, "other")
        together = seconds(whole, [str(PROJECT / sweep[0]), *sweep[1:]])
        if options.kills:
            kill(other, sweep, options.kills, together / options.kills, random.Random(options.seed))
        else:
            in_turn = seconds(other, ["-c", IN_TURN, str(options.runs), *overrides])
            recorded = [json.loads(file.read_text())["wall_seconds"] for file in whole.rglob("timing.json")]
            overhead = (together * options.jobs - sum(recorded)) / options.runs
            print(
                f"{options.runs} runs, {options.jobs} at a time: {together:.0f} s; one after another: {in_turn:.0f} s; "
                f"ratio {together / in_turn:.2f}; overhead {overhead:.1f} s a run"
            )
        runs = [folder.parent.relative_to(whole) for folder in whole.rglob("result.json")]
        differing = [str(run) for run in runs if differences(whole / run, other / run)]
    print(f"{len(runs)} runs, {len(differing)} of which differ{': ' * bool(differing)}{', '.join(differing)}")
    sys.exit(bool(differing) or len(runs) != options.runs)


def seconds(folder: Path, words: list[str]) -> float:
    """How long a program takes in a new folder."""
    folder.mkdir()
    begin = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begin


def kill(folder: Path, sweep: list[str], kills: int, longest: float, chance: random.Random) -> None:
    """Start a sweep again and again, and kill it or one of its runs so often; then let it end.

    Args:
        longest: seconds between two kills, or from the beginning of a first run to one.

    Raises:
        RuntimeError: it failed although nothing was killed.
    """
    folder.mkdir()
    words = [sys.executable, str(PROJECT / sweep[0]), *sweep[1:]]
    count = {"sweep": 0, "run": 0}
    ended = None
    while ended != 0:
        before = sum(count.values())
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and sum(count.values()) < kills:
            if under_way(folder, process.pid):
                time.sleep(chance.uniform(0, longest))
                whom, runs = chance.choice([*count]), under_way(folder, process.pid)
                if runs and process.poll() is None:
                    os.kill(process.pid if whom == "sweep" else chance.choice(runs), signal.SIGKILL)
                    count[whom] += 1
            time.sleep(0.01)
        ended = process.wait()
        if ended and sum(count.values()) == before:
            raise RuntimeError(f"the sweep ended with exit code {ended}")
    print(f"killed {count['sweep']} times, and {count['run']} of its runs", flush=True)


def under_way(folder: Path, sweep: int) -> list[int]:
    """The processes of a sweep that hold run folders."""
    try:
        holders = {lock.read_text() for lock in folder.rglob(".seed=*.lock")}
        children = Path(f"/proc/{sweep}/task/{sweep}/children").read_text().split()
    except FileNotFoundError:  # one has just ended
        return []
    return [int(child) for child in children if child in holders]


if __name__ == "__main__":
    main()
