"""What steps and nodes did, as spans of time; for the picture and for the report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from dbt_trigger_dagster.artifacts.critical_path import interval_of
from dbt_trigger_dagster.storage.node_statuses import FAILED, GOOD, TESTS, is_executed

_KINDS = {
    **dict.fromkeys(GOOD, "good"),
    **dict.fromkeys(FAILED, "failed"),
    "warn": "warned",
}


def kind_of(status: str) -> str:
    """What a node's status comes to: good, failed, warned or other."""
    return _KINDS.get(status, "other")


class Bar(NamedTuple):
    """What one node did in one step.

    Attributes:
        step: Index of the step.
        name: The node's name.
        thread: The thread that it ran on, as dbt names it.
        started: When it began to be compiled.
        ended: When it was done.
        status: As dbt says.
        is_test: Whether it is a test; those are drawn lower.
        is_critical: Whether the run would have been shorter without it.
    """

    step: int
    name: str
    thread: str
    started: datetime
    ended: datetime
    status: str
    is_test: bool = False
    is_critical: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.started).total_seconds()

    @property
    def kind(self) -> str:
        """How it is drawn: good, failed, warned or other."""
        return kind_of(self.status)


def bars_of(nodes: Iterable[Mapping[str, Any]]) -> list[Bar]:
    """The bars of executed nodes; those without a beginning and an end (skipped ones) have none.

    Args:
        nodes: Rows of `dbt_cloud_node_result`.
    """
    return [bar for bar in map(bar_of, nodes) if bar is not None]


def bar_of(node: Mapping[str, Any]) -> Bar | None:
    """The bar of one node; None where it was not executed, or has no beginning or no end.

    Args:
        node: A row of `dbt_cloud_node_result`.
    """
    interval = interval_of(node) if is_executed(node) else None
    if interval is None:
        return None
    started, ended = interval
    return Bar(
        step=node.get("step") or 0,
        name=str(node.get("name") or node.get("unique_id") or ""),
        thread=str(node.get("thread_id") or ""),
        started=started,
        ended=ended,
        status=str(node.get("status") or ""),
        is_test=node.get("resource_type") in TESTS,
        is_critical=bool(node.get("on_critical_path")),
    )


@dataclass(frozen=True)
class StepSpan:
    """One step of the run.

    Attributes:
        step: Its index.
        name: As dbt Cloud names it.
        started: When it began.
        ended: When it was over.
        has_failed: Whether it ended badly.
    """

    step: int
    name: str
    started: datetime
    ended: datetime
    has_failed: bool = False


def spans_of(steps: Iterable[Mapping[str, Any]], bars: Iterable[Bar]) -> list[StepSpan]:
    """The spans of a run's steps, in order; one that does not say when it was, spans its nodes.

    Args:
        steps: Rows of `dbt_cloud_run_step`.
        bars: What the nodes did.
    """
    rows = {step["step"]: step for step in steps}
    times = {
        number: (step["started_at"], max(step["started_at"], step["finished_at"]))
        for number, step in rows.items()
        if step.get("started_at") is not None and step.get("finished_at") is not None
    }
    own = frozenset(times)
    for bar in bars:
        if bar.step not in own:
            started, ended = times.get(bar.step, (bar.started, bar.ended))
            times[bar.step] = min(started, bar.started), max(ended, bar.ended)
    return [
        StepSpan(
            number,
            str(rows.get(number, {}).get("name") or f"Step {number}"),
            *times[number],
            has_failed=rows.get(number, {}).get("status") in {20, 30},
        )
        for number in sorted(times)
    ]


def in_words(seconds: float) -> str:
    """Seconds as people say them: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 10:  # noqa: PLR2004  # a tenth of a second is worth telling
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
