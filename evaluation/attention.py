"""A picture of attention over a grid: where each layer and head attends, at several moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

COLOUR = "tab:red"


def draw(
    maps: Mapping[str, Float[np.ndarray, "moments layers heads ..."]],
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    file: Path,
) -> None:
    """Draw a row for every moment: its picture, then one map for each layer and head, redder for more attention.

    The attention is that of the class token where there is one, else the mean over all tokens. Each map is scaled so
    that its highest cell is the reddest; below it stand the shares of all cells together and of the other tokens.

    Args:
        maps: attention to "cells", whose last two axes are x and y, and to other tokens; together they sum to 1.
        pictures: what the cells look like at each moment.
        captions: one for each moment.
        file: the picture to write.

    Raises:
        OSError: the picture cannot be written.
    """
    _, layers, heads, x, y = maps["cells"].shape
    shades = LinearSegmentedColormap.from_list("attention", ["white", COLOUR])
    size = (1.6 * (1 + layers * heads), 0.4 + 2.0 * len(pictures))
    figure, axes = plt.subplots(len(pictures), 1 + layers * heads, figsize=size, squeeze=False, layout="constrained")
    for moment, (row, pixels) in enumerate(zip(axes, pictures, strict=True)):
        for axis in row:
            axis.set(xticks=[], yticks=[])
        row[0].imshow(pixels, extent=(0, x, y, 0))
        row[0].set_ylabel(captions[moment])
        for index, axis in enumerate(row[1:]):
            layer, head = divmod(index, heads)
            cells = maps["cells"][moment, layer, head].T  # an image's rows are y
            axis.imshow(cells / cells.max(), extent=(0, x, y, 0), cmap=shades, vmin=0, vmax=1)
            axis.vlines(range(1, x), 0, y, "lightgray", linewidth=0.3)
            axis.hlines(range(1, y), 0, x, "lightgray", linewidth=0.3)
            shares = [f"{key} {part[moment, layer, head].sum():.0%}" for key, part in maps.items()]
            axis.set_xlabel("\n".join(", ".join(shares[i : i + 2]) for i in range(0, len(shares), 2)), fontsize=6)
            if moment == 0:
                axis.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8)
    who = "of the class token" if "class" in maps else "of all tokens"
    figure.suptitle(f"Attention {who} to each cell, relative to the cell that a head attends to most", fontsize=9)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), shades), ax=axes, fraction=0.02, pad=0.01)
    bar.ax.tick_params(labelsize=6)
    figure.savefig(file, dpi=100)
    plt.close(figure)
