"""What Dagster shows of runs: numbers that it plots, links, short tables and pictures.

Ids are text, so that nothing plots them. Whatever dbt or dbt Cloud said is plain text or a cell of
a table, never Markdown.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from heapq import nlargest
from typing import Any

import dagster as dg

from dbt_trigger_dagster.artifacts.spans import bars_of, in_words, spans_of
from dbt_trigger_dagster.artifacts.timeline import as_data_uri, strip_svg, timeline_svg
from dbt_trigger_dagster.assets.outcome import Outcome, Record, cause_lines, status_counts
from dbt_trigger_dagster.dbt_cloud.marker import without_marker
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.text import one_line

RUN_LINK = ("dbt_cloud_run_id", "dbt_cloud_run_url")
"""The metadata of `run_link`."""

MOST_ROWS = 10
"""Rows of a table; Dagster draws all that it is given, and stores it several times."""

_SLOWEST = 5
_LONGEST_CELL = 300
_BLOCKS = 9

Metadata = dict[str, Any]


def run_metadata(run: Run) -> Metadata:
    """A run's page, id, job, status and message, as they are shown in Dagster's UI."""
    told = {
        "dbt_cloud_status": run.status_name,
        "dbt_cloud_status_message": run.status_message,
        "dbt_cloud_job": one_line(run.job_name or ""),
    }
    return {
        **run_link(run),
        **{name: dg.MetadataValue.text(text) for name, text in told.items() if text},
    }


def run_link(run: Run) -> Metadata:
    """A run's id, and its page."""
    metadata: Metadata = {"dbt_cloud_run_id": dg.MetadataValue.text(str(run.run_id))}
    if run.href.startswith(("https://", "http://")):
        metadata["dbt_cloud_run_url"] = dg.MetadataValue.url(run.href)
    return metadata


def outcome_metadata(outcome: Outcome) -> Metadata:
    """All that people look for after a run, the pictures among it."""
    return {
        **_strip(outcome),
        **_failing([outcome]),
        **run_metadata(outcome.run),
        **_durations(outcome.row),
        **node_counts([outcome]),
        **_effort(outcome),
        **_slowest([outcome]),
        **timeline_metadata(outcome),
        **_circumstances(outcome.row),
    }


def _circumstances(row: Record) -> Metadata:
    """Why the run ran, and of which code."""
    told = {
        "dbt_cloud_cause": one_line(without_marker(row["cause"] or "")),
        "dbt_cloud_git_branch": row["git_branch"],
        "dbt_cloud_git_sha": row["git_sha"],
    }
    return {name: dg.MetadataValue.text(text) for name, text in told.items() if text}


def _durations(row: Record) -> Metadata:
    """Seconds in the queue, until dbt Cloud was ready to work, and at work."""
    ready = row["dequeued_at"] or row["started_at"]
    spans = {
        "waiting_seconds": (row["created_at"], ready or row["finished_at"]),
        "preparing_seconds": (ready, row["started_at"]),
        "running_seconds": (row["started_at"], row["finished_at"]),
    }
    return {
        name: seconds
        for name, span in spans.items()
        if (seconds := _seconds_between(*span)) is not None
    }


def _seconds_between(first: datetime | None, last: datetime | None) -> float | None:
    if first is None or last is None:
        return None
    return max(0.0, round((last - first).total_seconds(), 1))


def _effort(outcome: Outcome) -> Metadata:
    """What the run cost, as far as somebody counted."""
    critical = [seconds for step in outcome.steps if (seconds := step["critical_path_seconds"])]
    metadata: Metadata = {"critical_path_seconds": round(sum(critical), 3)} if critical else {}
    for name in ("bytes_processed", "bytes_billed", "slot_ms"):
        counted = [row[name] for row in outcome.executed if row[name] is not None]
        if counted:
            metadata[name] = sum(counted)
    return metadata


def node_counts(outcomes: Sequence[Outcome]) -> Metadata:
    """How many nodes ended how."""
    return {
        f"nodes_{one_line(status).replace(' ', '_').replace('-', '_')}": count
        for status, count in status_counts(outcomes).items()
    }


def _failing(outcomes: Sequence[Outcome]) -> Metadata:
    failed = [_failing_row(outcome, row) for outcome in outcomes for row in outcome.failing]
    return {"failing_nodes": table(failed, len(failed))} if failed else {}


def _failing_row(outcome: Outcome, row: Record) -> dict[str, str]:
    return {
        "node": row["name"] or row["unique_id"],
        "message": cut(one_line(" ".join(cause_lines(row)))),
        "since": outcome.since(row["unique_id"]),
        "owner": row["owner"] or "",
    }


def failing_table(outcome: Outcome, rows: Sequence[Record], most: int) -> dg.TableMetadataValue:
    """The first failed nodes of a run: what, why, since when, and whose they are."""
    return table([_failing_row(outcome, row) for row in rows[:most]], len(rows))


def _slowest(outcomes: Sequence[Outcome]) -> Metadata:
    timed = (row for each in outcomes for row in each.executed if (row["execution_time"] or 0) > 0)
    slowest = nlargest(_SLOWEST, timed, key=lambda row: row["execution_time"])
    rows = [
        {
            "node": row["name"] or row["unique_id"],
            "took": in_words(row["execution_time"]),
            "": "█" * max(1, round(_BLOCKS * row["execution_time"] / slowest[0]["execution_time"])),
        }
        for row in slowest
    ]
    return {"slowest_nodes": table(rows, len(rows))} if rows else {}


def table(rows: Sequence[Mapping[str, str]], total: int) -> dg.TableMetadataValue:
    """A short table of texts; what is left out is counted in a last row.

    Args:
        rows: At least one.
        total: How many there are.
    """
    names = list(rows[0])
    records = [dg.TableRecord(dict(row)) for row in rows[:MOST_ROWS]]
    if total > len(records):
        more = dict.fromkeys(names, "") | {names[0]: f"and {total - len(records)} more"}
        records.append(dg.TableRecord(more))
    return dg.MetadataValue.table(
        records, schema=dg.TableSchema([dg.TableColumn(name) for name in names])
    )


def cut(text: str) -> str:
    """A text that a cell of a table has room for."""
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def timeline_metadata(outcome: Outcome) -> Metadata:
    """The picture of a run, which is drawn after a click; nothing where nothing has a time."""
    bars = bars_of(outcome.results)
    svg = timeline_svg(spans_of(outcome.steps, bars), bars)
    return {"timeline": _picture("timeline", svg)} if svg else {}


def _strip(outcome: Outcome) -> Metadata:
    """The picture that is so small that it is drawn at once."""
    svg = strip_svg(bars_of(outcome.results))
    return {"nodes_over_time": _picture("nodes over time", svg)} if svg else {}


def _picture(name: str, svg: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"![{name}]({as_data_uri(svg)})")


def batch_metadata(outcomes: Iterable[Outcome]) -> Metadata:
    """Of several runs, the newest in full and all of them in a table."""
    newest_first = sorted(outcomes, key=lambda each: -each.run.run_id)
    runs = [
        {
            "run": str(each.run.run_id),
            "status": each.run.status_name,
            "failing": ", ".join(str(row["name"]) for row in each.failing[:3]),
            "page": each.run.href,
        }
        for each in newest_first
    ]
    return {**outcome_metadata(newest_first[0]), "runs": table(runs, len(runs))}
