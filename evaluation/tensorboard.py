"""What TensorBoard shows of a run beside its curves: the HPARAMS tab, the layout of CUSTOM SCALARS, replays.

All of it is written into the run's own event file. `SummaryWriter.add_hparams` would make a second run of it, with
another folder; here a row of the HPARAMS tab is a run, and its metrics are the last values of the run's curves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from torch.utils.tensorboard.summary import custom_scalars

from configs.check import LEAST
from configs.flatten import flatten
from configs.options import defaults

CHOICES = ("agent", "encoder", "env", "seed", "symmetry")
GROUPS = ("agent", "encoder", "env", "symmetry")  # whose options are columns, too
LEFT_OUT = (  # what a choice or the machine decides
    *("env.id", "env.words", "env.engine"),
    *("agent.algorithm", "encoder.class", "symmetry.method"),
)
METRICS = (  # TensorBoard shows the first five at once, and the others after a click
    "final/success",
    "final/return",
    "final/generalization_gap",
    "final/steps_to_threshold",
    "final/of_optimal",
    "final/equivariance_error",
    "evaluation/success",
    "evaluation/return",
    "rollout/success_rate",
    "rollout/ep_rew_mean",
)
LAYOUT = {  # charts of curves whose names begin so; what a run does not have is left out of a chart
    "scores": {
        "evaluations": ["evaluation/success", "evaluation/return"],
        "final score": ["final/success", "final/return"],
        "generalization gap": ["evaluation/generalization_gap", "final/generalization_gap"],
        "training episodes": ["rollout/success_rate", "rollout/ep_rew_mean"],
        "equivariance error": ["evaluation/equivariance_error"],
    },
    "learning": {
        "losses": ["train/loss$", "train/policy_gradient_loss", "train/policy_loss", "train/value_loss"],
        "losses of actor and critic": ["train/actor_loss", "train/critic_loss", "train/ent_coef_loss"],
        "gradient norms": ["train/gradient_norm"],
        "entropy": ["train/entropy_loss", "train/std", "train/ent_coef"],
        "steps per second": ["time/fps"],
    },
}


def hyperparameters(config: Mapping[str, Any]) -> list[Summary]:
    """The columns of the HPARAMS tab, and the row of a run in it.

    TensorBoard takes the columns from one of the runs that it shows, so each run names those of every agent, encoder
    and symmetry. A schedule counts with its first value. total_timesteps is left out, since a run may be made longer.

    Args:
        config: of the run, decided.
    """
    known = defaults()
    row = {key: config[key]["name"] for key in GROUPS} | {"seed": config["seed"], "n_envs": config["n_envs"]}
    row |= {f"{key}.{name}": value for key in GROUPS for name, value in flatten(config[key]).items() if name != "name"}
    row["symmetry"] = config["symmetry"]["method"]
    columns, values = [], plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name in [*CHOICES, *sorted({*known, *row} - {*CHOICES, *LEFT_OUT})]:
        usual, value = known.get(name, row.get(name)), row.get(name)
        numeric = name in LEAST or (isinstance(usual, (int, float)) and not isinstance(usual, bool))
        kind = api_pb2.DataType.Value("DATA_TYPE_FLOAT64" if numeric else "DATA_TYPE_STRING")
        columns.append(api_pb2.HParamInfo(name=name, type=kind, differs=name in CHOICES))
        if numeric and (number := _number(value)) is not None:
            values.hparams[name].number_value = number
        elif value is not None and not numeric:
            values.hparams[name].string_value = str(value)
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in METRICS]
    experiment = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)
    return [
        _summary(metadata.EXPERIMENT_TAG, experiment=experiment),
        _summary(metadata.SESSION_START_INFO_TAG, session_start_info=values),
    ]


def finished() -> Summary:
    """The row of a run whose final score is known: TensorBoard then says that it is not running any more."""
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value("STATUS_SUCCESS"), end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, session_end_info=end)


def layout() -> Summary:
    """The charts of the CUSTOM SCALARS tab, in their order."""
    charts = {title: {name: ["Multiline", tags] for name, tags in part.items()} for title, part in LAYOUT.items()}
    return custom_scalars(charts)


def moving_picture(tag: str, gif: bytes, size: tuple[int, int]) -> Summary:
    """A GIF of this width and height, which the IMAGES tab plays."""
    width, height = size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=gif)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def _number(value: Any) -> float | None:
    """A value in a column of numbers; None if it is not one."""
    try:
        return float(value.removeprefix("lin_") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        return None


def _summary(tag: str, **data: Any) -> Summary:
    kept = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**data))
    return Summary(value=[Summary.Value(tag=tag, metadata=kept, tensor=metadata.NULL_TENSOR)])
