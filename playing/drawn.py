"""A picture of which node of a body listens to which: matrices, and the body with an arrow for each edge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from envs.bodies.picture import frame, places

if TYPE_CHECKING:
    from playing.listens import Listens

SHADES = "Blues"  # one hue: light and dark are told apart by everyone
CELL = 0.17  # inches
FONT = 7
WIDEST = 7  # points, of an arrow of the share 1
LEAST = 0.01  # a share that gets an arrow


def draw(found: Listens, file: Path) -> None:
    """Draw the shares of S as a matrix, and on the edges of the body; below them a transformer's attention.

    Shades go with the square root of shares, so that small ones are seen; white is 0.

    Raises:
        OSError: the picture cannot be written.
    """
    layers = 0 if found.attention is None else len(found.attention)
    rows, columns = len(found.acting), len(found.tokens)
    side, height = CELL * columns + 1.6, CELL * rows + 1.5
    panels = max(2, layers)
    figure = Figure(figsize=(side * panels, height * (1 + (layers > 0)) + 0.4), layout="constrained")
    upper, *lower = np.atleast_1d(figure.subfigures(1 + (layers > 0), 1))
    matrix, graph = upper.subplots(1, 2, width_ratios=[1, panels - 1] if panels > 2 else None)
    figure.suptitle(f"{found.name}: which node listens to which, mean over {found.states} states", fontsize=10)
    image = _matrix(matrix, found, found.shares, [*found.body.names], "‖∂ mean action / ∂ node‖, rows sum to 1")
    _graph(graph, found, image)
    _bar(upper, image, [matrix, graph], "share")
    if found.attention is not None:
        axes = lower[0].subplots(1, layers, squeeze=False)[0]
        for layer, axis in enumerate(axes):
            title = f"attention of layer {layer + 1}, mean over heads"
            image = _matrix(axis, found, found.attention[layer], found.tokens, title, found.attention.max())
        _bar(lower[0], image, [*axes], "attention")
    figure.savefig(file, dpi=130)


def _matrix(
    axis: Any, found: Listens, values: np.ndarray, columns: list[str], title: str, most: float | None = None
) -> Any:
    """A row for each node that acts."""
    first = len(columns) - found.body.nodes
    numbered = [name if place < first else f"{place - first} {name}" for place, name in enumerate(columns)]
    image = axis.imshow(values, cmap=SHADES, norm=PowerNorm(0.5, 0, most or max(values.max(), 1e-12)))
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
    """The body: arrows lead along its edges to the node that listens, and a node is as dark as it listens to itself."""
    body, (placed, seen) = found.body, places(found.body)
    frame(axis, placed)
    for node, parent in enumerate(body.parents, start=1):
        axis.plot(*placed[[node, parent]].T, color="#dddddd", linewidth=0.8, zorder=1)
    edges = {(int(target), int(source)) for source, target in body.edges[0].T}
    rows = {node: row for row, node in enumerate(found.acting)}
    heard = {(i, j): found.shares[rows[i], j] for i, j in sorted(edges) if i in rows}
    for (listener, heard_node), share in heard.items():
        if share >= LEAST:
            near = body.parents[listener - 1] == heard_node or (heard_node and body.parents[heard_node - 1] == listener)
            arrow = FancyArrowPatch(
                placed[heard_node],
                placed[listener],
                connectionstyle=f"arc3,rad={0.2 if near else 0.35}",
                arrowstyle="-|>",
                mutation_scale=6,
                shrinkA=7,
                shrinkB=7,
                linewidth=WIDEST * share,
                color="#d95f02" if near else "#999999",
                zorder=2,
            )
            axis.add_patch(arrow)
    for node, place in enumerate(placed):
        own = found.shares[rows[node], node] if node in rows else 0.0
        colour = image.cmap(image.norm(own)) if node in rows else "white"
        style = "-" if node in rows else ":"
        axis.scatter(*place, s=130, color=[colour], edgecolors="#333333", linestyles=style, linewidths=0.8, zorder=3)
        dark = node in rows and image.norm(own) > 0.55
        axis.text(*place, str(node), ha="center", va="center", fontsize=6.5, color="white" if dark else "black", zorder=4)
    along = sum(heard.values()) / max(len(rows), 1)
    own = np.mean([found.shares[row, node] for node, row in rows.items()])
    axis.set_title(f"along the edges {along:.0%}, to themselves {own:.0%}, to others {1 - along - own:.0%}", fontsize=FONT + 1)
    axis.set_xlabel(
        f"an arrow leads to the node that listens, wider for more (grey: from the root)\n"
        f"a node is as dark as it listens to itself (dotted: it does not act); {seen}",
        fontsize=FONT,
    )
    axis.tick_params(labelsize=FONT)


def _bar(figure: Any, image: Any, axes: list[Any], label: str) -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01)
    bar.ax.tick_params(labelsize=FONT)
    bar.set_label(label, fontsize=FONT)
