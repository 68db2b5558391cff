"""Policies as files: `policy.safetensors` holds the parameters, `policy.yaml` the description of the network.

Both are data. Loading builds the network from its description and copies the parameters into it. Nothing is unpickled,
and only classes of this project or of a module that the caller trusts are imported.
"""

from __future__ import annotations

import difflib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from gymnasium import spaces
from safetensors.torch import save as serialize
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from agents.make import AGENTS
from agents.saved.acting import Direct, Remembering, acting
from agents.saved.budget import Budget
from agents.saved.hub import download, is_on_hub
from agents.saved.schema import check_policy, check_sizes
from agents.saved.spaces import space_from_data
from agents.saved.specification import HEADS_BEFORE, encoder_from_data, read_specification, specification
from agents.saved.tensors import Described, nbytes, read_head, read_tensors
from encoders.base import kind_of
from encoders.nodes import action_space
from encoders.resolve import trusted
from storage.durable import newest, replacing
from storage.plain import from_yaml
from symmetry import Symmetry

PROJECT = Path(__file__).resolve().parents[2]


class Policy:
    """A policy ready to act, with SB3's `predict`.

    Attributes:
        spec: the content of `policy.yaml`.
        module: the SB3 policy, a torch module.
        observation_space, action_space: what it reads (before normalization) and where it acts.
    """

    def __init__(self, spec: dict[str, Any], module: BasePolicy):
        self.spec = spec
        self.module = module
        self.observation_space: spaces.Space = module.observation_space
        self.action_space: spaces.Space = module.action_space

    @classmethod
    def of(cls, model: BaseAlgorithm, **about: Any) -> Policy:
        """The present policy of a model in training, sharing its parameters; `about` as for `save_policy`."""
        return cls(specification(model, **about), model.policy)

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions for one observation or a batch, and the next state of a recurrent policy (SB3's `predict`)."""
        return self.module.predict(self.normalize(observation), state, episode_start, deterministic)

    def remembering(self) -> Policy | Remembering | Direct:
        """The same policy for as long as its parameters stay as they are; acts faster where it can."""
        normalized = self.spec["normalization"] is not None
        return self if normalized else acting(self.module) or self

    def normalize(self, observation: Any) -> Any:
        """clip((observation - mean) / √(variance + ε)) with the statistics of training, if it was trained so."""
        statistics = self.spec["normalization"]
        if statistics is None:
            return observation
        standard = (observation - np.array(statistics["mean"])) / np.sqrt(
            np.array(statistics["variance"]) + statistics["epsilon"]
        )
        return np.clip(standard, -statistics["clip"], statistics["clip"]).astype(np.float32)


def save_policy(
    model: BaseAlgorithm,
    folder: str | Path,
    *,
    environment: Mapping[str, Any] | None = None,
    score: Mapping[str, Any] | None = None,
    command: str | None = None,
) -> Path:
    """Write the policy of a model made by `make_agent`; a previous one in the folder is replaced whole.

    Args:
        environment: the options of `envs.make_env` it was trained with, its id among them.
        score: its measured score.
        command: the command that trained it.

    Raises:
        ValueError: a model that `make_agent` did not make, or options that a policy file cannot hold.
        OSError: the folder cannot be written; what was there before is still there.
    """
    text = described(model, environment=environment, score=score, command=command)
    folder = Path(folder)
    with replacing(folder) as new:
        tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in parameters(model.policy).items()}
        (new / "policy.safetensors").write_bytes(serialize(tensors))
        (new / "policy.yaml").write_text(text)
    return folder


def described(model: BaseAlgorithm, **about: Any) -> str:
    """The text of `policy.yaml` for a model, known to be one that can be read again; `about` as for `save_policy`.

    Raises:
        ValueError: a model that `make_agent` did not make, or options that a policy file cannot hold.
    """
    try:
        text = yaml.safe_dump(specification(model, **about), sort_keys=False)
    except yaml.YAMLError as error:
        raise ValueError(f"the policy's options are not plain data: {error}") from error
    try:
        check_policy(from_yaml(text.encode()))
    except ValueError as error:
        raise ValueError(f"the policy cannot be written to a file that can be read again: {error}") from error
    return text


def load_policy(
    source: str | Path,
    *,
    device: str = "auto",
    trust: Sequence[str] = (),
    observation_space: spaces.Space | None = None,
) -> Policy:
    """The policy in a policy folder, in a run folder (its `policy/`), `pretrained/<name>`, or `hub:owner/name`.

    Args:
        source: see above; `hub:owner/name@revision` is a revision of a Hugging Face repository (`agents.saved.hub`).
        device: "auto" (CUDA if there is one), "cpu" or "cuda".
        trust: modules outside this project whose encoder may be imported.
        observation_space: rebuild the network for another space (a larger grid), where the encoder allows it.

    Raises:
        FileNotFoundError: there is no policy.
        ConnectionError: the Hub does not answer.
        ValueError: it is damaged, of a newer format, its encoder is outside `trust`, or its parameters do not fit.
    """
    with opened(source) as folder:
        spec = read_specification(folder)
        head = read_head(folder)
        try:
            check_sizes(spec, len(head), sum(math.prod(tensor.shape) for tensor in head.values()))
            with Budget(sum(map(nbytes, head.values()))):
                module = build(spec, trust, observation_space)
        except ValueError as error:
            raise ValueError(f"{folder / 'policy.yaml'}: {error}") from error
        check_fit(module, head, folder)
        fill(module, read_tensors(folder, head))
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    module.to(chosen).set_training_mode(False)
    return Policy(spec, module)


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """Name -> tensor of a module's parameters and buffers; a tensor that several parts share appears once."""
    unique: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        unique.setdefault(id(tensor), (name, tensor))
    return dict(unique.values())


