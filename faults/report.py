"""Tables of plain text."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """One printed table.

    Attributes:
        title: What it shows.
        headings: The columns' names.
        rows: The cells, as text.
        summary: Sentences below it.
        is_good: Whether every goal is met.
    """

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    summary: tuple[str, ...] = ()
    is_good: bool = True

    def __str__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        rule = tuple("-" * width for width in widths)
        body = [_line(cells, widths) for cells in (self.headings, rule, *self.rows)]
        return "\n".join([self.title, "", *body, "", *self.summary, ""])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
