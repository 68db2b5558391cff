"""A picture of which node of a body listens to which: matrices, and the body with an arrow for each edge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from envs.bodies.picture import places

if TYPE_CHECKING:
    from playing.listens import Listens

SHADES = "Blues"  # one hue: light and dark are told apart by everyone
CELL = 0.17  # inches
FONT = 7
SMALLEST = 4.2  # inches, of a panel, into which what is written fits
WIDEST = 4  # points, of an arrow or a ring
FEEL, HEAR = "#999999", "#d95f02"  # rings for the root, arrows for neighbours


def draw(found: Listens, file: Path) -> None:
    """Draw the shares of S as a matrix, and on the edges of the body; below them a transformer's attention.

    Shades of S go with the square root of shares, so that small ones are seen; those of attention with attention.

    Raises:
        OSError: the picture cannot be written.
    """
    layers = 0 if found.attention is None else len(found.attention)
    rows, columns = len(found.acting), len(found.tokens)
    side, height = max(SMALLEST, CELL * columns + 1.6), max(SMALLEST, CELL * rows + 1.5)
    panels = max(2, layers)
    figure = Figure(figsize=(side * panels, height * (1 + (layers > 0)) + 0.4), layout="constrained")
    upper, *lower = figure.subfigures(1 + (layers > 0), 1, squeeze=False)[:, 0]
    matrix, graph = upper.subplots(1, 2, width_ratios=[1, panels - 1])
    figure.suptitle(f"{found.name}: which node listens to which, mean over {found.states} states", fontsize=10)
    scale = PowerNorm(0.5, 0, max(found.shares.max(), 1e-12))
    title = "how far mean actions move with what nodes show; rows sum to 1"
    image = _matrix(matrix, found, found.shares, [*found.body.names], title, scale)
    _graph(graph, found, image)
    _bar(upper, image, [matrix, graph], "share")
    if found.attention is not None:
        axes = lower[0].subplots(1, layers, squeeze=False)[0]
        linear = Normalize(0, found.attention.max())
        for layer, axis in enumerate(axes):
            title = f"attention of layer {layer + 1}"
            image = _matrix(axis, found, found.attention[layer], found.tokens, title, linear)
        _bar(lower[0], image, [*axes], f"attention, mean over heads (evenly spread: {1 / columns:.3f})")
    figure.savefig(file, dpi=130, bbox_inches="tight")


def _matrix(axis: Any, found: Listens, values: np.ndarray, columns: list[str], title: str, norm: Normalize) -> Any:
    """A row for each node that acts."""
    first = len(columns) - found.body.nodes
    numbered = [name if place < first else f"{place - first} {name}" for place, name in enumerate(columns)]
    image = axis.imshow(values, cmap=SHADES, norm=norm)
    axis.set_xticks(range(len(columns)), numbered, rotation=90, fontsize=FONT)
    axis.set_yticks(range(len(values)), [numbered[first + node] for node in found.acting], fontsize=FONT)
    axis.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(values) + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="#dddddd", linewidth=0.4)
    axis.tick_params(which="minor", length=0)
    axis.set_title(title, fontsize=FONT + 1)
    axis.set_ylabel("a node that acts …", fontsize=FONT)
    axis.set_xlabel("… listens to", fontsize=FONT)
    return image


def _graph(axis: Any, found: Listens, image: Any) -> None:
    """The body: arrows lead along its limbs to the node that listens, rings are of the root, shades of the node itself.

    Rings stand for the edges that lead from the root to every joint, which would hide the others.
    """
    body, rows, shares = found.body, {node: row for row, node in enumerate(found.acting)}, found.shares
    placed, seen = places(body)
    axis.set_aspect("equal", "datalim")  # it fills its panel
    axis.margins(0.1)
    edges = {(int(target), int(source)) for source, target in body.edges[0].T if target in rows}
    heard = {(i, j): float(shares[rows[i], j]) for i, j in sorted(edges)}
    widest = max([*heard.values(), 1e-12])
    for node, parent in enumerate(body.parents, start=1):
        axis.plot(*placed[[node, parent]].T, color="#dddddd", linewidth=0.8, zorder=1)
        for listener, other in ((node, parent), (parent, node)):
            if heard.get((listener, other), 0) > 0:
                arrow = FancyArrowPatch(
                    placed[other],
                    placed[listener],
                    connectionstyle="arc3,rad=0.2",
                    arrowstyle="-|>",
                    mutation_scale=7,
                    shrinkA=7,
                    shrinkB=9,
                    linewidth=WIDEST * heard[listener, other] / widest,
                    color=HEAR,
                    zorder=2,
                )
                axis.add_patch(arrow)
    for node, (place, parent) in enumerate(zip(placed, [-1, *body.parents], strict=True)):
        own = float(shares[rows[node], node]) if node in rows else 0.0
        if parent > 0 and node in rows:
            ring = WIDEST * heard.get((node, 0), 0) / widest
            axis.scatter(*place, s=(12 + 2 * ring) ** 2, color=FEEL, linewidths=0, zorder=3)
        colour, style = (image.cmap(image.norm(own)), "-") if node in rows else ("white", ":")
        axis.scatter(*place, s=12**2, color=[colour], edgecolors="#333333", linestyles=style, linewidths=0.7, zorder=4)
        written = "white" if image.norm(own) > 0.55 else "black"
        axis.text(*place, str(node), ha="center", va="center", fontsize=FONT - 0.5, color=written, zorder=5)
    along, own = sum(heard.values()) / len(rows), float(np.mean([shares[row, node] for node, row in rows.items()]))
    others = max(0.0, float(shares.sum()) / len(rows) - along - own)
    title = f"along the edges {along:.0%}, to themselves {own:.0%}, to others {others:.0%}"
    axis.set_title(title, fontsize=FONT + 1)
    axis.set_xlabel(
        f"an arrow leads to the node that listens; the widest is {widest:.0%}\n"
        "a grey ring is an arrow from the root; a node is as dark as it\n"
        f"listens to itself; dotted: it does not act\n{seen}",
        fontsize=FONT,
    )
    axis.tick_params(labelsize=FONT)


def _bar(figure: Any, image: Any, axes: list[Any], label: str) -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01)
    bar.ax.tick_params(labelsize=FONT)
    bar.set_label(label, fontsize=FONT)