@contextmanager
def opened(source: str | Path) -> Iterator[Path]:
    """A folder with the policy that `source` means; of one on the Hub, a copy that is removed at the end."""
    if not is_on_hub(source):
        yield find(source)
        return
    with tempfile.TemporaryDirectory() as place:
        download(str(source), Path(place))
        try:
            yield Path(place)
        except ValueError as error:
            raise ValueError(str(error).replace(place, str(source))) from error


def find(source: str | Path) -> Path:
    """The policy folder that `source` means."""
    given = Path(source)
    for base in (given, PROJECT / given):
        for folder in (newest(base), newest(base / "policy")):
            if (folder / "policy.yaml").is_file():
                return folder
    below = sorted(str(path.parent.parent) for path in given.glob("**/policy/policy.yaml")) if given.is_dir() else []
    if below:
        more = f" and {len(below) - 3} more" if len(below) > 3 else ""
        raise FileNotFoundError(f"{source} is not a policy, but it holds some: {', '.join(below[:3])}{more}")
    shipped = sorted(path.parent.relative_to(PROJECT).as_posix() for path in PROJECT.glob("pretrained/*/policy.yaml"))
    close = difflib.get_close_matches(given.as_posix(), shipped, n=3)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    raise FileNotFoundError(
        f"there is no policy in {source}: {meant}Give a run folder, a folder with policy.yaml and policy.safetensors, "
        "or one of pretrained/ (python evaluate.py --list)"
    )


def build(spec: dict[str, Any], trust: Sequence[str], observation_space: spaces.Space | None) -> BasePolicy:
    """The untrained network a specification describes."""
    agent, encoder = spec["agent"], spec["encoder"]
    if agent not in AGENTS:
        raise ValueError(f"the policy names the agent {agent!r}; this version has {', '.join(AGENTS)}")
    symmetry = None if spec["symmetry"] is None else Symmetry.from_data(spec["symmetry"])
    encoder_class, options = encoder_from_data(encoder, trust, symmetry)
    seen = observation_space or space_from_data(spec["observation_space"])
    try:
        return AGENTS[agent].policy(
            seen,
            action_space(seen) if kind_of(seen) == "body" else space_from_data(spec["action_space"]),
            lambda _: 0.0,
            features_extractor_class=encoder_class,
            features_extractor_kwargs=options,
            symmetry=symmetry,
            **{**HEADS_BEFORE.get(agent, {}), **spec["head"]},
        )
    except ValueError:
        raise
    except Exception as error:  # whatever the libraries say to a network that cannot be
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the policy cannot be rebuilt: {reason}") from error


def check_fit(module: BasePolicy, saved: Mapping[str, Described], folder: Path) -> None:
    """Compare the parameters that a file describes with those of the network.

    Raises:
        ValueError: a name is missing or left over, or a shape or dtype differs; the first one is named.
    """
    wanted = parameters(module)
    missing, extra = sorted(wanted.keys() - saved.keys()), sorted(saved.keys() - wanted.keys())
    if missing or extra:
        problem = f"{missing[0]} is missing" if missing else f"the network has no {extra[0]}"
        raise ValueError(f"the parameters in {folder} do not fit the network: {problem}")
    for name, tensor in wanted.items():
        if tensor.shape != saved[name].shape:
            raise ValueError(
                f"the parameters in {folder} do not fit the network: {name} has shape {tuple(saved[name].shape)}, "
                f"needed here is {tuple(tensor.shape)}; {_tied(module)}"
            )
        if tensor.dtype != saved[name].dtype:
            raise ValueError(
                f"the parameters in {folder} do not fit the network: {name} has dtype {saved[name].dtype}, "
                f"needed here is {tensor.dtype}"
            )


def _tied(module: BasePolicy) -> str:
    """Why the parameters of a network do not fit observations of another size."""
    if kind_of(module.observation_space) == "body":
        encoder = getattr(module, "features_extractor_class", type(None)).__name__
        return f"{encoder} is tied to the size of the bodies that it was trained on; a GNN or a Transformer is not"
    return "most encoders fit only the size of the observations that they were trained on"


def fill(module: BasePolicy, saved: Mapping[str, Tensor]) -> None:
    """Copy saved parameters, which fit, into the network."""
    with torch.no_grad():
        for name, tensor in parameters(module).items():
            tensor.copy_(saved[name])


def environment_id(policy: Policy, trust: Sequence[str] = ()) -> str:
    """The id of the environment a policy file names, checked like a class name: an id "my_pkg:Env-v0" imports my_pkg.

    Raises:
        ValueError: the file names no environment, or one of a module outside `trust`.
    """
    named = (policy.spec["environment"] or {}).get("id")
    if not named:
        raise ValueError("the policy does not say which environment it was trained in; give env=<id>")
    return trusted_id(str(named), trust, "the policy")


def trusted_id(named: str, trust: Sequence[str], file: str) -> str:
    """The id of an environment that a file names.

    Raises:
        ValueError: it is one of a module outside `trust`.
    """
    module, colon, _ = named.partition(":")
    if colon and not trusted(module, trust):
        raise ValueError(f"{file}'s environment {named} would import {module}; if you trust it, add trust=[{module}]")
    return named
