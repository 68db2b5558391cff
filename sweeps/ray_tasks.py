"""The launcher of a Ray cluster: each run is a task.

A worker that dies, or a node, costs its task only, which the sweep hands over once more. The nodes share a file system
with this machine, and have the same packages. When this process ends, Ray ends its tasks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sweeps.attempt import FAILED, INTERRUPTED, Outcome


class RayTasks:
    """Runs as tasks of Ray.

    Args:
        work: takes the overrides of a run.
        jobs: how many at a time; auto: as many as the cluster has resources for now.
        address: of a cluster; None: the one of this machine (`ray start`) or of RAY_ADDRESS, else one for this sweep.
        cpus: that a run takes.
        gpus: the same; may be a fraction.
        resources: the same for resources of the cluster's own.

    Raises:
        ValueError: there is no such cluster.
    """

    def __init__(
        self,
        work: Callable[[list[str]], Outcome],
        jobs: int | str,
        address: str | None,
        cpus: float,
        gpus: float,
        resources: Mapping[str, float],
    ):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # the nodes have their packages already
        import ray

        self.ray, self.jobs = ray, jobs
        self.needs = {"CPU": cpus, "GPU": gpus, **resources}
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            raise ValueError(
                f"launcher.address={address}: there is no Ray cluster; `ray start --head` starts one"
            ) from error
        self.task = ray.remote(num_cpus=cpus, num_gpus=gpus, resources=dict(resources), max_retries=0)(_in_folder)
        self.arguments = os.getcwd(), ray.put(work)

    def room(self) -> int:
        if self.jobs != "auto":
            return int(self.jobs)
        there = self.ray.cluster_resources()
        return max(1, min((int(there.get(name, 0) / need) for name, need in self.needs.items() if need), default=1))

    def start(self, jobs: Sequence[list[str]]) -> list[RayTask]:
        return [RayTask(self.ray, self.task.remote(*self.arguments, job)) for job in jobs]

    def wait(self, attempts: Sequence[RayTask], seconds: float) -> None:
        self.ray.wait([attempt.reference for attempt in attempts], timeout=seconds)


class RayTask:
    """A task that was handed to Ray."""

    def __init__(self, ray: Any, reference: Any):
        self.ray, self.reference, self.stopped = ray, reference, False

    def running(self) -> bool:
        return True

    def ended(self) -> bool:
        return bool(self.ray.wait([self.reference], timeout=0)[0])

    def outcome(self) -> Outcome:
        try:
            return self.ray.get(self.reference)
        except self.ray.exceptions.TaskCancelledError:
            return Outcome(INTERRUPTED, "interrupted")
        except self.ray.exceptions.RayError as error:
            return Outcome(FAILED, str(error).strip().split("\n")[0])

    def stop(self, number: int) -> None:
        self.ray.cancel(self.reference, force=self.stopped)
        self.stopped = True


def _in_folder(folder: str, work: Callable[[list[str]], Outcome], job: list[str]) -> Outcome:
    """A run, in a worker."""
    os.chdir(folder)
    return work(job)
