"""Laws of the colours of contenders."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from conftest import PROJECT

from comparing.figures import COLOURS

# what each kind of colour-blindness makes of linear red, green and blue: Machado, Oliveira, Fernandes (2009), table 1
SEEN = {
    "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TOLD_APART = 15  # CIELAB's ΔE, of which about 2 can be seen side by side
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(1)


def lab(colour: str, seen: str) -> np.ndarray:
    """A colour "#rrggbb" in CIELAB, as a reader sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = XYZ @ np.clip(np.array(SEEN[seen]) @ linear, 0, 1) / WHITE
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(colours, seen: str) -> float:
    return min(np.linalg.norm(lab(one, seen) - lab(other, seen)) for one, other in combinations(colours, 2))


def of_the_page() -> list[list[str]]:
    """The colours of contenders and of the paper, by day and in the dark."""
    style = (PROJECT / "comparing" / "page.css").read_text()
    named = re.findall(r"--(c\d|paper): (#\w{6})", style)
    return [[colour for _, colour in named[i : i + 9]] for i in (0, 9)]


@pytest.mark.parametrize("seen", SEEN)
def test_colour_blind_readers_tell_contenders_and_paper_apart(seen):
    for colours in of_the_page():
        assert len(colours) == 9 and closest(colours, seen) > TOLD_APART
    red_and_green = closest(["#d55e00", "#7f7f00"], seen)
    assert (red_and_green < TOLD_APART) == (seen in ("protanopia", "deuteranopia"))


def test_figures_and_page_have_the_same_colours():
    paper, *colours = of_the_page()[0]
    assert paper == "#ffffff" and tuple(colours) == COLOURS
