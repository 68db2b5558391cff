"""Overrides -> one configuration. With `configs.command_line`, the only code that knows Hydra.

Order of settings, later ones win: train.yaml, env, agent, encoder, symmetry, tuned/<env>-<agent>,
tuned/encoder/<env>-<agent>-<encoder>, experiment, experiment/encoder/<experiment>-<encoder>,
experiment/agent/<experiment>-<agent>, the command line. Before that, names are settled: a Gymnasium id that
has a short name becomes it, any other registered id becomes a choice of the group `env`, and a MiniGrid environment
without tuned settings of its own gets those of its family (tuned/minigrid-<agent>.yaml).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.aliases import ALIASES
from configs.flatten import flatten
from envs.names import id_of, is_minigrid, not_registered, short_name_of, short_names, unknown

FOLDER = Path(__file__).resolve().parent
GROUPS = ("env", "agent", "encoder", "symmetry", "experiment")
GROUPS_OF = {"train": GROUPS, "tune": (*GROUPS, "space"), "evaluate": ("env",), "compare": (), "lab": ()}
TRAINING = ("train", "tune")
BARE = {"evaluate": "policy", "compare": "runs", "lab": "claim"}  # what a word alone means
NEEDED = {"train": (), "tune": (), "evaluate": (), "compare": ("runs",), "lab": ()}  # without which nothing composes
IDENTITY = (*GROUPS, "env.id", "encoder.class")  # what a run's defaults belong to
# run folders hold `=`
PATHS = (
    *("policy", "initial", "encoder.initial", "normalization", "runs"),
    *("run_dir", "video", "attention", "listens", "output", "replay", "write"),
)
OPEN = ("env.kwargs", "agent.policy_kwargs", "encoder.trunk_options", "transfer")  # mappings that take any key
OWN = {"env=gym", "env=minigrid"}  # choices whose env.id the user gives


class UsageError(ValueError):
    """The user asked for something that cannot be; the message says what to type instead."""


def compose(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration `name` (train, tune, evaluate, compare or lab); each group carries the choice as its `name`.

    Raises:
        UsageError: an unknown choice or option, a missing one, or a value that cannot be parsed.
    """
    return _compose(name, settle(name, overrides))


def compose_defaults(overrides: Sequence[str]) -> dict[str, Any]:
    """The training configuration that the same choices give without any further override."""
    chosen = [o for o in settle("train", overrides) if o.lstrip("+").split("=")[0] in IDENTITY]
    return {**_compose("train", chosen), "experiment": None}  # so that a run's name tells its experiment


def settle(name: str, overrides: Sequence[str]) -> list[str]:
    """Overrides with the names of choices settled (see the module's text) and unknown choices refused."""
    bare = [o for o in overrides if name in BARE and _is_bare(o)]
    if name == "compare" and len(bare) > 1:
        overrides = [f"runs={_quote(bare)}", *(o for o in overrides if o not in bare)]
    settled = [f"{BARE[name]}={o}" if name in BARE and _is_bare(o) else o for o in overrides]
    given = [o.partition("=")[2] for o in settled if o.startswith(f"{BARE.get(name)}=")]
    if len(given) > 1:
        raise UsageError(f"{BARE[name]} is given {len(given)} times ({', '.join(given)}); give one")
    ids = [o.partition("=")[2].strip("'\"") for o in settled if o.startswith("env.id=")]
    if OWN & {*settled} and ids and (short := short_name_of(ids[-1])):
        settled = [f"env={short}" if o in OWN else o for o in settled if not o.startswith("env.id=")]
    custom = "encoder=custom" in settled
    _refuse_mixed(settled)
    for position, override in enumerate(settled):
        key, equals, value = override.partition("=")
        if not equals and not key.startswith("~"):
            hint = f"; did you mean env={override}?" if override in short_names() else ""
            raise UsageError(f"{override!r} is not of the form option=value{hint}")
        if key == "space" and name == "tune" and value.endswith((".yaml", ".yml")):
            settled[position] = f"space={_register_space(Path(value))}"
        elif key in GROUPS_OF[name]:
            choices = [choice.strip().strip("'\"") for choice in value.split(",")]
            if key == "env":
                choices = [short_name_of(choice) or choice for choice in choices]
            for choice in choices:
                check_choice(key, choice)
                if key == "env":
                    register(choice)
            settled[position] = f"{key}={','.join(choices)}"
        else:
            opened = OPEN if name in TRAINING else OPEN[:1]
            added = any(f"{key}.".startswith(f"{mapping}.") for mapping in opened)
            added = added or (custom and key.startswith("encoder.")) or key.startswith("space.")
            settled[position] = f"{'++' * added}{key}{equals}{_spelled(key, value)}"
    return settled


