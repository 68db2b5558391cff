"""What TensorBoard itself reads of runs: the HPARAMS tab, the layout of CUSTOM SCALARS, replays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from train import train

TINY = {"total_timesteps": 256, "evaluation": {"every": 128, "episodes": 2, "final_episodes": 4}, "progress": False}
SMALL = {"encoder.width": 8, "agent.n_steps": 16, "agent.batch_size": 32, "agent.n_epochs": 1}


def served(folder: str) -> Any:
    """What TensorBoard's plugins read from."""
    runs = EventMultiplexer().AddRunsFromDirectory(folder).Reload()
    return TBContext(data_provider=MultiplexerDataProvider(runs, folder), logdir=folder)


def hparams_tab(folder: str, sort_by: str = "final/return") -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """TensorBoard's own HPARAMS tab: hyperparameters, metrics, and a row for each run, the best first."""
    context = backend_context.Context(served(folder))
    request = RequestContext()
    found = context.experiment_from_metadata(request, "", True, context.hparams_metadata(request, ""), [])
    by = api_pb2.ColParams(metric=api_pb2.MetricName(tag=sort_by), order=api_pb2.ORDER_DESC)
    shown = [api_pb2.Status.Value(f"STATUS_{name}") for name in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")]
    asked = api_pb2.ListSessionGroupsRequest(
        col_params=[by, *(api_pb2.ColParams(hparam=info.name) for info in found.hparam_infos)],
        allowed_statuses=shown,
        aggregation_type=api_pb2.AGGREGATION_AVG,
        slice_size=100,
    )
    groups = list_session_groups.Handler(request, context, "", asked).run().session_groups
    rows = []
    for group in groups:
        values = {key: getattr(value, value.WhichOneof("kind")) for key, value in group.hparams.items()}
        metrics = {value.name.tag: value.value for value in group.metric_values}
        (session,) = group.sessions  # a run is a row of its own, and one folder
        rows.append({"run": session.name, "status": api_pb2.Status.Name(session.status), **values, **metrics})
    return [i.name for i in found.hparam_infos], [i.name.tag for i in found.metric_infos], rows


@pytest.mark.slow
def test_a_sweep_is_sorted_in_tensorboard_by_its_final_scores():
    """Runs of two agents and encoders: each is one row, with all its options and with the scores of its result.json."""
    results = {}
    for name, options in {
        "first": {"agent": "ppo", "encoder": "mlp", **SMALL, "agent.learning_rate": "lin_5e-3", "evaluation.videos": 2},
        "other": {"agent": "dqn", "encoder": "homomorphic", "agent.learning_starts": 50, "agent.learning_rate": 2e-3},
    }.items():
        results[name] = train(TINY, env="CartPole", run_dir=f"runs/{name}", seed=3, **options).scores
    hyperparameters, metrics, rows = hparams_tab("runs")
    assert hyperparameters[:5] == ["agent", "encoder", "env", "seed", "symmetry"]
    # the columns are those of one of the runs, which need not be the run that has the option
    assert {"agent.n_steps", "agent.buffer_size", "encoder.width", "encoder.relations", "env.levels"} < {
        *hyperparameters
    }
    assert metrics[:4] == ["final/success", "final/return", "final/generalization_gap", "final/steps_to_threshold"]
    best = sorted(results, key=lambda name: -results[name]["return"]["mean"])
    assert [row["run"] for row in rows] == best
    for row in rows:
        assert row["final/return"] == pytest.approx(results[row["run"]]["return"]["mean"])
        assert row["status"] == "STATUS_SUCCESS" and row["seed"] == 3 and row["env"] == "CartPole"
    mine, theirs = (next(row for row in rows if row["run"] == name) for name in ("first", "other"))
    assert (mine["agent"], mine["encoder"], mine["symmetry"], mine["agent.n_steps"]) == ("ppo", "mlp", "none", 16)
    assert (theirs["agent"], theirs["encoder"], theirs["symmetry"]) == ("dqn", "homomorphic", "hard")
    assert (mine["agent.learning_rate"], theirs["agent.learning_rate"]) == (5e-3, 2e-3)
    images = EventAccumulator("runs/first").Reload().Images("evaluation/replay")
    assert [image.step for image in images] == [128, 256]
    assert {path.parent.name for path in Path("runs").rglob("events.out.tfevents.*")} == {"first", "other"}


def test_the_important_curves_come_first_in_tensorboard():
    folder = train(TINY, env="CartPole", run_dir="runs/one", **SMALL).folder
    layout = json.loads(CustomScalarsPlugin(served("runs")).layout_impl(RequestContext(), ""))
    scores, learning = layout["category"]
    assert [chart["title"] for chart in scores["chart"]][:3] == ["evaluations", "final score", "generalization gap"]
    assert scores["chart"][0]["multiline"]["tag"] == ["evaluation/success", "evaluation/return"]
    assert learning["chart"][0]["title"] == "losses"
    curves = EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    assert {"evaluation/return", "final/return", "train/loss", "evaluation/equivariance_error"} <= {*curves}
