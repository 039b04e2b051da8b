"""The picture of a run: what its nodes did, on which thread, when; as an SVG string.

It is read on white and on black, and by people who see no red and green: so it has middle tones on
no ground, and a failure is told by its cross as well as by its colour. It is as wide as Dagster's
dialog. The strip says less in one line, and is always small enough (below 1,000 characters as a
data URI in Markdown) for Dagster to draw it without a click.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from dbt_trigger_dagster.artifacts.spans import Bar, StepSpan, in_words
from dbt_trigger_dagster.dbt_cloud.text import one_line

WIDTH = 840
"""Pixels; Dagster's dialog shows no more."""

_MARGIN = 8.0
_LABEL_HEIGHT = 18.0
_AXIS_HEIGHT = 20.0
_LEGEND_LINE = 16.0
_NAMED = 5
_STRIP_WIDTH = 320
_STRIP_HEIGHT = 24
_STRIP_COLUMNS = 40
_STRIP_MARKS = 8
_TEXT = "#7d8794"
_CRITICAL = "#9a6fb8"
_COLOURS = {"good": "#4a8fc0", "failed": "#d4623a", "warned": "#b58b22", "other": "#8d96a3"}
_NUMBER = re.compile(r"\d+")

_Line = tuple[int, int, int]
"""Of a bar: how low, from where, how wide; in half pixels, as small whole numbers are short."""


@dataclass(frozen=True)
class _Scale:
    """Seconds as pixels."""

    first: datetime
    seconds: float
    width: float

    @classmethod
    def over(cls, spans: Sequence[StepSpan | Bar], width: float) -> "_Scale":
        first = min(span.started for span in spans)
        last = max(span.ended for span in spans)
        return cls(first, max((last - first).total_seconds(), 0.001), width)

    def x(self, moment: datetime) -> float:
        """How far from the left a moment is drawn."""
        seconds = (moment - self.first).total_seconds()
        return _MARGIN + seconds / self.seconds * (self.width - 2 * _MARGIN)


def timeline_svg(steps: Sequence[StepSpan], bars: Sequence[Bar]) -> str:
    """All steps of a run and their nodes, by thread over time; empty where nothing has a time.

    Args:
        steps: The spans of all steps that there are bars of.
        bars: What the nodes did.
    """
    if not steps:
        return ""
    scale = _Scale.over([*steps, *bars], WIDTH)
    parts: list[str] = []
    y = 0.0
    places: dict[Bar, float] = {}
    for span in steps:
        mine = [bar for bar in bars if bar.step == span.step]
        parts.append(_step_label(span, scale, y))
        y += _LABEL_HEIGHT
        y += (
            _draw_lanes(mine, scale, y, parts, places)
            if mine
            else _draw_span(span, scale, y, parts)
        )
    parts.append(_critical_path(bars, scale, places))
    parts.append(_axis(scale, y))
    y += _AXIS_HEIGHT
    legend = _legend(bars)
    parts += [_text(_MARGIN, y + _LEGEND_LINE * (n + 1), line) for n, line in enumerate(legend)]
    height = y + _LEGEND_LINE * (len(legend) + 0.5)
    return _svg(WIDTH, height, parts)


def _step_label(span: StepSpan, scale: _Scale, y: float) -> str:
    seconds = (span.ended - span.started).total_seconds()
    label = f"{span.step}. {_short(span.name, 90)}, {in_words(seconds)}"
    cross = "✕ " if span.has_failed else ""
    rule = f"M{_n(_MARGIN)},{_n(y + 1)}h{_n(scale.width - 2 * _MARGIN)}"
    line = f'<path d="{rule}" stroke="{_TEXT}" stroke-opacity=".3"/>'
    return line + _text(_MARGIN, y + 13, cross + label)


def _draw_span(span: StepSpan, scale: _Scale, y: float, parts: list[str]) -> float:
    kind = "failed" if span.has_failed else "other"
    x = scale.x(span.started)
    width = max(1.0, scale.x(span.ended) - x)
    line = (round(y * 2) + 6, round(x * 2), round(width * 2))
    parts.append(_stroke(kind, 4, [line]))
    if span.has_failed:
        parts.append(_crosses([(x + width / 2, y + 3)]))
    return 10.0


def _draw_lanes(
    bars: Sequence[Bar], scale: _Scale, y: float, parts: list[str], places: dict[Bar, float]
) -> float:
    """Draw a lane for each thread; says how high they are, and where critical bars end below."""
    threads = sorted({bar.thread for bar in bars}, key=_thread_order)
    height = max(5.0, min(13.0, 160.0 / len(threads)))
    lanes = {thread: y + height * (number + 0.5) for number, thread in enumerate(threads)}
    strokes: dict[tuple[str, bool], list[_Line]] = defaultdict(list)
    crosses = []
    for bar in bars:
        left, right, middle = scale.x(bar.started), scale.x(bar.ended), lanes[bar.thread]
        width = max(2, round((right - left) * 2))
        strokes[bar.kind, bar.is_test].append((round(middle * 2), round(left * 2), width))
        if bar.kind == "failed":
            crosses.append(((left + right) / 2, middle))
        if bar.is_critical:
            places[bar] = middle + height / 2 - 1
    for (kind, is_test), lines in sorted(strokes.items()):
        parts.append(_stroke(kind, (height - 2) * (0.5 if is_test else 1), lines))
    parts.append(_crosses(crosses))
    return height * len(threads) + 4


def _thread_order(thread: str) -> tuple[int, str]:
    number = _NUMBER.search(thread)
    return (int(number[0]) if number else 0, thread)


