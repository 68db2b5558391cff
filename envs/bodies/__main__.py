"""Show a body as a graph.

python -m envs.bodies                        lists the generated bodies
python -m envs.bodies Centipede-8            prints its nodes and draws its graph beside the body, as a PNG
python -m envs.bodies robot.xml out=robot.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from envs.arguments import read_arguments, run_command
from envs.bodies import families
from envs.bodies.graph import EDGES, Body, body_of, compiled
from envs.bodies.picture import frame, places

COLOURS = ("#333333", "#3c78b4", "#d9822b", "#3a923a", "#c44e52", "#8172b3", "#937860")


def table(body: Body) -> str:
    """A line for each node: its number, name, type, the node that it hangs on, and its motor."""
    rows = [("node", "name", "type", "hangs on", "motor")]
    for node, (name, kind, motor) in enumerate(zip(body.names, body.types, body.motors, strict=True)):
        parent = body.names[body.parents[node - 1]] if node else "-"
        rows.append((str(node), name, kind, parent, "-" if motor < 0 else str(motor)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, f"edges: {body.edges[0].shape[1]}, of the types {', '.join(EDGES)}"])


def draw(body: Body, file: Path) -> str:
    """Draw the graph beside a picture of the body -> what is to be said about the picture."""
    import mujoco
    from matplotlib.figure import Figure

    data = mujoco.MjData(body.model)
    mujoco.mj_forward(body.model, data)
    placed, seen = places(body)
    picture, said = _picture(body, data)
    panels = 1 + (picture is not None)
    figure = Figure(figsize=(5 * panels, 5), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)
    axis = axes[0, 0]
    kinds = [*dict.fromkeys(body.types)]
    for node, parent in enumerate(body.parents, start=1):
        axis.plot(*placed[[node, parent]].T, color="#bbbbbb", zorder=1)
    for number, kind in enumerate(kinds):
        which = np.array([each == kind for each in body.types])
        acting = which & (body.motors >= 0)
        colour = COLOURS[number % len(COLOURS)]
        axis.scatter(*placed[which & ~acting].T, s=60, facecolors="white", edgecolors=colour, zorder=2)
        axis.scatter(*placed[acting].T, s=60, color=colour, zorder=2)
        axis.scatter([], [], s=60, color=colour, label=kind)
    frame(axis, placed)
    figure.legend(frameon=False, loc="outside lower center", ncol=len(kinds))
    axis.set_xlabel(f"{seen} (white: no motor)")
    if picture is not None:
        axes[0, 1].imshow(picture)
        axes[0, 1].axis("off")
    figure.savefig(file, dpi=100, bbox_inches="tight")
    return said


def _picture(body: Body, data: Any) -> tuple[np.ndarray | None, str]:
    """A picture of a body; without one, why."""
    from envs.bodies.environment import Renderer

    try:
        renderer = Renderer(body.model, body.root)
    except RuntimeError as error:
        return None, f"the graph alone: {error}"
    picture = renderer(data)
    renderer.close()
    return picture, ""


def main() -> int:
    given = read_arguments(bare="body", body=None, out=None)
    if given["body"] is None:
        print("\n".join(families.NAMES))
        return 0
    body = _body(given["body"])
    print(table(body))
    file = Path(given["out"] or f"{Path(given['body']).stem}.png")
    said = draw(body, file)
    print(f"{file}{f' ({said})' if said else ''}")
    return 0


def _body(name: str) -> Body:
    """The body of an XML file or of a generated body's name.

    Raises:
        ValueError: there is neither, or it is none that a policy could move.
    """
    if name.endswith(".xml"):
        try:
            return body_of(compiled(Path(name).read_text(), name), name)
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror}") from error
    from envs.bodies.simulation import kind_named

    return kind_named(name).body


if __name__ == "__main__":
    run_command(main)
