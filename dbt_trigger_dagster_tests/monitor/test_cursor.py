"""The monitor's cursor as text: it comes back as it was, or it is told that it cannot be read."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.monitor.cursor import MonitorCursor, Position, first_cursor

START = datetime(2026, 3, 1, tzinfo=timezone.utc)

moments = st.datetimes(timezones=st.just(timezone.utc))
numbers = st.integers(0, 2**62)
ids = st.lists(st.integers(1, 2**62), max_size=3).map(tuple)
positions = st.builds(Position, moments, st.integers(0, 10**6))


@given(
    st.builds(
        MonitorCursor, positions, positions, moments, moments, moments, ids, ids, ids, numbers
    )
)
def test_a_cursor_comes_back_as_it_was(cursor: MonitorCursor) -> None:
    """To the microsecond, in UTC."""
    assert MonitorCursor.from_text(cursor.as_text()) == cursor


def test_a_moment_of_another_time_zone_is_kept_in_utc() -> None:
    """The text is read by people too."""
    moment = datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    text = first_cursor(Position(START), moment, START).as_text()
    assert json.loads(text)["swept_at"] == "2026-03-01T00:00:00Z"


def broken(**changes: object) -> str:
    """The text of a cursor with some values replaced."""
    return json.dumps(
        {**json.loads(first_cursor(Position(START), START, START).as_text()), **changes}
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1795475766133513",
        "null",
        "[]",
        "{}",
        '"2026-03-01"',
        "{",
        "[" * 100_000,
        broken(version=2),
        broken(version=None),
        broken(fresh="2026-03-01"),
        broken(fresh={"at": "yesterday", "offset": 0}),
        broken(fresh={"at": "2026-03-01T00:00:00", "offset": 0}),
        broken(late={"at": "2026-03-01T00:00:00+00:00", "offset": -1}),
        broken(late={"at": "2026-03-01T00:00:00+00:00", "offset": 1.5}),
        broken(swept_at=None),
        broken(swept_at="0001-01-01T00:00:00+14:00"),
    ],
)
def test_what_is_no_cursor_of_ours_is_told(text: str) -> None:
    """One sentence, whatever somebody has put there."""
    with pytest.raises(ValueError, match=r"^The cursor cannot be read: "):
        MonitorCursor.from_text(text)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    """It is read, or it is told that it cannot be."""
    with pytest.raises(ValueError, match="cannot be read"):
        MonitorCursor.from_text(text)
