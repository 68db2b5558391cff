"""An HTML document that needs nothing else: its style, its script and its data stand inside it.

Its content security policy allows that one script by its checksum, and no request at all.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

from comparing.markup import Markup, joined, script_data

HERE = Path(__file__).resolve().parent


def document(title: str, style: str, body: Markup, data: Any, script: str) -> str:
    """The document.

    Args:
        title: a text.
        style, script: CSS and JavaScript.
        body: what it shows.
        data: what the script reads, as JSON has it.
    """
    script = f'"use strict";\n{script}'
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        checksum=b64encode(sha256(script.encode()).digest()).decode(),
        title=joined(title),
        style=style,
        body=body,
        data=script_data(data),
        script=script,
    )
