"""The options of a command, for `--help`: each with its value for these choices, and the comment in its YAML file."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from configs.compose import FOLDER, GROUPS, GROUPS_OF, NEEDED, TRAINING, compose, existing
from configs.flatten import flatten

ENTRY = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?P<value>.*?)(?: # (?P<comment>.*))?")
COLUMN = 34  # where explanations begin
OWN = {"env": "gym", "encoder": "custom"}  # files for ids and classes that have none
NARROWEST = 80  # characters of a line


def explained(name: str, overrides: Sequence[str]) -> str:
    """The choices of a command, and a line `option=value  explanation` for each of its options.

    Raises:
        UsageError: the choices do not compose.
    """
    width = max(shutil.get_terminal_size((120, 24)).columns, NARROWEST)
    lines = [*_choices(name, width), "== Options (option=value), with their values for these choices =="]
    for option, (value, text) in options_of(name, overrides).items():
        first = f"{option}={shown(value)}"
        first = first.ljust(COLUMN - 2) + "  " if len(first) < COLUMN else f"{first}\n{' ' * COLUMN}"
        wrapped = textwrap.wrap(text, width - COLUMN)
        lines.append(f"{first}{f'{chr(10)}{chr(32) * COLUMN}'.join(wrapped)}".rstrip())
    return "\n".join(lines)


def _choices(name: str, width: int) -> list[str]:
    """What training chooses from; other commands choose a policy or runs."""
    if name not in TRAINING:
        return []
    offered = [f"{group}: {', '.join(existing(group))}" for group in GROUPS]
    lines = [textwrap.fill(each, width, subsequent_indent="    ", break_on_hyphens=False) for each in offered]
    also = "env= also takes every registered Gymnasium id; env=gym env.id=<id> any other"
    return ["== Choices (group=option) ==", *lines, f"{also}\n"]


def options_of(name: str, overrides: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Every option by full name: its value for these choices, and its explanation ("" if no file has one)."""
    given = {override.lstrip("+~").partition("=")[0] for override in overrides}
    needed = [*NEEDED[name], *["encoder.class"] * ("encoder=custom" in overrides)]
    missing = [f"{option}=<needed>" for option in needed if option not in given]
    settings = compose(name, [*(override.lstrip("+") for override in overrides), *missing])
    texts: dict[str, str] = {}
    for file, prefix in _files(name, settings):
        texts |= {f"{prefix}{option}": text for option, text in comments(file).items()}
    values = {
        key: value for key, value in flatten(settings).items() if not key.endswith(".name") and key != "experiment"
    }
    return {key: (value, texts.get(key) or texts.get(key.removeprefix("space."), "")) for key, value in values.items()}


def _files(name: str, settings: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """The files that explain the options of a configuration, later ones better, and what precedes their options."""
    yield from ((FOLDER / f"{each}.yaml", "") for each in (["train", "tune"] if name == "tune" else [name]))
    for group in GROUPS_OF[name]:
        chosen = settings.get(group)
        if not isinstance(chosen, Mapping):
            continue
        if group == "env":
            yield FOLDER / "env" / "base" / f"{'minigrid' if 'view' in chosen else 'gym'}.yaml", "env."
        if group in OWN:
            yield FOLDER / group / f"{OWN[group]}.yaml", f"{group}."
        yield from _with_defaults(FOLDER / group / f"{chosen['name']}.yaml", group)


def _with_defaults(file: Path, group: str) -> Iterator[tuple[Path, str]]:
    if not file.exists():  # an id or a class of the user's own
        return
    content = file.read_text()
    for other in (yaml.safe_load(content) or {}).get("defaults", ()):
        if isinstance(other, str) and other != "_self_":
            yield from _with_defaults(FOLDER / group / f"{other.partition('@')[0]}.yaml", group)
    yield file, "" if content.startswith("# @package _global_") else f"{group}."


def comments(file: Path) -> dict[str, str]:
    """The comments behind the options of a YAML file, by the options' full names."""
    found: dict[str, str] = {}
    path: list[str] = []
    for line in file.read_text().splitlines():
        entry = ENTRY.fullmatch(line)
        if entry:
            path = [*path[: len(entry["indent"]) // 2], entry["key"]]
            if entry["comment"]:
                found[".".join(path)] = entry["comment"]
    return found


def shown(value: Any) -> str:
    """A value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
