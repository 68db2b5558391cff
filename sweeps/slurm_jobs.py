"""The launcher of a Slurm cluster: each run is a job, submitted by submitit.

A job that is preempted, or that reaches its time limit, is queued again and goes on from its last snapshot. The nodes
share a file system with this machine. Jobs outlive this process: `scancel` ends them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.attempt import FAILED, INTERRUPTED, Outcome


class SlurmJobs:
    """Runs as jobs of Slurm.

    Args:
        work: takes the overrides of a run.
        jobs: how many are handed to Slurm at a time; auto: all.
        cluster: slurm, or local: processes of this machine, to try it out.
        folder: for what submitit writes.
        parameters: of submitit's `update_parameters`, such as timeout_min, mem_gb, slurm_partition.

    Raises:
        ValueError: there is no Slurm, or a parameter that it does not know.
    """

    def __init__(
        self,
        work: Callable[[list[str]], Outcome],
        jobs: int | str,
        cluster: str,
        folder: str,
        parameters: Mapping[str, Any],
    ):
        import submitit

        self.jobs, self.work = jobs, _Resumable(work)
        try:
            self.executor = submitit.AutoExecutor(Path(folder).resolve(), cluster=cluster)
            self.executor.update_parameters(**parameters)
        except (RuntimeError, NameError, TypeError) as error:
            raise ValueError(f"launcher=slurm: {error}") from error
        root = str(Path(__file__).resolve().parent.parent)  # where a job finds this project
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])

    def room(self) -> int:
        return sys.maxsize if self.jobs == "auto" else int(self.jobs)

    def start(self, jobs: Sequence[list[str]]) -> list[SlurmJob]:
        with self.executor.batch():  # one array of Slurm
            submitted = [self.executor.submit(self.work, job) for job in jobs]
        return [SlurmJob(job) for job in submitted]

    def wait(self, attempts: Sequence[SlurmJob], seconds: float) -> None:
        time.sleep(seconds)


class SlurmJob:
    """A job that was handed to Slurm."""

    def __init__(self, job: Any):
        self.job, self.stopped = job, False

    def running(self) -> bool:
        return self.job.state == "RUNNING"

    def ended(self) -> bool:
        return self.job.done()

    def outcome(self) -> Outcome:
        failure = self.job.exception()
        if failure is None:
            return self.job.result()
        if self.stopped:
            return Outcome(INTERRUPTED, "interrupted")
        return Outcome(FAILED, f"{str(failure).strip().splitlines()[0]} ({self.job.paths.stderr})")

    def stop(self, number: int) -> None:
        self.stopped = True
        self.job.cancel(check=False)


class _Resumable:
    """A function whose job is queued again, with the same arguments, when Slurm ends it."""

    def __init__(self, work: Callable[[list[str]], Outcome]):
        self.work = work

    def __call__(self, job: list[str]) -> Outcome:
        return self.work(job)

    def checkpoint(self, job: list[str]) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)
