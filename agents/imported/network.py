"""The tensors of an SB3 policy and the plain text beside them -> a policy with these parameters.

Widths come from the shapes of the tensors, and the network may take no more memory than they do. The text adds what
shapes do not tell: the algorithm, the activation, how actions are drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor, NatureCNN
from torch import Tensor, nn

from agents.imported import policies
from agents.make import AGENTS
from agents.saved.budget import Budget, OverBudget

FAMILIES: dict[str, tuple[str, type[BasePolicy]]] = {  # an agent of ours, where SB3 defines its policy, and our class
    "ppo": ("stable_baselines3.common.policies", policies.ImportedActorCriticPolicy),
    "dqn": ("stable_baselines3.dqn.policies", policies.ImportedDQNPolicy),
    "qrdqn": ("sb3_contrib.qrdqn.policies", policies.ImportedQRDQNPolicy),
    "sac": ("stable_baselines3.sac.policies", policies.ImportedSACPolicy),
    "td3": ("stable_baselines3.td3.policies", policies.ImportedTD3Policy),
}
ACTIVATIONS = {
    activation.__name__: activation
    for activation in (nn.Tanh, nn.ReLU, nn.ELU, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Softplus)
}
# arguments of SB3's policies that are read, told by shapes, or of no matter once a policy is trained
READ = {
    "ppo": ("use_sde", "full_std", "use_expln", "squash_output", "normalize_images"),
    "sac": ("use_sde", "use_expln", "clip_mean", "normalize_images"),
}
SHAPES = ("net_arch", "n_critics", "n_quantiles", "features_extractor_kwargs", "share_features_extractor")
IDLE = (":type:", "ortho_init", "log_std_init", "optimizer_class", "optimizer_kwargs", "device")
EXTRACTORS = tuple(
    f"<class 'stable_baselines3.common.torch_layers.{e.__name__}'>" for e in (FlattenExtractor, NatureCNN)
)


def family_of(data: Mapping[str, Any]) -> tuple[str, str]:
    """The agent whose network a policy has, and the algorithm that trained it, as far as the data tells.

    Raises:
        ValueError: a policy of another kind.
    """
    described = data.get("policy_class")
    module = described.get("__module__") if isinstance(described, Mapping) else None
    for family, (place, _) in FAMILIES.items():
        if module == place and family == "ppo":
            return family, "ppo" if "n_epochs" in data else "trpo" if "cg_max_steps" in data else "a2c"
        if module == place:
            return family, family
    raise ValueError(
        f"its policy is of {module!r:.100}; those of PPO, A2C, TRPO, DQN, QR-DQN, SAC, TD3 and DDPG can be imported"
    )


def build(
    data: Mapping[str, Any], tensors: Mapping[str, Tensor], observed: spaces.Space, actions: spaces.Space
) -> BasePolicy:
    """The policy, with its parameters.

    Raises:
        ValueError: a policy of another kind, with parts of its own, or whose tensors do not fit the spaces.
    """
    family = family_of(data)[0]
    tensors = as_newer(tensors)
    if not isinstance(actions, AGENTS[family].actions):
        raise ValueError(f"its policy is one of {family}, which cannot act in {actions!s:.100}")
    options = {**arguments(family, data), **architecture(family, tensors, observed, actions)}
    try:
        with torch.random.fork_rng(), Budget(sum(tensor.numel() * tensor.itemsize for tensor in tensors.values())):
            module: Any = FAMILIES[family][1](observed, actions, lambda _: 0.0, **options)  # type: ignore[arg-type]
    except OverBudget as error:
        raise ValueError(f"its spaces are too large for its parameters: {error}") from error
    except Exception as error:  # whatever SB3 says to a network that cannot be
        raise ValueError(f"its policy cannot be built: {(str(error).splitlines() or [''])[0]:.200}") from error
    fill(module, tensors)
    return module


def draw_noise(module: Any) -> None:
    """Draw the noise of state-dependent exploration, if a policy has it, on its device: the same each time."""
    if getattr(getattr(module, "actor", module), "use_sde", False):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module.reset_noise()


def arguments(family: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of SB3's policy that the text tells.

    Raises:
        ValueError: one that cannot be read.
    """
    text = data.get("policy_kwargs")
    if not isinstance(text, Mapping):
        raise ValueError("its policy_kwargs are damaged")
    taken = READ.get(family, ("normalize_images",))
    extractor = text.get("features_extractor_class", EXTRACTORS[0])
    if extractor not in EXTRACTORS:
        raise ValueError(
            f"its features extractor is {extractor!s:.100}; FlattenExtractor and NatureCNN can be imported"
        )
    found: dict[str, Any] = {"use_sde": data.get("use_sde", False)} if "use_sde" in taken else {}
    for key, value in text.items():
        if key in taken:
            found[key] = value
        elif key not in (*SHAPES, *IDLE, "activation_fn", "features_extractor_class") and value not in (None, False):
            raise ValueError(f"its policy has the option {key!r:.100}, which cannot be imported")
    for key, value in found.items():
        if not (type(value) in (int, float) and 0 <= value < 1e30 if key == "clip_mean" else isinstance(value, bool)):
            raise ValueError(f"its policy's option {key} is damaged: {value!r:.100}")
    if "activation_fn" in text:
        activation = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", str(text["activation_fn"]))
        if activation is None or activation[1] not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"its activation is {text['activation_fn']!s:.100}; {known} can be imported")
        found["activation_fn"] = ACTIVATIONS[activation[1]]
    return found