def _refuse_mixed(overrides: Sequence[str]) -> None:
    """Raise UsageError for a sweep over custom and other encoders: the options of one are not those of the others."""
    for override in overrides:
        key, _, value = override.partition("=")
        encoders = [choice.strip() for choice in value.split(",")]
        if key == "encoder" and "custom" in encoders and len(encoders) > 1:
            others = ",".join(encoder for encoder in encoders if encoder != "custom")
            raise UsageError(
                f"encoder={value}: encoder.class and the options of a class belong to custom only, so one sweep cannot "
                f"mix custom with other encoders; type two commands, one with encoder=custom encoder.class=<class> and "
                f"one with encoder={others}. Classes are swept by encoder=custom encoder.class=<class>,<class>"
            )


def _spelled(key: str, value: str) -> str:
    """A value as Hydra's grammar spells it: quoted if it is a path or holds letters that the grammar does not know."""
    if key == "runs" and value[:1] == "[" and value[1:2] not in ("'", '"'):
        value = _quote([folder.strip() for folder in value[1:].removesuffix("]").split(",")])
    if key in PATHS:
        return value if value.lstrip("[")[:1] in ("'", '"') or value in ("", "null", "???") else _quote(value)
    try:
        OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException:
        if value[:1] not in ("[", "{"):  # a list or mapping that is misspelt is none
            return ",".join(map(_quote, value.split(",")))
    return value


def _is_bare(override: str) -> bool:
    """Whether an override is a word alone, like the folder in `compare.py runs/DoorKey-5x5`; run folders hold `=`."""
    key, equals, _ = override.partition("=")
    return not key.startswith("~") and (not equals or "/" in key or Path(override).exists())


def check_choice(group: str, choice: str) -> None:
    """Raise UsageError, with the closest names, unless a group offers this choice."""
    offered = existing(group)
    if group == "env" and "/" in choice:
        known = choice in gymnasium.registry
        raise UsageError(f"ids with / are written env=gym env.id={choice}" if known else not_registered(choice))
    if group == "env" and choice not in (*offered, *gymnasium.registry):
        raise UsageError(unknown("environment", choice, [*short_names(), *gymnasium.registry]))
    if group != "env" and choice not in offered and (group, choice) != ("experiment", "null"):
        raise UsageError(unknown(group, choice, offered))


def existing(group: str) -> list[str]:
    """The choices that a group's folder offers."""
    return sorted(file.stem for file in (FOLDER / group).glob("*.yaml"))


def register(env: str) -> None:
    """Make an id a choice of the group `env`, and its family's tuned settings its own where it has none."""
    store = ConfigStore.instance()
    minigrid = is_minigrid(id_of(env))
    if env not in existing("env"):
        base = "minigrid" if minigrid else "gym"
        options = OmegaConf.load(FOLDER / "env" / "base" / f"{base}.yaml")
        store.store(group="env", name=env, node=OmegaConf.merge(options, {"id": env}))
    for file in (FOLDER / "tuned").rglob("minigrid-*.yaml") if minigrid else ():
        name = file.stem.replace("minigrid", env, 1)
        if not (file.parent / f"{name}.yaml").exists():
            group = str(file.parent.relative_to(FOLDER))
            store.store(group=group, name=name, node=OmegaConf.load(file), package="_global_")


def _register_space(file: Path) -> str:
    """Make a user's file a choice of the group `space`, and return its name there.

    Raises:
        UsageError: it cannot be read, or is no YAML.
    """
    try:
        node = OmegaConf.create(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"space={file} cannot be read: {str(error).splitlines()[0]}") from error
    ConfigStore.instance().store(group="space", name="own", node=node)
    return "own"


