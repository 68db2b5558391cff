"""Starting from weights that exist: the parameters of a saved policy that fit into a model are copied into it.

A parameter fits if its name, shape and dtype are the same. An encoder is looked for by its place: an actor's takes an
actor's. Where the source has no such place, the encoder with which it acts is taken, so an encoder can go into another
agent. Heads go into policies of the same class only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from agents.optimizers import encoders_of
from agents.saved.policy import Policy, parameters
from agents.saved.specification import encoder_to_data
from encoders.average import Average


@dataclass(frozen=True)
class Taken:
    """What a model has taken from a policy.

    Attributes:
        names: the parameters and buffers that were copied.
        new: those that begin anew, and why.
        left: those of the policy that nothing has taken, and why.
        options: those of the policy's encoder that the model's has not, if not all of the encoder was taken.
    """

    names: list[str]
    new: dict[str, str]
    left: dict[str, str]
    options: dict[str, Any]

    def __str__(self) -> str:
        lines = [f"{len(self.names)} of {len(self.names) + len(self.new)} parameters"]
        for what, names in (("new", self.new), ("not taken", self.left)):
            for reason in dict.fromkeys(names.values()):
                lines.append(f"{what}: {', '.join(name for name in names if names[name] == reason)} ({reason})")
        return "\n".join(lines)


def start_from(model: BaseAlgorithm, source: Policy, encoder_only: bool = False) -> Taken:
    """Copy what fits of a policy into an untrained model, its target networks included.

    Args:
        model: made by `make_agent`.
        source: the policy.
        encoder_only: whether everything but the encoder begins anew.

    Raises:
        ValueError: the policy has another encoder, or nothing of it fits; the message names both.
    """
    here, there = parameters(model.policy), parameters(source.module)
    mine, theirs = _encoders(model.policy), _encoders(source.module)
    heads = _why_no_heads(model.policy, source, encoder_only)
    origins = {} if heads else {name: name for name in here}
    acting = next(iter(theirs))
    for place, (prefix, _) in mine.items():
        other, _ = theirs.get(place, theirs[acting])
        origins |= {name: other + name.removeprefix(prefix) for name in here if name.startswith(prefix)}
    misfits = {name: _misfit(tensor, there.get(origins.get(name, ""))) for name, tensor in here.items()}
    names = [name for name, misfit in misfits.items() if not misfit]
    refused = _why_another(model, source)
    if refused or not any(name.startswith(prefix) for name in names for prefix, _ in mine.values()):
        raise ValueError(refused or f"{_differences(model, source)}, and no parameter of it fits")
    with torch.no_grad():
        for name in names:
            here[name].copy_(there[origins[name]])
    new = {name: heads if heads and name not in origins else why for name, why in misfits.items() if why}
    used, encoded = {*origins.values()}, tuple(prefix for prefix, _ in theirs.values())
    unused = [name for name in there if name not in used]
    left = {n: heads if heads and not n.startswith(encoded) else "not in this agent" for n in unused}
    encoding = tuple(prefix for prefix, _ in mine.values())
    incomplete = any(name.startswith(encoding) for name in new)
    return Taken(names, new, left, _other_options(model, source) if incomplete else {})


def _encoders(policy: nn.Module) -> dict[str, tuple[str, BaseFeaturesExtractor]]:
    """place -> how the names of its parameters begin, the encoder; where `Average` lifts one, the one within."""
    found: dict[str, tuple[str, Any]] = {}
    for place, encoder in encoders_of(policy).items():
        lifted = isinstance(encoder, Average)
        found[place] = (f"{place}.encoder.", encoder.encoder) if lifted else (f"{place}.", encoder)
    return found


def _misfit(here: Tensor, there: Tensor | None) -> str:
    """Why a tensor does not fit; empty if it does."""
    if there is None:
        return "not in the file"
    if here.shape != there.shape:
        return f"shape {tuple(here.shape)} here, {tuple(there.shape)} there"
    return "" if here.dtype == there.dtype else f"{here.dtype} here, {there.dtype} there"


def _group(policy: nn.Module) -> Any:
    return getattr(getattr(policy, "symmetry", None), "group", None)


def _why_no_heads(policy: nn.Module, source: Policy, encoder_only: bool) -> str:
    """Why a policy takes no heads of a source; empty if it takes those that fit."""
    if encoder_only:
        return "only the encoder is taken"
    if type(policy) is not type(source.module):
        return f"the heads of {source.spec['agent']} are other ones"
    return "" if _group(policy) == _group(source.module) else "the heads obey another symmetry"


def _why_another(model: BaseAlgorithm, source: Policy) -> str:
    """Why the encoder of a source is not that of a model; empty if it is."""
    classes = [{type(core) for _, core in _encoders(each).values()} for each in (model.policy, source.module)]
    if classes[0] != classes[1]:
        return _differences(model, source)
    obeys = any(getattr(encoder, "equivariant", False) for encoder in classes[0])
    groups = [_group(each) for each in (model.policy, source.module)]
    if not obeys or groups[0] == groups[1]:
        return ""
    if str(groups[0]) == str(groups[1]):
        return f"an encoder of another environment's symmetry, though both groups are {groups[0]}"
    return f"an encoder of the group {groups[1]} there, of {groups[0]} here"


def _differences(model: BaseAlgorithm, source: Policy) -> str:
    """Both encoders, with the options in which they differ."""
    chosen = model.policy_kwargs
    mine = _core(encoder_to_data(chosen["features_extractor_class"], chosen["features_extractor_kwargs"]))
    theirs = _core(source.spec["encoder"])
    return f"a checkpoint of another encoder: {_described(theirs, mine)} there, {_described(mine, theirs)} here"


def _core(encoder: Mapping[str, Any]) -> Mapping[str, Any]:
    within: Mapping[str, Any] = encoder["options"].get("encoder", encoder)
    return within


def _other_options(model: BaseAlgorithm, source: Policy) -> dict[str, Any]:
    """The options of a source's encoder that differ from those of a model's."""
    chosen = model.policy_kwargs
    mine = _core(encoder_to_data(chosen["features_extractor_class"], chosen["features_extractor_kwargs"]))["options"]
    theirs = _core(source.spec["encoder"])["options"]
    return {key: value for key, value in theirs.items() if mine.get(key) != value}


def _described(encoder: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    own, _, name = encoder["class"].rpartition(".")
    if own.startswith("encoders."):
        name = own.removeprefix("encoders.")
    if encoder["class"] != other["class"]:
        return name
    options = [f"{key}={value}" for key, value in encoder["options"].items() if other["options"].get(key) != value]
    return f"{name} ({', '.join(options)})" if options else name