def _stroke(kind: str, height: float, lines: Iterable[_Line]) -> str:
    """Bars as one path."""
    return (
        f'<path transform="scale(.5)" d="{"".join(_path(lines))}" stroke="{_COLOURS[kind]}" '
        f'stroke-width="{round(height * 2)}"/>'
    )


def _path(lines: Iterable[_Line]) -> Iterator[str]:
    """From the end of one line to the next one in its row: such numbers are short."""
    row = end = -1
    for y, left, width in sorted(lines):
        yield f"m{left - end},0h{width}" if y == row else f"M{left},{y}h{width}"
        row, end = y, left + width


def _crosses(middles: Sequence[tuple[float, float]]) -> str:
    """What failed, told by form: a cross on a square, however short the bar."""
    if not middles:
        return ""
    squares = "".join(f"M{_n(x - 4.5)},{_n(y)}h9" for x, y in middles)
    crosses = "".join(f"M{_n(x - 2.5)},{_n(y - 2.5)}l5,5m0-5l-5,5" for x, y in middles)
    return (
        f'<path d="{squares}" stroke="{_COLOURS["failed"]}" stroke-width="9"/>'
        f'<path d="{crosses}" stroke="#fff" stroke-width="1.4"/>'
    )


def _critical_path(bars: Sequence[Bar], scale: _Scale, places: Mapping[Bar, float]) -> str:
    critical = sorted((bar for bar in bars if bar.is_critical), key=lambda bar: bar.started)
    if not critical:
        return ""
    points = [
        f"{_n(scale.x(moment))},{_n(places[bar])}"
        for bar in critical
        for moment in (bar.started, bar.ended)
    ]
    return f'<path d="M{"L".join(points)}" stroke="{_CRITICAL}" stroke-width="2"/>'


def _axis(scale: _Scale, y: float) -> str:
    step = _tick(scale.seconds)
    marks = [step * number for number in range(int(scale.seconds / step) + 1)]
    pixels = (scale.width - 2 * _MARGIN) / scale.seconds
    texts = (
        _text(min(_MARGIN + mark * pixels, scale.width - 34), y + 14, in_words(mark))
        for mark in marks
    )
    path = "".join(f"M{_n(_MARGIN + mark * pixels)},{_n(y)}v4" for mark in marks)
    return f'<path d="{path}" stroke="{_TEXT}"/>{"".join(texts)}'


def _tick(seconds: float) -> float:
    """A round number of seconds, so that there are at most some eight marks."""
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200):
        if seconds / step <= 8:  # noqa: PLR2004  # as said above
            return float(step)
    return 14400.0 * max(1, round(seconds / 14400 / 8))


def _legend(bars: Sequence[Bar]) -> list[str]:
    """What failed and what is slow, by name, and how to read the picture."""
    failed = [bar for bar in bars if bar.kind == "failed"]
    slowest = sorted(bars, key=lambda bar: -bar.seconds)[:_NAMED]
    lines = []
    if failed:
        lines.append(f"✕ failed: {_names(failed)}")
    if slowest:
        lines.append(f"slowest: {_names(slowest)}")
    if any(bar.is_critical for bar in bars):
        lines.append("thin line: critical path; low bars: tests")
    return lines


def _names(bars: Sequence[Bar]) -> str:
    named = ", ".join(f"{_short(bar.name, 40)} {in_words(bar.seconds)}" for bar in bars[:_NAMED])
    more = len(bars) - _NAMED
    return _short(named, 120) + (f" and {more} more" if more > 0 else "")


def strip_svg(bars: Sequence[Bar]) -> str:
    """How many threads were busy over time, in one line, and where something failed.

    Empty where nothing has a time.
    """
    if not bars:
        return ""
    scale = _Scale.over(bars, _STRIP_WIDTH + 2 * _MARGIN)
    width = _STRIP_WIDTH / _STRIP_COLUMNS
    busy, failed = [0.0] * _STRIP_COLUMNS, set()
    for bar in bars:
        left = (scale.x(bar.started) - _MARGIN) / width
        right = (scale.x(bar.ended) - _MARGIN) / width
        for column in range(int(left), min(int(right) + 1, _STRIP_COLUMNS)):
            busy[column] += max(0.0, min(right, column + 1) - max(left, column))
        if bar.kind == "failed":
            failed.add(min(int((left + right) / 2), _STRIP_COLUMNS - 1))
    most = max(busy) or 1.0
    area = "".join(
        f"V{_STRIP_HEIGHT - round(_STRIP_HEIGHT * each / most)}h{round(width)}" for each in busy
    )
    parts = [f'<path fill="{_COLOURS["good"]}" d="M0,{_STRIP_HEIGHT}{area}V{_STRIP_HEIGHT}"/>']
    columns = sorted(failed)
    marks = columns[:: math.ceil(len(columns) / _STRIP_MARKS) or 1]
    parts.append(_crosses([(mark * width + width / 2, _STRIP_HEIGHT / 2) for mark in marks]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_STRIP_WIDTH}" height="{_STRIP_HEIGHT}"'
        f' fill="none">{"".join(parts)}</svg>'
    )


def as_data_uri(svg: str) -> str:
    """A picture as an address that Markdown and HTML draw without a request.

    Most of a picture are numbers, which stay as they are: base64 would make them longer.
    """
    return "data:image/svg+xml," + quote(svg, safe="/:,=")


def _svg(width: float, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
        f'font-family="sans-serif" font-size="11" fill="none">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" fill="{_TEXT}">{escape(one_line(text))}</text>'


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
