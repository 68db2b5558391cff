"""Laws of the house: which room may import which, no circles, files and rooms small enough to be read."""

from __future__ import annotations

import ast

import pytest
from conftest import PROJECT

# A room is a folder, or a command at the top level. It may import itself and what stands here, functions included.
ROOMS: dict[str, set[str]] = {
    "storage": set(),
    "sweeps": set(),
    "symmetry": set(),
    "encoders.layers": {"encoders", "symmetry"},
    "encoders": {"encoders.layers", "reductions", "symmetry"},  # encoders/reductions.py is the old name of reductions
    "reductions": {"encoders.layers"},
    "analysis": {"encoders", "encoders.layers", "storage", "symmetry"},
    "envs": {"envs.bodies", "envs.bodies.families", "envs.engine", "envs.symmetries", "symmetry"},
    "envs.bodies": {"envs", "envs.bodies.families"},
    "envs.bodies.families": {"envs", "envs.bodies"},
    "envs.chomsky": {"envs"},
    "envs.engine": {"envs", "envs.engine.makers"},
    "envs.engine.makers": {"envs", "envs.engine"},
    "envs.symmetries": {"envs", "symmetry"},
    "agents.ppo": {"encoders", "encoders.layers", "symmetry"},
    "agents.equivariance": {"agents", "agents.dqn", "agents.ppo", "encoders", "symmetry"},
    "agents.nodes": {"encoders", "symmetry"},
    "agents.a2c": {"agents.ppo", "encoders", "encoders.layers", "symmetry"},
    "agents.off_policy": {"agents.ppo", "encoders", "encoders.layers", "symmetry"},
    "agents.dqn": {"agents.off_policy", "agents.ppo", "encoders", "encoders.layers", "symmetry"},
    "agents.continuous": {"agents.nodes", "agents.off_policy", "agents.ppo", "encoders", "encoders.layers", "symmetry"},
    "agents.recurrent": {"agents.ppo", "encoders", "encoders.layers", "symmetry"},
    "agents.imported": {"agents", "agents.saved", "storage"},
    "agents.saved": {"agents", "agents.*", "encoders", "encoders.layers", "storage", "symmetry"},
    "agents": {"agents.*", "encoders", "encoders.layers", "storage", "symmetry"},
    "configs": {"agents", "encoders", "envs", "storage", "sweeps"},
    "evaluation": {"configs", "storage"},
    "comparing": {"configs", "evaluation", "storage"},
    "atlas": {"comparing", "configs", "envs", "evaluation", "storage", "train"},
    "learning": {
        "agents",
        "agents.*",
        "configs",
        "encoders",
        "encoders.layers",
        "envs",
        "envs.bodies",
        "evaluation",
        "playing",
        "storage",
        "symmetry",
    },
    "playing": {
        "agents",
        "agents.*",
        "analysis",
        "configs",
        "encoders",
        "envs",
        "envs.bodies",
        "evaluation",
        "storage",
    },
    "inspecting": {"agents", "analysis", "comparing", "encoders", "envs", "playing", "storage"},
    "pretrained": {"storage"},
    "train": {"agents", "agents.*", "configs", "encoders", "envs", "evaluation", "learning", "storage", "sweeps"},
    "evaluate": {
        "agents",
        "agents.*",
        "configs",
        "encoders",
        "envs",
        "inspecting",
        "learning",
        "playing",
        "pretrained",
        "storage",
    },
    "compare": {"comparing", "configs", "evaluation", "storage"},
    "tuning": {"agents.saved", "configs", "envs", "evaluation", "storage", "sweeps", "train"},
    "tune": {"configs", "sweeps", "tuning"},
    "laboratory": {"comparing", "evaluation", "laboratory.claims", "storage", "symmetry", "train"},
    "laboratory.claims": {"*"},
    "laboratory.prediction": {"agents", "encoders", "envs", "evaluation"},
    "laboratory.sequence": {"encoders", "envs", "envs.chomsky"},
    "lab": {"configs", "envs", "laboratory", "laboratory.claims", "sweeps"},
    "benchmarks": {"*"},
}
LONGEST = 300  # lines
EXCEPTED = {"envs/engine/kernel.py"}  # numba compiles what lies in one file into one cache
MOST = 12  # files in a room of agents
INTERNALS = {"torch": "encoders.torch_internals", "hydra": "configs.hydra_internals"}  # library -> the file for it


