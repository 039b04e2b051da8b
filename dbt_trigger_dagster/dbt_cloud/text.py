"""What others say, made fit for a log and a terminal.

A log line is read by people and shown by terminals: what dbt Cloud says must not look like a line
of its own, move the cursor, hide text or turn it around. In a picture, it must not break the XML.
"""

import json
import re
from typing import Any

_ESCAPE_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # titles, links
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
_EXCERPT = 200
_NOT_PRINTABLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def one_line(text: str) -> str:
    """A text as one line: blanks and line ends of all kinds are one blank."""
    return " ".join(_without_controls(text).split())


def excerpt(body: Any) -> str:
    """The beginning of a text, or of what a JSON holds, as a part of a sentence."""
    text = one_line(body if isinstance(body, str) else json.dumps(body))
    if not text:
        return "(an empty body)."
    return repr(text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else ""))


def lines(text: str) -> list[str]:
    """The lines of a text that are not empty, without what stands at their ends."""
    found = (line.rstrip() for line in _without_controls(text).splitlines())
    return [line for line in found if line]


def _without_controls(text: str) -> str:
    return _NOT_PRINTABLE.sub("\ufffd", _ESCAPE_SEQUENCE.sub("", text))
