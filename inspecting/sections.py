"""The sections of the page: what each shows at one moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comparing.markup import Markup, element, joined
from inspecting.images import around_grey, contents, heat
from inspecting.measures import Target, Unit
from inspecting.moments import Episode

NAMED = 12  # numbers of a vector, at most
MOST_WEIGHTS = 64  # rows and columns of generated weights that are drawn
DIRECTIONS = ("right", "down", "left", "up")


def overlay(values: np.ndarray, caption: str, label: str, most: float | None = None) -> Markup:
    """A map (y, x) over the frame of its moment.

    Args:
        values: orange above zero, blue below.
        caption: below it.
        label: what it shows, for those who do not see it.
        most: the absolute value that is opaque; None: the largest.
    """
    map_ = element(
        "div", element("img", src=heat(values, most), alt=""), class_="map seen", role="img", aria_label=label
    )
    return element("figure", map_, element("figcaption", caption))


def actions(episode: Episode, outputs: np.ndarray, probabilities: np.ndarray | None) -> Markup:
    """What the policy computes at one moment."""
    names = [action_name(episode, number) for number in range(len(outputs))]
    shown = outputs if probabilities is None else probabilities
    rows = [
        (name, _number(value), value if probabilities is not None else None)
        for name, value in zip(names, shown, strict=True)
    ]
    return bars(rows)


def action_name(episode: Episode, number: int) -> str:
    return episode.actions[number] if number < len(episode.actions) else f"action {number + 1}"


def bars(rows: Sequence[tuple[str, str, float | None]]) -> Markup:
    """A table of names, numbers and bars from 0 to 1, which may be None; blue below zero."""
    lines = []
    for name, number, share in rows:
        width = None if share is None else f"width:{100 * min(abs(share), 1):.1f}%"
        bar = "" if width is None else element("i", style=width, class_="below" if share and share < 0 else "above")
        lines.append(
            element("tr", element("th", name, scope="row"), element("td", number), element("td", bar, class_="bar"))
        )
    return element("table", *lines, class_="bars")


def dependence(episode: Episode, target: Target, moment: int) -> Markup:
    """Saliency and occlusion of one number at one moment, as maps or as a table."""
    saliency, occlusion = target.saliency[moment], target.occlusion[moment]
    value = _number(target.values[moment])
    if saliency.ndim == 1:
        names = [episode.numbers[i] if i < len(episode.numbers) else f"number {i + 1}" for i in range(len(saliency))]
        largest = np.argsort(-np.abs(occlusion), kind="stable")[:NAMED]
        top = max(np.abs(occlusion).max(), 1e-12), max(np.abs(saliency).max(), 1e-12)
        parts = []
        for heading, each, most in (("occlusion", occlusion, top[0]), ("saliency", saliency, top[1])):
            rows = [(names[i], f"{each[i]:+.3g}", float(each[i] / most)) for i in largest]
            parts.append(element("div", element("h4", heading), bars(rows)))
        left_out = len(saliency) - len(largest)
        note = (
            element("p", f"{left_out:,} numbers that matter less are left out.", class_="quiet") if left_out > 0 else ""
        )
        return joined(element("h3", f"{target.name}: {value}"), element("div", *parts, class_="pair"), note)
    most, where = _strongest(occlusion)
    steepest = _strongest(saliency)[1]
    maps = [
        overlay(occlusion, f"occlusion: {most:+.2g} at {where}", f"occlusion, strongest at {where}"),
        overlay(saliency, f"saliency: strongest at {steepest}", f"saliency, strongest at {steepest}"),
    ]
    return joined(element("h3", f"{target.name}: {value}"), element("div", *maps, class_="figures"))


def layer_units(units: Sequence[Unit], layer: int, pixels: bool) -> Markup:
    """The most active units of a layer at one moment."""
    heading = element("h3", f"Layer {layer + 1}")
    if not units:
        return joined(heading, element("p", "No unit of this layer is active."))
    return joined(heading, element("div", *(_unit(each, pixels) for each in units), class_="figures"))


def _unit(unit: Unit, pixels: bool) -> Markup:
    who = f"channel {unit.channel} at column {unit.cell[0] + 1}, row {unit.cell[1] + 1}"
    label = f"deconvolution of {who}, strongest at {_strongest(unit.strength)[1]}"
    where = element(
        "div", element("img", src=heat(unit.strength), alt=""), class_="map seen", role="img", aria_label=label
    )
    if unit.wanted is not None:
        what = element("img", src=contents(*unit.wanted), alt=f"contents that {who} stands for", class_="map")
    else:
        assert unit.signal is not None
        what = element("img", src=around_grey(unit.signal), alt=f"pixels that {who} stands for", class_="map")
    if pixels:
        who = f"channel {unit.channel}"
    caption = element("figcaption", f"{who}; activation {unit.activation:.2f}")
    return element("figure", element("div", where, what, class_="two"), caption)


def relation_bars(names: Sequence[str], changes: np.ndarray) -> Markup:
    """How much the output changes without each relation, at one moment; the largest first."""
    order = np.argsort(-changes, kind="stable")
    return bars([(names[i].replace("_", " "), f"{changes[i]:.3f}", float(changes[i])) for i in order])


def attention_maps(cells: np.ndarray, others: dict[str, np.ndarray]) -> Markup:
    """Attention of each layer and head at one moment.

    Args:
        cells: (layers, heads, y, x).
        others: to other tokens, (layers, heads, tokens).
    """
    rows = []
    for layer, heads in enumerate(cells):
        maps = []
        for head, values in enumerate(heads):
            shares = [f"{key} {part[layer, head].sum():.0%}" for key, part in others.items()]
            caption = f"head {head + 1}: " + ", ".join([f"cells {values.sum():.0%}", *shares])
            label = f"attention of layer {layer + 1}, head {head + 1}, most to {_strongest(values)[1]}"
            maps.append(overlay(values, caption, label))
        rows += [element("h3", f"Layer {layer + 1}"), element("div", *maps, class_="figures")]
    return joined(*rows)


def weight_maps(layers: Sequence[np.ndarray], moment: int, context: str) -> Markup:
    """The generated weights of each layer at one moment, and how they differ from their mean over the moments."""
    rows = [element("h3", f"Context: {context}")]
    for number, every in enumerate(layers):
        mean, here = every.mean(0), every[moment]
        relative = np.linalg.norm(here - mean) / np.linalg.norm(mean)
        size = f"layer {number + 1}, {here.shape[0]} × {here.shape[1]}"
        far = f"{size}: difference from the mean over the moments, {relative:.0%} of its size"
        figures = []
        for caption, values, scale in ((size, here, every), (far, here - mean, every - mean)):
            shown = values[:MOST_WEIGHTS, :MOST_WEIGHTS]
            image = heat(shown, float(np.abs(scale).max() or 1))
            picture = element("img", src=image, alt=f"weights of {caption}", class_="map weights")
            figures.append(element("figure", picture, element("figcaption", caption)))
        rows.append(element("div", *figures, class_="figures wide"))
    return joined(*rows)


def context_of(states: object, moment: int) -> str:
    """What generates the weights at one moment, in words."""
    if not isinstance(states, dict) or "direction" not in states:
        return "the observation itself"
    said = [f"the agent faces {DIRECTIONS[int(states['direction'][moment].flat[-1])]}"]
    if "carrying" in states:
        kind = int(states["carrying"][moment].flatten()[0])
        said.append("it carries nothing" if kind == 1 else "it carries something")
    if "mission" in states:
        said.append("its mission")
    return ", ".join(said)


def _strongest(values: np.ndarray) -> tuple[float, str]:
    """The entry of a map (y, x) with the largest absolute value, and where it lies, in words."""
    row, column = divmod(int(np.abs(values).argmax()), values.shape[1])
    return float(values[row, column]), f"column {column + 1}, row {row + 1}"


def _number(value: float | np.ndarray) -> str:
    return f"{round(float(value), 2) + 0.0:.2f}"  # + 0.0: no -0.00