def _compose(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(FOLDER), version_base="1.3"):
            composed = hydra.compose(name, list(overrides), return_hydra_config=True)
            choices: Any = OmegaConf.to_container(composed.hydra.runtime.choices)
            settings: Any = OmegaConf.to_container(
                OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]), resolve=True
            )
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(_explain(error, name, overrides)) from error
    for key, value in flatten(settings).items():
        if value == "???":
            raise UsageError(f"{key} is missing: give {key}=<value>")
    for group in GROUPS_OF[name]:
        if isinstance(settings.get(group), dict):
            label = choices[group]
            if f"{group}={label}" in OWN:
                label = settings["env"]["id"]
            if (group, label) == ("encoder", "custom"):
                label = str(settings["encoder"]["class"]).rpartition(".")[2]
            settings[group] = {"name": label, **settings[group]}
    if name in TRAINING:
        settings["experiment"] = choices.get("experiment")
    return settings


def check_options(name: str, overrides: Sequence[str]) -> None:
    """Raise UsageError unless settled overrides compose."""
    _compose(name, overrides)


def option_named(name: str, word: str) -> str | None:
    """The option that a word of the command line means, such as a group, a full name, or a usual other name."""
    options = _options(name, [])
    if word in GROUPS_OF[name] or word in options:
        return word
    aliases = [full for full in ALIASES.get(word.rpartition(".")[2], ()) if full in options or full in GROUPS_OF[name]]
    endings = [option for option in options if option.rpartition(".")[2] == word]
    return next(iter([*aliases, *endings]), None)


def _options(name: str, overrides: Sequence[str]) -> list[str]:
    """The full names of all options there are with these choices."""
    kept = {*GROUPS_OF[name], *NEEDED[name]}
    choices = [o for o in overrides if o.split("=")[0] in kept]
    choices += [f"{needed}=?" for needed in {*NEEDED[name]} - {o.partition("=")[0] for o in choices}]
    return [option for option in flatten(_compose(name, choices)) if not option.endswith(".name")]


def _explain(error: Exception, name: str, overrides: Sequence[str]) -> str:
    """Hydra's error as one line: the closest options for a misspelt one."""
    text = str(error)
    if text.startswith("Could not override"):
        key = text.split("'")[1]
        options = _options(name, [o for o in overrides if o.split("=")[0] != key])
        if name == "evaluate" and key.startswith("env."):
            return f"{key} is the policy's own; env=<name> plays it in another environment"
        if key in ("env.levels", "env.bank", "env.held_out"):
            own = "env=minigrid env.id=<id> for one of your own"
            return f"no option is called {key!r} here: only MiniGrid's environments have levels ({own})"
        group = key.split(".")[0] + "."
        nearby = [o for o in options if o.startswith(group)] or [o.split(".")[0] for o in options]
        meant = [o for o in ALIASES.get(key.rpartition(".")[2], ()) if o in options or o in GROUPS_OF[name]]
        return unknown(
            "option", key, meant or [*GROUPS_OF[name], *options], listed=sorted(set(nearby)), surely=bool(meant)
        )
    if text.startswith("Ambiguous value"):
        key = text.split("'")[1]
        return f"{key}: several values train several agents, which needs -m (train.py -m ...); a list is written [a,b]"
    return " ".join(text.split("\n")[:2])


def overrides_of(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """A partial mapping as overrides: {"agent": {"name": "dqn", "gamma": 0.9}} -> ["agent=dqn", "agent.gamma=0.9"]."""
    overrides = []
    for key, value in config.items():
        key = f"{prefix}{key}"
        if isinstance(value, Mapping) and key not in OPEN:
            if key in GROUPS and "name" in value:
                overrides.append(f"{key}={value['name']}")
            overrides += overrides_of({k: v for k, v in value.items() if k != "name"}, f"{key}.")
        else:
            overrides.append(f"{key}={value if key in GROUPS and value else _quote(value)}")
    return overrides


def _quote(value: Any) -> str:
    """A value in Hydra's override grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_quote(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_quote(item) for item in value) + "]"
    if isinstance(value, (int, float)):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
