"""Runs that are killed at random moments, started again each time, and compared with a run that never was.

    python benchmarks/kills.py                                    # 50 kills of each agent
    python benchmarks/kills.py --agents dqn sac --kills 10
    python benchmarks/kills.py --agents ppo agent.implementation=compiled
    python benchmarks/kills.py --agents a2c --signals KILL TERM INT

Every life is a process of its own, with the `main` of train.py. Half of the lives are killed within a few milliseconds
after a save has begun, the others at any time since their start. After each kill the snapshot must be readable and no
older than the one before. A run that ends before all kills were done is followed by one with another seed. Exit code 1
if anything was lost or differs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from learning.build import build  # noqa: F401  what train.py imports later is here before the first life is forked
from learning.learn import learn  # noqa: F401
from learning.snapshot import FOLDER, read_snapshot
from storage.durable import UNFINISHED
from train import main as train

FILES = ("policy/policy.safetensors", "best/policy.safetensors", "progress.csv", "evaluations.csv", "result.json")
SMALL = ["total_timesteps=12000", "snapshot.every=120", "n_envs=4", "encoder=mlp", "encoder.width=16", "progress=false"]
SMALL += ["evaluation.every=1500", "evaluation.episodes=2", "evaluation.final_episodes=3"]
ROLLOUTS = ["env=DoorKey-5x5", "agent.n_steps=30", "agent.batch_size=60", "agent.n_epochs=2"]
REPLAY = ["agent.learning_starts=200", "agent.train_freq=4", "agent.gradient_steps=1", "agent.buffer_size=5000"]
REPLAY += ["agent.batch_size=32"]
AGENTS = {
    "ppo": ROLLOUTS,
    "ppo_fast": ROLLOUTS,
    "recurrent_ppo": ROLLOUTS,
    "a2c": ["env=CartPole"],
    "dqn": ["env=DoorKey-5x5", *REPLAY],
    "qrdqn": ["env=CartPole", *REPLAY],
    "sac": ["env=Pendulum", *REPLAY],
    "td3": ["env=Pendulum", *REPLAY],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("overrides", nargs="*", help="of train.py")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=[*AGENTS])
    parser.add_argument("--kills", type=int, default=50, help="of each agent")
    parser.add_argument("--signals", nargs="+", choices=("KILL", "TERM", "INT"), default=["KILL"])
    parser.add_argument("--seed", type=int, default=0, help="of the moments, and of the first run")
    options = parser.parse_args()
    numbers = [signal.Signals[f"SIG{name}"] for name in options.signals]
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        found = [kill_runs(agent, options.overrides, options.kills, numbers, options.seed) for agent in options.agents]
    sys.exit(any(found))


def kill_runs(agent: str, overrides: list[str], kills: int, numbers: Sequence[int], seed: int) -> bool:
    """Kill runs of an agent until there were so many kills; prints a line; whether anything was lost or differs."""
    chance, count, runs = random.Random(f"{agent} {seed}"), {"kills": 0, "within a save": 0, "lost": 0}, 0
    differing: list[str] = []
    while count["kills"] < kills:
        command = [*SMALL, f"agent={agent}", *AGENTS[agent], *overrides, f"seed={seed + runs}"]
        whole, killed = Path(f"{agent}-whole-{runs}"), Path(f"{agent}-killed-{runs}")
        _ended(Life(command, whole))
        _kill(command, killed, kills, numbers, chance, count)
        differing += [f"{name} (seed {seed + runs})" for name in differences(whole, killed)]
        runs += 1
    print(
        f"{agent}: {count['kills']} kills, {count['within a save']} of them within a save, in {runs} "
        f"run{'s' * (runs > 1)}: {count['lost']} snapshots lost, "
        f"{'differing: ' + ', '.join(differing) if differing else 'all ends alike'}",
        flush=True,
    )
    return bool(differing) or count["lost"] > 0


def _kill(
    command: list[str], folder: Path, kills: int, numbers: Sequence[int], chance: random.Random, count: dict[str, int]
) -> None:
    """Kill a run, and start it again, until it ends by itself or there were enough kills; then it goes to its end."""
    until_a_save = 2.0  # seconds from the start of a process to its first snapshot
    while count["kills"] < kills:
        before = read_snapshot(folder)
        begin = time.monotonic()
        life = Life(command, folder)
        if chance.random() < 0.5:
            for _ in range(chance.randint(1, 3)):
                life.wait_for_a_save()
                until_a_save = min(until_a_save, time.monotonic() - begin)
            time.sleep(chance.uniform(0, 0.006))
        else:
            life.process.join(chance.uniform(0, 2 * until_a_save))
        number = chance.choice(numbers)
        if life.process.exitcode is None:
            os.kill(life.process.pid or 0, number)
        life.process.join()
        if life.process.exitcode == 0:  # it came to its end before
            break
        if life.process.exitcode not in (-number, 128 + number):
            raise RuntimeError(f"exit code {life.process.exitcode}:\n{life.log.read_text()}")
        count["kills"] += 1
        count["within a save"] += any(folder.glob(f".{FOLDER}.*{UNFINISHED}"))
        after = read_snapshot(folder)
        count["lost"] += before is not None and (after is None or after["steps"] < before["steps"])
    _ended(Life(command, folder))


def _ended(life: Life) -> None:
    life.process.join()
    if life.process.exitcode:
        raise RuntimeError(f"exit code {life.process.exitcode}:\n{life.log.read_text()}")


class Life:
    """A process that trains in a run folder; what it prints goes into `log`."""

    def __init__(self, command: list[str], folder: Path):
        self.folder, self.log = folder, folder.with_suffix(".txt")
        self.process = multiprocessing.get_context("fork").Process(target=self._live, args=(command,))
        self.process.start()

    def _live(self, command: list[str]) -> None:
        with self.log.open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            sys.exit(train([*command, f"run_dir={self.folder}"]))

    def wait_for_a_save(self) -> None:
        """Return once the next save has begun, or the process has ended."""
        begun = set(self.folder.glob(f".{FOLDER}.*{UNFINISHED}"))
        while self.process.exitcode is None and not {*self.folder.glob(f".{FOLDER}.*{UNFINISHED}")} - begun:
            time.sleep(0.0005)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run, but for the clocks.

    Files that one process made within one second are read in the order of their names, which need not be that of time.
    """
    events: Any = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: sorted((event.step, event.value) for event in events.Scalars(tag)) for tag in tags}


def differences(folder: str | Path, other: str | Path) -> list[str]:
    """The files of two runs that differ, and the curves in TensorBoard."""
    folder, other = Path(folder), Path(other)
    files = [name for name in FILES if (folder / name).read_bytes() != (other / name).read_bytes()]
    mine, theirs = scalars(folder), scalars(other)
    return files + sorted(tag for tag in mine.keys() | theirs.keys() if mine.get(tag) != theirs.get(tag))


if __name__ == "__main__":
    main()
