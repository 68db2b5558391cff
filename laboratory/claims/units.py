"""Deconvolution shows what a unit depends on: where it is strongest, the unit loses most by occlusion.

Episodes of the pretrained cnn of DoorKey-8x8 are played. Each channel of each convolutional layer is looked at in each
frame, in the cell where it is most active. The two cells of its receptive field where its deconvolution has the largest
norm are replaced by the code of a cell that is not seen, and so are two others of the field, drawn at random. What
decides is the difference in the share of activation that is lost, Σ (a - a') / Σ a over the units of the last layer,
with Student's interval over the seeds of the episodes. For comparison the two cells are also chosen by the
deconvolution of the next channel from the same place, and by the gradient.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from agents import Policy, load_policy
from agents.diagnostics import as_encoded
from analysis.deconvolution import Deconvolution, receptive_field, strongest
from analysis.saliency import gradient
from analysis.stacks import Stack, stack_of
from envs.minigrid import picture
from evaluation.scores import student_interval
from laboratory.claim import Claim, Measured, Row
from playing.show import episode

POLICY = Path(__file__).resolve().parents[2] / "pretrained" / "DoorKey-8x8-cnn"
OCCLUDED = 2  # cells; half of the smallest receptive field, that of a unit in a corner
DRAWS = 10  # of the others
SHOWN = 6  # units in the picture
WAYS = ("deconvolution", "other cells", "another unit's deconvolution", "gradient")


def measure(quick: bool) -> Measured:
    policy = load_policy(POLICY, device="cpu")
    policy.module.set_training_mode(False)
    options = {"id": policy.spec["environment"]["id"], "view": policy.spec["environment"]["view"]}
    lost: list[list[dict[str, float]]] = []  # by episode, layer and way
    shown: list[dict[str, Any]] = []
    units = frames = 0
    for seed in range(3 if quick else 30):
        torch.manual_seed(seed)
        met = [(observation, picture(env, "partial")) for observation, _, env in episode(policy, options, seed)]
        stack, blank = _stacks(policy, [observation for observation, _ in met])
        found = [_lost(stack, blank, layer) for layer in range(len(stack.layers))]
        lost.append([shares for shares, _ in found])
        units, frames = units + sum(number for _, number in found), frames + len(met)
        if len(shown) < SHOWN:
            shown += _examples(stack, [pixels for _, pixels in met], SHOWN // 3)
    rows = []
    for layer in range(len(lost[0])):
        for way in WAYS:
            values = np.array([each[layer][way] for each in lost])
            mean, low, high = student_interval(values)
            more = student_interval(np.array([each[layer][WAYS[0]] - each[layer][way] for each in lost]))
            rows.append(
                {
                    "layer": layer + 1,
                    "occluded by": way,
                    "share lost": mean,
                    "low": low,
                    "high": high,
                    "lost less than by the first": str(more) if way != WAYS[0] else None,
                }
            )
    effect = student_interval(np.array([each[-1][WAYS[0]] - each[-1][WAYS[1]] for each in lost]))
    return Measured(effect, rows, {"units": shown}, _notes(frames, units, len(lost)))


def _notes(frames: int, units: int, episodes: int) -> list[str]:
    return [
        f"{units:,} active units in {frames:,} frames of {episodes} episodes.",
        "Another unit's deconvolution, from the same place, shows how much is due to the place alone.",
        "This network has no pooling, hence no switches: a unit's deconvolution has the same shape in every frame.",
    ]


def _stacks(policy: Policy, observations: Sequence[Mapping[str, np.ndarray]]) -> tuple[Stack, Tensor]:
    """The stack at these observations, and its input where every cell is one that is not seen (code 0)."""
    network: Any = policy.module.pi_features_extractor
    states = {key: np.stack([each[key] for each in observations]) for key in observations[0]}
    encoded = as_encoded(policy, states)
    unseen = {**encoded, "image": torch.zeros_like(encoded["image"])}
    return stack_of(network, encoded), stack_of(network, unseen).inputs


def _lost(stack: Stack, blank: Tensor, layer: int) -> tuple[dict[str, float], int]:
    """The share of the activation of all units of a layer that each way of occluding takes, and how many units."""
    layers, size = stack.layers[: layer + 1], stack.inputs.shape[2:]
    values, cells = strongest(Deconvolution(layers, stack.inputs).maps[layer])
    frame, channel = (values > 0).nonzero(as_tuple=True)
    x, hidden, cells, before = stack.inputs[frame], blank[frame], cells[frame, channel], values[frame, channel]
    field = _fields(layers, cells, size)
    unit = torch.arange(len(frame)), channel, cells[:, 0], cells[:, 1]
    network = nn.Sequential(*layers)

    def after(chosen: Tensor) -> Tensor:
        """The units' activations without the chosen cells."""
        with torch.no_grad():
            return network(torch.where(chosen.unflatten(1, size)[:, None], hidden, x))[unit]

    def most(strength: Tensor) -> Tensor:
        ranked = strength.flatten(1).masked_fill(~field, -1).topk(OCCLUDED, dim=1).indices
        return torch.zeros_like(field).scatter(1, ranked, True)

    deconvolution = Deconvolution(layers, x)
    chosen = most(deconvolution.of_units(layer, channel, cells).norm(dim=1))
    next_one = (channel + 1) % values.shape[1]
    signal = torch.zeros_like(deconvolution.maps[layer])
    signal[unit[0], next_one, cells[:, 0], cells[:, 1]] = 1
    others = [most(torch.rand(field.shape).masked_fill(chosen, -0.5)) for _ in range(DRAWS)]
    left = {
        WAYS[0]: after(chosen),
        WAYS[1]: torch.stack([after(each) for each in others]).mean(0),
        WAYS[2]: after(most(deconvolution.back(layer, signal).norm(dim=1))),
        WAYS[3]: after(most(gradient(lambda x: network(x)[unit], x).norm(dim=1))),
    }
    return {way: float(1 - each.sum() / before.sum()) for way, each in left.items()}, len(frame)