def python_files():
    """Every module that is not a test: dotted name -> path."""
    found = {}
    for path in sorted(PROJECT.rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        if any(part.startswith(".") for part in parts) or parts[0] in ("tests", "hydra_plugins", "build"):
            continue
        if parts[0] in {name.split(".")[0] for name in ROOMS}:
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


FILES = python_files()


def imported(source: str) -> set[str]:
    """The modules of this project that a source imports, at its top level or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports here are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for name in names if (module := module_of(name))}


def as_imported(source: str) -> str:
    """A source without what it does as a program: `python -m` runs another module than the one that others import."""
    return source.partition('\nif __name__ == "__main__":\n')[0]


def module_of(name: str) -> str | None:
    """ "encoders.gnn.GNN" -> "encoders.gnn"; None outside this project."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


def room_of(module: str) -> str:
    return module if FILES[module].name == "__init__.py" else module.rpartition(".")[0] or module


def forbidden(room: str, source: str) -> set[str]:
    """The rooms that a source in `room` imports and may not."""
    allowed = {room, *ROOMS[room]}
    found = {room_of(module) for module in imported(source)}
    return {
        other
        for other in found
        if not (other in allowed or "*" in allowed or f"{other.rpartition('.')[0]}.*" in allowed)
    }


def private_parts(library: str, source: str) -> set[str]:
    """The names of a library in a source that have a part called `_…` or `experimental`; `__version__` is public."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            names.add(ast.unparse(node))
    own = [name.split(".") for name in names if name.startswith(f"{library}.")]
    private = [parts for parts in own if any(part == "experimental" or is_private(part) for part in parts)]
    return {".".join(parts) for parts in private}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def circle(imports: dict[str, set[str]]) -> list[str] | None:
    """Modules that import each other in a circle, the first one again at the end; None without any."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str] | None:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return None
        for other in sorted(imports.get(module, ())):
            if other != module and (found := visit(other, [*way, module])):
                return found
        done.add(module)
        return None

    return next((found for module in sorted(imports) if (found := visit(module, []))), None)


@pytest.mark.parametrize("room", sorted({room_of(module) for module in FILES}))
def test_a_room_imports_what_it_may(room):
    assert room in ROOMS, f"say in ROOMS what {room} may import"
    found = {name: forbidden(room, path.read_text()) for name, path in FILES.items() if room_of(name) == room}
    assert {name: rooms for name, rooms in found.items() if rooms} == {}


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("symmetry.symmetry", "from encoders.base import Encoder"),
        ("encoders.gnn", "from agents import make_agent"),
        ("encoders.layers.stem", "from envs.missions import Missions"),
        ("envs.make", "import agents.make"),
        ("agents.ppo.rollout", "from agents.equivariance.augment import joined"),
        ("agents.saved.policy", "from envs import make_env"),
        ("evaluation.rollout", "from agents import Policy"),
        ("envs.names", "from train import train"),
    ],
)
def test_an_import_turned_round_is_found(module, line):
    source = FILES[module].read_text()
    assert not forbidden(room_of(module), source)
    for place in (line, f"def late():\n    {line}\n"):
        assert forbidden(room_of(module), f"{source}\n{place}\n") == {room_of(module_of(line.split()[1]))}


def test_no_modules_import_each_other_in_a_circle():
    imports = {module: imported(as_imported(path.read_text())) for module, path in FILES.items()}
    assert circle(imports) is None, " -> ".join(circle(imports) or [])
    assert circle({**imports, "envs.names": {*imports["envs.names"], "envs.make"}})


def test_files_are_short_enough_to_be_read():
    lengths = {str(path.relative_to(PROJECT)): len(path.read_text().splitlines()) for path in FILES.values()}
    assert {name: length for name, length in lengths.items() if length > LONGEST and name not in EXCEPTED} == {}


def test_rooms_of_agents_hold_few_files():
    folders = {path.parent for name, path in FILES.items() if name.startswith("agents")}
    assert {str(folder.relative_to(PROJECT)) for folder in folders if len([*folder.glob("*.py")]) > MOST} == set()


@pytest.mark.parametrize("library", INTERNALS)
def test_private_parts_of_a_library_are_named_in_one_file_only(library):
    found = {name: private_parts(library, path.read_text()) for name, path in FILES.items()}
    assert found[INTERNALS[library]]
    assert {name: parts for name, parts in found.items() if parts and name != INTERNALS[library]} == {}


@pytest.mark.parametrize(
    ("line", "private"),
    [
        ("import torch._dynamo", True),
        ("from torch import _C", True),
        ("from torch.fx.experimental.proxy_tensor import make_fx", True),
        ("def late():\n    from torch._inductor.utils import fresh_cache", True),
        ("torch._foreach_mul_(tensors, 2.0)", True),
        ("print(torch.__version__)", False),
        ("class Own(torch.nn.Module):\n    def forward(self):\n        return self._own", False),
    ],
)
def test_a_private_part_is_found_where_it_is_named(line, private):
    assert bool(private_parts("torch", line)) == private
