"""YAML and JSON from outside: plain data of bounded depth and size."""

from __future__ import annotations

import json
from typing import Any

import yaml

DEEPEST = 40  # levels of lists and mappings
MOST = 200_000  # values, those of aliases counted each time
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML has it


def from_yaml(content: bytes) -> Any:
    """The data in YAML; the file may name no types.

    Raises:
        ValueError: it is no YAML, names a type, or would become larger or deeper than `MOST` and `DEEPEST`.
    """
    try:
        written = content.decode()
        check_size(written)
        return yaml.load(written, LOADER)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is no YAML"
        raise ValueError(f"{problem}, in line {place.line + 1}" if place else str(problem)) from error
    except (UnicodeDecodeError, OverflowError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(f"it is no YAML: {error}") from error


def check_size(written: str) -> None:
    """Raise ValueError for YAML that names types, or whose data would be too large or too deep.

    Only the events are read, one after another: nothing is built.
    """
    count, total, open_at, anchors = 0, 0, [], {}  # type: ignore[var-annotated]
    for event in yaml.parse(written, LOADER):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise ValueError(f"*{event.anchor} stands within what it means, or for nothing")
            count += anchors[event.anchor]
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            if event.tag is not None:
                raise ValueError(f"it names the type {event.tag[:60]}, and may hold plain data only")
            count += 1
            if isinstance(event, yaml.ScalarEvent):
                if event.anchor is not None:
                    anchors[event.anchor] = 1
            else:
                open_at.append((event.anchor, count))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, begin = open_at.pop()
            if anchor is not None:
                anchors[anchor] = count - begin + 1
        total = max(total, count)
        if total > MOST:
            raise ValueError(f"it would become more than {MOST:,} values")
        if len(open_at) > DEEPEST:
            raise ValueError(f"its lists and mappings are more than {DEEPEST} levels deep")


def from_json(content: bytes) -> Any:
    """The data in JSON.

    Raises:
        ValueError: it is no JSON, or too deep.
    """
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("it is too deep") from error