def as_newer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an actor-critic of any version, named as SB3 names them since 1.8.

    Before that, layers could be shared by actor and critic, and an encoder was listed once.
    """
    layers = "mlp_extractor."
    shared = sum(name.startswith(f"{layers}shared_net.") and name.endswith(".weight") for name in tensors)
    newer: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.removeprefix(layers).partition(".")
        index, _, kind = rest.partition(".")
        if shared and name.startswith(layers) and index.isdecimal():
            nets = ("policy_net", "value_net") if part == "shared_net" else (part,)
            moved = int(index) + (0 if part == "shared_net" else 2 * shared)
            newer |= {f"{layers}{net}.{moved}.{kind}": tensor for net in nets}
        else:
            newer[name] = tensor
        if name.startswith("features_extractor."):
            for user in ("pi_", "vf_"):
                newer |= {} if user + name in tensors else {user + name: tensor}
    return newer


def architecture(
    family: str, tensors: Mapping[str, Tensor], observed: spaces.Space, actions: spaces.Space
) -> dict[str, Any]:
    """The arguments of SB3's policy that the shapes tell."""
    q_net = "q_net.q_net" if family == "dqn" else "quantile_net.quantile_net"
    encoder = {"ppo": "", "dqn": "q_net.", "qrdqn": "quantile_net."}.get(family, "actor.") + "features_extractor"
    found: dict[str, Any] = {"features_extractor_class": FlattenExtractor}
    if sizes := widths(tensors, f"{encoder}.linear"):
        if not is_image_space(observed):
            raise ValueError(f"its policy reads images of bytes, and the observation space is {observed!s:.100}")
        found = {"features_extractor_class": NatureCNN, "features_extractor_kwargs": {"features_dim": sizes[0]}}
    if family == "ppo":
        actor, critic = (widths(tensors, f"mlp_extractor.{net}") for net in ("policy_net", "value_net"))
        return {**found, "net_arch": {"pi": actor, "vf": critic}, "share_features_extractor": False}
    if family in ("dqn", "qrdqn"):
        *hidden, outputs = widths(tensors, q_net) or [0]
        quantiles = {"n_quantiles": max(outputs // int(actions.n), 1)} if family == "qrdqn" else {}  # type: ignore[attr-defined]
        return {**found, "net_arch": hidden, **quantiles}
    actor = widths(tensors, "actor.latent_pi") if family == "sac" else widths(tensors, "actor.mu")[:-1]
    critics = {name.split(".")[1] for name in tensors if name.startswith("critic.qf")}
    return {
        **found,
        "net_arch": {"pi": actor, "qf": widths(tensors, "critic.qf0")[:-1]},
        "n_critics": max(len(critics), 1),
    }


def widths(tensors: Mapping[str, Tensor], name: str) -> list[int]:
    """The outputs of the linear layers `name`.0, `name`.2, ..., between which activations are."""
    found: list[int] = []
    while (layer := tensors.get(f"{name}.{2 * len(found)}.weight")) is not None and layer.dim() == 2:
        found.append(len(layer))
    return found


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors into a network.

    Raises:
        ValueError: one is missing, left over, or has another shape.
    """
    wanted = module.state_dict()
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or extra:
        named = f"{missing[0]} is missing" if missing else f"{extra[0]:.100} is not one of theirs"
        raise ValueError(f"its parameters are not those of SB3's policies: {named}")
    for name, tensor in wanted.items():
        if tensor.shape != tensors[name].shape:
            given, needed = (tuple(each.shape) for each in (tensors[name], tensor))
            raise ValueError(f"its parameter {name} has shape {given}, and its spaces need {needed}")
        tensor.copy_(tensors[name])
