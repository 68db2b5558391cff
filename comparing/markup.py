"""HTML from names and numbers that others wrote: every text is escaped, so that a name stays a name."""

from __future__ import annotations

import html
import json
from typing import Any

VOID = ("img", "input")  # without an end


class Markup(str):
    """HTML that is complete and escaped."""


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """`<tag attributes>children</tag>`; children that are no `Markup` are text. `data_value` is written `data-value`.

    An attribute that is None or False is left out; one that is True has no value.
    """
    given = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{tag}{given}>" if tag in VOID else f"<{tag}{given}>{joined(*children)}</{tag}>")


def joined(*children: Any) -> Markup:
    """Children one after another."""
    return Markup("".join(child if isinstance(child, Markup) else html.escape(str(child)) for child in children))


def script_data(data: Any) -> Markup:
    """JSON that stands inside `<script>` and cannot end it: `<`, `>` and `&` are written as their codes."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))
