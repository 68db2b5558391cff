"""From a class name written in a file to the class, without trusting the file.

YAML names an encoder as `class: encoders.gnn.GNN`. The name is accepted if it is one of this project's encoders or
lies in a module that the *caller* lists in `trust`; nothing else is ever imported. Training and loading both come
through here.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path

from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


def resolve(name: str, trust: Sequence[str] = ()) -> type[BaseFeaturesExtractor]:
    """The encoder class called `name` ("module.Class").

    Raises:
        ValueError: the module is neither this project's nor in `trust`, cannot be imported, or holds no such encoder.
    """
    module_name, _, class_name = str(name).rpartition(".")
    if not module_name.isascii() or not all(part.isidentifier() for part in str(name).split(".")) or not module_name:
        raise ValueError(f"encoder class {name!r} is not of the form module.Class, like encoders.gnn.GNN")
    own = module_name.startswith("encoders.") and module_name.count(".") == 1
    if not own and not trusted(module_name, trust):
        top = module_name.split(".")[0]
        raise ValueError(
            f"encoder class {name} is outside this project and was not imported; if you trust that module, add "
            f"trust=[{top}]"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise ValueError(f"encoder class {name}: {error}; is it installed or on PYTHONPATH?") from error
    except AttributeError as error:
        raise ValueError(f"module {module_name} has no class {class_name}") from error
    if not (isinstance(found, type) and issubclass(found, BaseFeaturesExtractor)):
        raise ValueError(
            f"{name} is not an encoder (a subclass of encoders.base.Encoder or SB3's BaseFeaturesExtractor)"
        )
    return found


def trusted(module: str, trust: Sequence[str]) -> bool:
    """Whether `module` is one of `trust` or lies inside one of them."""
    return any(module == name or module.startswith(f"{name}.") for name in trust)


def outside(encoder: type[BaseFeaturesExtractor]) -> bool:
    """Whether a class is not one of this project's encoders."""
    return not encoder.__module__.startswith("encoders.")


def source_hash(encoder: type[BaseFeaturesExtractor]) -> str | None:
    """A hash of the file in which a class outside this project is defined; None for one of this project's."""
    if not outside(encoder):
        return None
    try:
        return hashlib.sha256(Path(inspect.getfile(encoder)).read_bytes()).hexdigest()[:16]
    except (OSError, TypeError):  # it was typed in
        return None


def name_of(encoder: type[BaseFeaturesExtractor]) -> str:
    """The name that `resolve` turns back into `encoder`."""
    return f"{encoder.__module__}.{encoder.__qualname__}"
