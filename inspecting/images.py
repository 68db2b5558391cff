"""Pictures inside a page: frames, and maps that are laid over them."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import numpy as np
from jaxtyping import Float
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj
from PIL import Image

RAISES, LOWERS = (255, 140, 0), (30, 140, 255)  # orange and blue, which the colour-blind tell apart too
OPAQUE = 0.85  # of the strongest cell
SIDE = 320  # pixels of a frame, at most
HIDDEN = (45, 45, 110)
TILE = 12  # pixels of a cell in a picture of contents
UNSEEN, AGENT = 0, 10  # MiniGrid's types of a cell that is not seen, and of the agent


def frame(pixels: np.ndarray) -> str:
    """A picture as a data URL, not larger than can be seen."""
    image = Image.fromarray(pixels)
    image = image.reduce(-(-max(image.size) // SIDE))
    return _url(image.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))


def heat(values: Float[np.ndarray, "y x"], most: float | None = None) -> str:
    """A map as a data URL: orange above zero, blue below, transparent at zero.

    Args:
        values: one for each cell or pixel.
        most: the absolute value that is opaque; None: the largest.
    """
    scaled = np.clip(values / (most or np.abs(values).max() or 1), -1, 1)
    image = np.empty((*values.shape, 4), np.uint8)
    image[..., :3] = np.where(scaled[..., None] > 0, RAISES, LOWERS)
    image[..., 3] = (255 * OPAQUE * np.abs(scaled)).astype(np.uint8)
    return _url(Image.fromarray(image, "RGBA"))


def contents(codes: np.ndarray, strength: Float[np.ndarray, "x y"]) -> str:
    """A picture of cells, each as bright as its strength, as a data URL.

    Args:
        codes: type, colour and state of each cell, (x, y, 3).
        strength: of each cell, from 0 to 1.
    """
    x, y, _ = codes.shape
    image = np.zeros((y * TILE, x * TILE, 3), np.uint8)
    for column in range(x):
        for row in range(y):
            if strength[column, row] > 0:
                place = slice(row * TILE, (row + 1) * TILE), slice(column * TILE, (column + 1) * TILE)
                image[place] = (tile(*codes[column, row]) * (0.15 + 0.85 * strength[column, row])).astype(np.uint8)
    return _url(Image.fromarray(image).quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))


def tile(kind: int, colour: int, state: int) -> np.ndarray:
    """How a cell of these codes looks; one that is not seen is dark blue, which no object is."""
    if kind == UNSEEN:
        return np.full((TILE, TILE, 3), HIDDEN, np.uint8)
    shown = None if kind == AGENT else WorldObj.decode(int(kind), int(colour), int(state))
    return Grid.render_tile(shown, agent_dir=int(state) if kind == AGENT else None, tile_size=TILE)


def around_grey(values: Float[np.ndarray, "y x channels"]) -> str:
    """A signal at pixels as a picture: grey where it is zero."""
    scaled = 0.5 + 0.5 * values / (np.abs(values).max() or 1)
    return _url(Image.fromarray((255 * scaled).astype(np.uint8)))


def _url(image: Image.Image) -> str:
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
