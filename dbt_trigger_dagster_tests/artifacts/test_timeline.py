"""The timeline: what is drawn, how large it gets, and that nothing foreign gets into it."""

from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from dbt_trigger_dagster.artifacts.spans import bars_of, spans_of
from dbt_trigger_dagster.artifacts.timeline import as_data_uri, strip_svg, timeline_svg

START = datetime(2026, 11, 29, 6, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    """A moment, so many seconds after the run began."""
    return START + timedelta(seconds=seconds)


def node(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A row of `dbt_cloud_node_result`, as far as the picture needs it."""
    return {
        "step": 3,
        "name": f"orders_{number}",
        "unique_id": f"model.shop.orders_{number}",
        "resource_type": "model",
        "status": "success",
        "executed": True,
        "thread_id": f"Thread-{number % 8 + 1} (worker)",
        "compile_started_at": at(number),
        "compile_completed_at": at(number + 0.1),
        "execute_started_at": at(number + 0.1),
        "execute_completed_at": at(number + 2),
        **changes,
    }


def step(**changes: Any) -> dict[str, Any]:
    """A row of `dbt_cloud_run_step`, likewise."""
    return {
        "step": 3,
        "name": "Invoke dbt with `dbt build`",
        "status": 10,
        "started_at": at(0),
        "finished_at": at(20),
        **changes,
    }


def drawn(*nodes: dict[str, Any], steps: tuple[dict[str, Any], ...] = ()) -> str:
    """The picture of nodes and steps."""
    bars = bars_of(nodes)
    return timeline_svg(spans_of(steps, bars), bars)


def test_a_bar_lasts_from_compiling_to_the_end_of_executing() -> None:
    """A node's thread is taken for both."""
    assert [bar.seconds for bar in bars_of([node()])] == [2.0]


def test_the_same_interval_for_both_is_not_added_up() -> None:
    """Fusion gives compiling and executing the same times."""
    times = {"compile_started_at": at(5), "execute_started_at": at(5)}
    ends = {"compile_completed_at": at(9), "execute_completed_at": at(9)}
    assert [bar.seconds for bar in bars_of([node(**times, **ends)])] == [4.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"executed": False},
        {"compile_started_at": None, "execute_started_at": None},
        {"compile_completed_at": None, "execute_completed_at": None},
    ],
)
def test_what_was_not_executed_or_has_no_time_has_no_bar(changes) -> None:
    """A skipped node did nothing, and a compiled one did not run."""
    assert bars_of([node(**changes)]) == []


def test_nothing_gives_no_picture() -> None:
    """Then there is no metadata either."""
    assert drawn() == ""
    assert strip_svg([]) == ""


def test_failures_are_told_by_form_and_by_name() -> None:
    """Two of Dagster's themes have no red and green."""
    good, failed = drawn(node()), drawn(node(status="error"))
    assert "✕ failed: orders_1" in failed
    assert 'stroke="#fff"' in failed
    assert "✕" not in good
    assert 'stroke="#fff"' not in good


def test_the_step_that_failed_is_marked_though_it_has_no_nodes() -> None:
    """A checkout that fails has none."""
    assert "✕ 1. Clone git repository" in drawn(
        steps=(step(step=1, name="Clone git repository", status=20),)
    )


def test_all_steps_are_there_in_order() -> None:
    """Also those without nodes, and those that only their nodes tell of."""
    picture = drawn(node(step=4), steps=(step(step=1, name="Clone"), step(step=2, name="Profile")))
    assert picture.index("1. Clone") < picture.index("2. Profile") < picture.index("4. Step 4")


def test_threads_are_in_the_order_of_their_numbers() -> None:
    """As text, Thread-10 would come before Thread-2."""
    nodes = [node(1, thread_id="Thread-10 (worker)"), node(2, thread_id="Thread-2 (worker)")]
    (second_x, second_y), (tenth_x, tenth_y) = (
        map(float, each.split("h")[0].split(",")) for each in _bars(drawn(*nodes))
    )
    assert second_y < tenth_y
    assert tenth_x < second_x


def _bars(picture: str) -> list[str]:
    path = next(
        each
        for each in ET.fromstring(picture)  # noqa: S314  # ours
        if each.get("transform") == "scale(.5)"  # ours
    )
    return (path.get("d") or "").split("M")[1:]


def test_what_dbt_says_stays_text() -> None:
    """A name may hold anything: colours of a terminal, what no XML may hold."""
    name = "</text><script>alert(1)</script>\x1b[31m&\ufffe\uffff\x00\ud800"
    picture = drawn(node(name=name, status="error"))
    assert "<script" not in picture
    assert "alert(1)" in "".join(ET.fromstring(picture).itertext())  # noqa: S314  # it is well-formed


def test_a_long_name_is_cut() -> None:
    """It would leave the picture."""
    assert "x" * 60 not in drawn(node(name="x" * 500))


@pytest.mark.parametrize(
    ("nodes", "most"), [(5, 3_000), (60, 4_000), (500, 15_000), (2_000, 49_000)]
)
def test_the_picture_stays_small(nodes, most) -> None:
    """Dagster stores it with each landing."""
    many = [
        node(number, status="error" if number % 40 == 0 else "success") for number in range(nodes)
    ]
    assert 1_000 < len(drawn(*many, steps=(step(),))) < most


@pytest.mark.parametrize("nodes", [1, 5, 60, 500, 2_000])
def test_the_strip_fits_into_what_dagster_draws_inline(nodes) -> None:
    """Markdown of 1,000 characters or more stands behind a link."""
    many = [
        node(number, status="error" if number % 3 == 0 else "success") for number in range(nodes)
    ]
    strip = strip_svg(bars_of(many))
    assert len(f"![timeline]({as_data_uri(strip)})") < 1_000
    assert ('stroke="#fff"' in strip) == any(each["status"] == "error" for each in many)
    ET.fromstring(strip)  # noqa: S314  # ours


def test_a_run_without_duration_can_be_drawn() -> None:
    """Clocks are coarse."""
    moment = {
        name: at(1)
        for name in (
            "compile_started_at",
            "compile_completed_at",
            "execute_started_at",
            "execute_completed_at",
        )
    }
    ET.fromstring(drawn(node(**moment)))  # noqa: S314  # ours
    ET.fromstring(strip_svg(bars_of([node(**moment)])))  # noqa: S314  # ours


def test_the_critical_path_goes_through_its_nodes() -> None:
    """Without it the line is not drawn, nor told of."""
    assert "critical path" in drawn(node(is_critical=True, on_critical_path=True))
    assert "critical path" not in drawn(node())
