"""Train one agent: configuration -> run folder.

    python train.py env=CartPole encoder=homomorphic
    python train.py -m env=DoorKey-5x5 encoder=mlp,cnn,gnn seed=0,1,2

From Python: `train({"env": "CartPole", "encoder": "homomorphic", "seed": 1})`. Torch and Stable-Baselines3 are imported
once the configuration is known to be good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from configs.check import checked
from configs.command_line import command_line
from configs.compose import compose, compose_defaults, overrides_of
from configs.jobs import Sweepable
from sweeps.attempt import SIGNALS, Outcome


@dataclass(frozen=True)
class Result:
    """The outcome of a run.

    Attributes:
        folder: the run folder.
        scores: the content of `result.json`; None if the run was interrupted.
        config: the configuration with every `auto` decided.
        signal: the number of the signal that interrupted the run; 0 if none did.
        trained: False if the run was finished before.
    """

    folder: Path
    scores: dict[str, Any] | None
    config: dict[str, Any]
    signal: int = 0
    trained: bool = True


def train(
    config: Mapping[str, Any] | Sequence[str] = (),
    *,
    evaluated: Callable[[Path], object] = lambda folder: None,
    **options: Any,
) -> Result:
    """Train one agent and write its run folder.

    A finished run with the same configuration is only read. An interrupted one goes on from its last snapshot, and
    ends like a run that was never interrupted. A larger `total_timesteps` makes either of them longer.

    Args:
        config: a partial mapping ({"env": "DoorKey-5x5", "agent": {"name": "ppo", "gamma": 0.9}}) or a list of
            overrides as on the command line (["env=DoorKey-5x5", "agent.gamma=0.9"]); `configs/` holds the rest.
        evaluated: called with the run folder after each evaluation; an exception of it ends the run, unfinished.
        options: more entries of the mapping.

    Raises:
        ValueError: a choice, option or combination that cannot be, or another process trains in the run folder;
            nothing has been written.
        OSError: the run folder cannot be written.
        FloatingPointError: a loss, a gradient, a parameter, a reward or an observation is NaN or infinite.
        EnvironmentFailed: the environment raised an exception, its `__cause__`.
    """
    given = overrides_of({**config, **options}) if isinstance(config, Mapping) else [*config, *overrides_of(options)]
    composed, folder = _composed(given)

    import torch

    from encoders.torch_internals import leave_the_compiler_alone
    from evaluation.logs import open_logs
    from evaluation.runs import prepare, read_run
    from learning.build import build
    from learning.decide import decide, opening
    from learning.initial import changed, start
    from learning.learn import learn
    from learning.rollback import with_one_more
    from learning.snapshot import began_with, has_snapshot, interrupted
    from learning.transfer import add_transfer, lacking
    from learning.watch import NotFinite
    from storage.durable import naming_a_full_disk
    from storage.lock import holding

    before, reasons = decide({**composed, **began_with(folder, composed)})
    torch.set_num_threads(before["threads"])
    leave_the_compiler_alone()
    if not prepare(folder, before, before["overwrite"]):
        if lacking(folder, before)["transfer"]:
            with naming_a_full_disk(folder), holding(folder):
                add_transfer(folder, before)
        return _finished(folder, before)

    def go_on(rollbacks: Sequence[Mapping[str, Any]], before: Mapping[str, Any]) -> Result:
        with closing(build(before)) as built:
            decided, more = decide(before, built.env, built.model)
            started = None if has_snapshot(folder, decided) else start(built, decided)
            with naming_a_full_disk(folder), holding(folder):
                if not prepare(folder, decided, decided["overwrite"]):  # another process has just finished it
                    add_transfer(folder, decided)
                    return _finished(folder, decided)
                snapshot, said = interrupted(folder, built.model, decided)
                if snapshot is None:
                    source, taken = started or start(built, decided)
                    decided |= source
                    prepare(folder, decided, decided["overwrite"], write=True)
                else:
                    taken = changed(read_run(folder).config)
                open_logs(built.model, folder, decided, snapshot and snapshot["logs"])
                with closing(built.model.logger):
                    about = {**reasons, **more, "memory": built.memory, "snapshot": said, "initial": taken}
                    about["levels"] = str(built.split or "")
                    print(opening(folder, decided, about), flush=True)
                    rollbacks = rollbacks or (snapshot or {}).get("rollbacks", ())
                    scores, signal = learn(built, decided, folder, snapshot, rollbacks, partial(evaluated, folder))
                    return Result(folder, scores, decided, signal)

    rollbacks: Sequence[Mapping[str, Any]] = ()
    while True:
        try:
            return go_on(rollbacks, before)
        except NotFinite as error:
            if before["on_nonfinite"] == "stop":
                raise
            rollbacks, before = with_one_more(error), {**before, "overwrite": False}


def _finished(folder: Path, config: Mapping[str, Any]) -> Result:
    """The result of a finished run, which is also printed."""
    from evaluation.report import result_table
    from evaluation.runs import read_run
    from learning.initial import changed

    run = read_run(folder)
    print(f"{folder} is finished: nothing to train (overwrite=true trains anew)\n{result_table(run)}")
    if run.config.get("encoder_source", config.get("encoder_source")) != config.get("encoder_source"):
        file_changed = f"the file of {config['encoder']['class']} has changed since this run was trained"
        print(f"note: {file_changed}; overwrite=true trains the encoder as it is now")
    if source_changed := changed(run.config):
        print(f"note: {source_changed}; overwrite=true starts from it as it is now")
    return Result(folder, run.result, run.config, trained=False)


def _composed(overrides: list[str]) -> tuple[dict[str, Any], Path]:
    """The checked configuration of a list of overrides, and its run folder."""
    from evaluation.runs import run_folder

    defaults = compose_defaults(overrides)
    config = {**checked(compose("train", overrides), defaults), "command": overrides}
    return config, Path(config["run_dir"]) if config["run_dir"] else run_folder(config, defaults)


def can_be_trained(overrides: list[str]) -> None:
    """Build everything that a run needs and throw it away.

    Raises:
        ValueError: the parts do not fit together.
        OSError: the run folder holds another run, or cannot be read.
    """
    config, folder = _composed(overrides)

    from evaluation.runs import prepare
    from learning.build import build
    from learning.decide import decide
    from learning.initial import start
    from learning.snapshot import began_with, has_snapshot
    from learning.transfer import check_added

    decided, _ = decide({**config, **began_with(folder, config)})
    if prepare(folder, decided, decided["overwrite"]):
        with closing(build(decided)) as built:
            if not has_snapshot(folder, decided):
                start(built, decided)
    else:
        check_added(folder, decided)


def main(overrides: list[str]) -> int:
    """One run from the command line; if a signal interrupted it, 128 + its number: 130 for Ctrl-C, 143 for SIGTERM."""
    signal = train(overrides).signal
    return SIGNALS + signal if signal else 0


def in_a_sweep(overrides: list[str]) -> Outcome:
    """One run of a sweep."""
    from evaluation.report import interval

    result = train(overrides)
    if result.signal or result.scores is None:
        return Outcome(SIGNALS + result.signal)
    score = f"return {interval(result.scores['return'])}"
    return Outcome(0, score if result.trained else f"was finished, {score}", result.trained)


def log_of(overrides: list[str]) -> Path:
    """The file for what a run of a sweep prints: beside its folder, which may be replaced."""
    folder = _composed(overrides)[1]
    return folder.with_name(f"{folder.name}.log")


MODULES = ["encoders.mlp", "evaluation.logs", "evaluation.report", "learning.build", "learning.initial"]
MODULES += ["learning.learn", "matplotlib.pyplot"]  # what every run imports


def warm() -> None:
    """Import what every run imports, and let numba get ready, once for all processes that are forked.

    Nothing is built, since that may start threads, which a forked process would lack.
    """
    for module in MODULES:
        import_module(module)
    import_module("numba").njit(lambda: None)()


SWEEPABLE = Sweepable(in_a_sweep, can_be_trained, log_of, warm)

if __name__ == "__main__":
    command_line("train", main, SWEEPABLE)
