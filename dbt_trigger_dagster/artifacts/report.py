"""The report of a run: one HTML file that needs nothing else.

It makes no request when it is opened, and its Content-Security-Policy lets it make none. Whatever
dbt or dbt Cloud said is data in it, never markup: it stands in a JSON block, and the page's own
script puts it in as text.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any

from dbt_trigger_dagster.artifacts.spans import (
    Bar,
    StepSpan,
    bar_of,
    in_words,
    kind_of,
    spans_of,
)
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.node_statuses import TESTS, is_executed

REPORT = "report.html"
"""Its name, in the folder of the run."""

LONGEST_TEXT = 20_000
"""Characters of a message, or of compiled code."""

_KIND_OF_STATUS = {10: "good", 20: "failed", 30: "failed"}


def report_html(
    run: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    nodes: Rows | Sequence[Mapping[str, Any]],
    *,
    changes: Sequence[str] = (),
    since: Mapping[str, str] | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    compiled: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The report of one run, in pieces: a project may have many nodes.

    Args:
        run: Its row of `dbt_cloud_run`.
        steps: Its rows of `dbt_cloud_run_step`.
        nodes: Its rows of `dbt_cloud_node_result`.
        changes: What changed since the run before, a sentence each.
        since: Since when nodes fail, by ``unique_id``.
        history: Rows of `dbt_cloud_run` of the job's last runs, the oldest first, this one among
            them; ``nodes_failed`` counts the failed nodes, where it is known.
        compiled: The compiled SQL of failed nodes, by ``unique_id``.
    """
    spans = spans_of(steps, filter(None, map(bar_of, nodes)))
    begun = chain(
        (span.started for span in spans),
        (bar.started for bar in map(bar_of, nodes) if bar is not None),
    )
    first = min(begun, default=None)
    content = {
        "run": _run(run),
        "facts": _facts(run, filter(is_executed, nodes)),
        "steps": [_step(span, first) for span in spans],
        "kinds": {status: kind_of(status) for status in map(_status, filter(is_executed, nodes))},
        "failing": _failing(filter(is_executed, nodes), since or {}, compiled or {}),
        "changes": list(changes),
        "history": [_past(each) for each in history],
    }
    before, after = _template().split("__DATA__")
    yield f'{before}{_json(content).removesuffix("}")}, "nodes": ['
    for number, node in enumerate(filter(is_executed, nodes)):
        yield (", " if number else "") + _json(_node(node, bar_of(node), first))
    yield f"]}}{after}"


def _json(content: Any) -> str:
    """As a script may have it in it: "<" is escaped, and U+2028 and U+2029, which JSON allows."""
    return json.dumps(content, default=str, ensure_ascii=True).replace("<", "\\u003c")


@cache
def _template() -> str:
    return files(__package__).joinpath("report.html").read_text(encoding="utf-8")


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(run.get("id") or ""),  # beyond 2^53 a number would be another one in a browser
        "job": run.get("job_name"),
        "href": run.get("href"),
        "status": run.get("status_humanized"),
        "kind": _KIND_OF_STATUS.get(run.get("status") or 0, "other"),
        "message": run.get("status_message"),
        "cause": run.get("cause"),
        "branch": run.get("git_branch"),
        "sha": run.get("git_sha"),
        "started": _moment(run.get("started_at")),
    }


def _moment(moment: Any) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if isinstance(moment, datetime) else None


def _facts(run: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What is told on top, as pairs of name and value."""
    durations = {
        "waiting": run.get("queued_duration_seconds"),
        "running": run.get("run_duration_seconds"),
    }
    statuses: dict[str, int] = {}
    for node in nodes:
        status = _status(node)
        statuses[status] = statuses.get(status, 0) + 1
    return [
        *((name, in_words(seconds)) for name, seconds in durations.items() if seconds is not None),
        *((f"nodes: {status}", f"{count:,}") for status, count in sorted(statuses.items())),
    ]


def _step(span: StepSpan, first: datetime | None) -> dict[str, Any]:
    return {
        "step": span.step,
        "name": span.name,
        "begin": _after(span.started, first),
        "end": _after(span.ended, first),
        "kind": "failed" if span.has_failed else "other",
    }


def _status(node: Mapping[str, Any]) -> str:
    return str(node.get("status") or "unknown")


def _node(node: Mapping[str, Any], bar: Bar | None, first: datetime | None) -> dict[str, Any]:
    return {
        "id": node.get("unique_id"),
        "name": str(node.get("name") or node.get("unique_id") or ""),
        "type": node.get("resource_type"),
        "status": _status(node),
        "seconds": node.get("execution_time"),
        "rows": node.get("rows_affected"),
        "bytes": node.get("bytes_processed"),
        "step": node.get("step"),
        "thread": str(node.get("thread_id") or ""),
        "owner": node.get("owner"),
        "message": _cut(node.get("message"), 300),
        "begin": _after(bar.started, first) if bar else None,
        "end": _after(bar.ended, first) if bar else None,
        "critical": bool(node.get("on_critical_path")),
    }


def _failing(
    nodes: Iterable[Mapping[str, Any]], since: Mapping[str, str], compiled: Mapping[str, str]
) -> list[dict[str, Any]]:
    failed = [node for node in nodes if kind_of(_status(node)) == "failed"]
    failed.sort(key=lambda node: node.get("resource_type") in TESTS)  # what broke the tests first
    return [
        {
            "name": str(node.get("name") or node.get("unique_id") or ""),
            "type": node.get("resource_type"),
            "status": node.get("status"),
            "owner": node.get("owner"),
            "since": since.get(str(node.get("unique_id"))),
            "message": _cut(node.get("message"), LONGEST_TEXT),
            "sql": _cut(compiled.get(str(node.get("unique_id"))), LONGEST_TEXT),
        }
        for node in failed
    ]


def _past(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(run.get("id") or ""),
        "status": run.get("status_humanized"),
        "kind": _KIND_OF_STATUS.get(run.get("status") or 0, "other"),
        "seconds": run.get("run_duration_seconds"),
        "queued": run.get("queued_duration_seconds"),
        "failed": run.get("nodes_failed"),
    }


def _after(moment: datetime, first: datetime | None) -> float:
    return round((moment - (first or moment)).total_seconds(), 3)


def _cut(text: Any, most: int) -> str | None:
    if not isinstance(text, str):
        return None
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