def _fields(layers: Sequence[nn.Module], cells: Tensor, size: Sequence[int]) -> Tensor:
    """Which cells each unit can see: (units, cells)."""
    distinct, which = cells.unique(dim=0, return_inverse=True)
    masks = torch.zeros(len(distinct), *size, dtype=torch.bool)
    for mask, (x, y) in zip(masks, distinct.tolist(), strict=True):
        (left, right), (top, bottom) = receptive_field(layers, (x, y), (size[0], size[1]))
        mask[left : right + 1, top : bottom + 1] = True
    return masks.flatten(1)[which]


def _examples(stack: Stack, pictures: Sequence[np.ndarray], number: int) -> list[dict[str, Any]]:
    """The most active units of the last layer in the middle of an episode, with what the picture needs."""
    middle, last = len(pictures) // 2, len(stack.layers) - 1
    x = stack.inputs[middle : middle + 1].expand(number, -1, -1, -1)
    deconvolution = Deconvolution(stack.layers, x)
    values, cells = strongest(deconvolution.maps[last][:1])
    channels = values[0].topk(number).indices
    places = cells[0, channels]
    strength = deconvolution.of_units(last, channels, places).norm(dim=1)
    file = BytesIO()
    Image.fromarray(pictures[middle]).reduce(2).save(file, "PNG")
    frame = b64encode(file.getvalue()).decode()
    return [
        {"channel": int(channel), "cell": place.tolist(), "frame": frame, "strength": each.numpy().round(4).tolist()}
        for channel, place, each in zip(channels, places, strength, strict=True)
    ]


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    right.suptitle("deconvolution of units of the last layer (squares)", fontsize=9)
    axis = left.subplots()
    colours = ("#0072b2", "#9aa5b0", "#d55e00", "#009e73")
    for row in rows:
        way = WAYS.index(row["occluded by"])
        place = row["layer"] + 0.2 * (way - 1.5)
        errors = [[row["share lost"] - row["low"]], [row["high"] - row["share lost"]]]
        label = _label(row["occluded by"]) if row["layer"] == 1 else None
        axis.bar(place, row["share lost"], 0.18, color=colours[way], yerr=errors, label=label)
    layers = sorted({row["layer"] for row in rows})
    top = 1.5 * max(row["high"] for row in rows)
    axis.set(xticks=layers, xticklabels=[f"layer {layer}" for layer in layers], ylabel="share of activation lost")
    axis.set_ylim(top=top)
    axis.axhline(0, color="#5c6670", linewidth=0.8)
    axis.legend(loc="upper right", fontsize=7)
    axes = right.subplots(2, SHOWN // 2)
    for axis, unit in zip(axes.flat, drawn["units"], strict=True):
        pixels = np.asarray(Image.open(BytesIO(b64decode(unit["frame"]))))
        strength = np.array(unit["strength"]).T  # the rows of an image are y
        height, width = strength.shape
        axis.imshow(pixels, extent=(0, width, height, 0))
        axis.imshow(
            np.ones_like(strength), "autumn", alpha=0.8 * strength / strength.max(), extent=(0, width, height, 0)
        )
        axis.add_patch(_square(unit["cell"]))
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.set_title(f"channel {unit['channel']}", fontsize=8)


def _label(way: str) -> str:
    return f"{OCCLUDED} cells by {way}" if way != WAYS[1] else f"{OCCLUDED} {way}, at random"


def _square(cell: Sequence[int]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((cell[0], cell[1]), 1, 1, fill=False, edgecolor="white", linewidth=1.5)


CLAIM = Claim(
    says="Deconvolution shows what a unit depends on: it loses most where its deconvolution is strongest.",
    source="Zeiler & Fergus 2014, sections 2.1 and 4.2",
    number="share of activation lost by occluding its 2 strongest cells, minus that of 2 others of the receptive field",
    measure=measure,
    draw=draw,
    quick="3 episodes instead of 30",
    size=(9.0, 4.0),
)
