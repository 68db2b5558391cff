"""What snapshots cost: their share of a run's CPU time, and the size of one.

    python benchmarks/snapshots.py env=CartPole
    python benchmarks/snapshots.py env=DoorKey-5x5

The run is a real one, in a temporary folder. The share is measured within it, so other
programs that run at the same time do not change it much.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from learning.snapshot import FOLDER, Snapshots
from train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("overrides", nargs="+", help="of train.py, like env=CartPole")
    overrides = parser.parse_args().overrides
    spent: list[float] = []
    take = Snapshots.take

    def timed(self: Any) -> None:
        begin = time.process_time()
        take(self)
        spent.append(time.process_time() - begin)

    Snapshots.take = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        train([*overrides, "progress=false", f"run_dir={folder}/run"])
        total = time.process_time() - begin
        size = sum(path.stat().st_size for path in Path(folder, "run", FOLDER).iterdir())
    each = 1000 * sum(spent) / max(len(spent), 1)
    print(
        f"{len(spent)} snapshots of {size / 1e6:.2f} MB, {each:.1f} ms of CPU time each: "
        f"{100 * sum(spent) / total:.2f}% of the run's {total:.1f} s"
    )


if __name__ == "__main__":
    main()
