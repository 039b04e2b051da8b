"""What was measured, and whether the goal is met."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_HEADINGS = ("what", "measured", "goal", "met")
_WIDTHS = (38, 44, 22, 4)


@dataclass(frozen=True)
class Result:
    """One line of the report.

    Attributes:
        what: What was measured, against what.
        measured: The outcome, in words.
        goal: What it should be; empty where the line only explains others.
        met: Whether it is; None where that was not measured.
    """

    what: str
    measured: str
    goal: str = ""
    met: bool | None = None


def not_measured(what: str, goal: str, reason: str) -> Result:
    """The line of something that cannot be measured here."""
    return Result(what, f"{reason}, not measured", goal)


def table(results: Sequence[Result]) -> str:
    """All results as a table of plain text."""
    lines = [*_lines(_HEADINGS), "  ".join("-" * width for width in _WIDTHS)]
    for result in results:
        lines += _lines((result.what, result.measured, result.goal, _verdict(result)))
    return "\n".join(lines)


def _verdict(result: Result) -> str:
    if result.met is None:
        return ""
    return "yes" if result.met else "NO"


def _lines(cells: Sequence[str]) -> list[str]:
    """One row of the table; long cells go on below."""
    wrapped = [textwrap.wrap(cell, width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    height = max(map(len, wrapped))
    return [
        "  ".join(
            (cell[line] if line < len(cell) else "").ljust(width)
            for cell, width in zip(wrapped, _WIDTHS, strict=True)
        ).rstrip()
        for line in range(height)
    ]
