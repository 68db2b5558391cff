"""Test the declared symmetries in the simulators.

python -m envs.check_symmetry                         all of them: the largest differences, relative to max(1, |x|)
python -m envs.check_symmetry env=Ant-v5 steps=1000   one of them, for every element of its group
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from envs.arguments import read_arguments, run_command
from envs.bodies.families import NAMES as BODIES
from envs.minigrid import VIEWS
from envs.names import is_minigrid, resolve_id, short_names
from envs.single import make_env, symmetry_of
from envs.symmetries import symmetric_ids, tolerance_of
from envs.symmetries.registry import TOLERANCE
from envs.twins import Check, measure_symmetry

COLUMNS = "{:<28} {:<8} {:<6} {:>5} {:>12} {:>12} {:>12} {:>12}  {}"
MEASURES = ("observation", "state", "reward", "termination")
VIEWS_CHECKED = VIEWS[:2]  # pixels have no symmetry here


def main() -> int:
    """Print the table; return 1 if a declared symmetry does not hold, else 0."""
    given = read_arguments(env=None, view="", steps=200, seed=0)
    if given["env"]:
        minigrid = is_minigrid(resolve_id(given["env"]))
        views = [given["view"]] if given["view"] else VIEWS_CHECKED if minigrid else [""]
        rows = [(given["env"], view) for view in views]
    else:
        rows = [*_declared()]
    print(COLUMNS.format("environment", "view", "group", "order", *MEASURES, ""))
    failed = False
    for name, view in rows:
        try:
            env = make_env(name, view=view or "partial")
        except ValueError as error:
            if given["env"]:
                raise
            extra = "mujoco" if "mujoco" in str(error).lower() else None
            print(COLUMNS.format(name, view, *[""] * 6, f'needs pip install ".[{extra}]"' if extra else error))
            continue
        check = measure_symmetry(env, steps=given["steps"], seed=given["seed"])
        verdict, holds = _verdict(check, tolerance_of(name))
        failed |= not holds
        group = check.symmetry.group
        print(COLUMNS.format(name, view, group.name, group.order, *_shown(check), verdict), flush=True)
        if given["env"]:
            for g, element in enumerate(check.symmetry.group.elements):
                print(COLUMNS.format(f"  {list(element)}", "", "", "", *_shown(check, g), ""))
    return int(failed)


def _declared() -> Iterator[tuple[str, str]]:
    for name in symmetric_ids():
        yield name, ""
    for view in VIEWS_CHECKED:
        for name, env_id in short_names().items():
            if is_minigrid(env_id):
                yield name, view
    if find_spec("mujoco"):
        yield from ((name, "") for name in BODIES if symmetry_of(name) is not None)


def _verdict(check: Check, tolerance: float) -> tuple[str, bool]:
    """What the differences mean, and whether the declaration stands."""
    if check.draws:
        return "draws random numbers in its steps: holds in distribution, not checked", True
    if check.worst > tolerance:
        return f"DOES NOT HOLD: {check.where}", False
    if tolerance > TOLERANCE:
        return f"holds approximately: declared with an error of {tolerance:g}", True
    return ("holds exactly" if check.worst == 0 else f"holds to {tolerance:g}"), True


def _shown(check: Check, g: int | None = None) -> list[str]:
    """The differences of one element, or the largest of all; "-" for what was not compared."""
    if check.draws:
        return ["-"] * len(MEASURES)
    errors = [getattr(check, measure) for measure in MEASURES]
    texts = [f"{max(error) if g is None else error[g]:.1e}" for error in errors]
    return [
        text if check.has_state or measure != "state" else "-" for text, measure in zip(texts, MEASURES, strict=True)
    ]


if __name__ == "__main__":
    run_command(main)
