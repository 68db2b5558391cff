"""The launcher of sweeps; Hydra looks for launchers in packages of this name only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher


class SweepLauncher(Launcher):
    """Starts `configs.command_line.Job.run_sweep`, which knows the jobs.

    Hydra is told of none, since it composes the sweep's own configuration with every option that is not swept. That
    fails for options which only some of the choices have, such as env.levels.

    Args:
        runs_in: processes, ray or slurm.
        options: of that launcher.
    """

    def __init__(self, runs_in: str, **options: Any):
        self.runs_in, self.options = runs_in, options

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.task = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.task.run_sweep(self.runs_in, self.options)
        return [JobReturn(overrides=overrides, status=JobStatus.COMPLETED) for overrides in job_overrides]
