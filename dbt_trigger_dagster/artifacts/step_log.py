"""What a step's log says of nodes, for commands that left no run_results.json or half of one.

dbt numbers its nodes: ``3 of 40 ERROR creating sql view model main.orders ... [ERROR in 0.05s]``,
and says why at the end: ``Failure in model orders (models/orders.sql)``. Fusion's lines are
``Failed [  0.05s] model  main.orders (view)``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dbt_trigger_dagster.artifacts.run_results import named_by
from dbt_trigger_dagster.storage.node_statuses import TESTS

_CORE = re.compile(
    r"(?<!Batch )\b(?P<number>\d+) of (?P<total>\d+) "
    r"(?P<outcome>START|OK|ERROR STALE|ERROR|SKIP|PASS|FAIL|WARN|PARTIAL SUCCESS|NO-OP|REUSED)\b"
    r"(?: (?P<failures>\d+)\b| \(\d+/\d+\))? ?(?P<what>.*?)(?: due to ephemeral|$)"
)
_RESULT = re.compile(r"\[([^\[\]]*)\]$")
_FUSION = re.compile(
    r"(?:^|\s)(?P<outcome>Succeeded|Failed|Errored|Passed|Warned|Skipped|Reused|No-op)\s+"
    r"\[(?P<result>[^\]]*)\]\s+(?P<kind>[a-z_]+)\s+(?P<name>\S+)"
)
_CLOCK = re.compile(r"\b(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\b")
_FAILURE = re.compile(r"\b(?:Failure|Warning|[A-Z]\w+ Error) in (\w+) (\S+) \((.+)\)$")
_END_OF_FAILURE = re.compile(
    r"^\s*(?:compiled code at|See test failures|Done\.|dbt command failed)"
)
_STAMP = re.compile(r"^(?:\S+ )?\d\d:\d\d:\d\d(?:\.\d+)?(?: \[.*?\])* ?")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")

_STATUSES = {
    "START": "started",
    "OK": "success",
    "ERROR": "error",
    "SKIP": "skipped",
    "PASS": "pass",
    "FAIL": "fail",
    "WARN": "warn",
    "PARTIAL SUCCESS": "partial success",
    "NO-OP": "no-op",
    "Succeeded": "success",
    "Errored": "error",
    "Passed": "pass",
    "Warned": "warn",
    "Skipped": "skipped",
}
_FRESHNESS = {"ERROR": "runtime error", "ERROR STALE": "error"}
_KINDS = {
    "seed": "seed",
    "model": "model",
    "snapshot": "snapshot",
    "snapshotted": "snapshot",
    "snapshotting": "snapshot",
    "unit_test": "unit_test",
    "test": "test",
    "hook:": "operation",
    "hook": "operation",
    "exposure": "exposure",
    "function": "function",
    "query": "saved_query",
    "saved_query": "saved_query",
}
_BUILT = ("model", "seed", "snapshot")


@dataclass(frozen=True)
class _Line:
    """What one line says of one node."""

    number: str
    status: str
    kind: str
    name: str
    time: str | None
    seconds: float | None
    failures: int | None


def read_log(
    log: Iterable[str],
    nodes: Mapping[str, Mapping[str, Any]],
    *,
    started_at: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """The nodes that a step's log tells of, as records of `NODE_RESULT`'s columns.

    A node that was begun and not ended has the status ``started``: it was being worked on when the
    step ended. Of sources only what could not be looked at is in no file.

    Args:
        log: The lines, without colours.
        nodes: A manifest's records, which give the nodes' ids. What no manifest knows has an id
            with ``?`` in place of the package.
        started_at: When the step started; gives the lines' times their day.
    """
    log = list(log)
    ids = _Ids(nodes)
    messages = dict(_messages(log))
    for start, line in _by_node(filter(None, map(_parse, log))):
        unique_id = ids.find(line.kind or (start.kind if start else ""), line.name)
        short = re.split(r"[.:]+", line.name)[-1]
        is_over = line.status not in {"started", "skipped"}
        yield {
            **named_by(unique_id),
            "status": line.status,
            "message": messages.get(line.name) or messages.get(short),
            "failures": line.failures,
            "execution_time": line.seconds,
            "execute_started_at": _moment(start.time if start else None, started_at),
            "execute_completed_at": _moment(line.time, started_at) if is_over else None,
            "source": "log",
        }


def nodes_done(log: Iterable[str]) -> tuple[int, int | None]:
    """How many nodes a log says are done, and of how many, where it says so (Fusion's does not).

    Of a log that was cut off at its beginning, the lines that are missing were of nodes done.
    """
    seen, done, total, unnumbered = set[int](), set[int](), None, 0
    for line in log:
        core, _ = _core(line)
        if core is None:
            unnumbered += _FUSION.search(line) is not None
        elif "hook:" not in core["what"]:
            seen.add(int(core["number"]))
            total = int(core["total"])
            if core["outcome"] != "START":
                done.add(int(core["number"]))
    return (min(seen) - 1 + len(done) if seen else unnumbered), total


def _by_node(log: Iterable[_Line]) -> Iterator[tuple[_Line | None, _Line]]:
    """The line that begins a node, where there is one, with the last that tells of it.

    Hooks and nodes are numbered apart, so a number comes again; but not before its node is over.
    """
    begun: dict[str, _Line] = {}
    for line in log:
        if line.status == "started":
            if unfinished := begun.pop(line.number, None):
                yield unfinished, unfinished
            begun[line.number] = line
        else:
            yield begun.pop(line.number, None), line
    yield from ((line, line) for line in begun.values())


def _parse(text: str) -> _Line | None:
    clock = _CLOCK.search(text)
    time = clock[0] if clock else None
    core, result = _core(text)
    if core is not None:
        return _core_line(core, result, time)
    fusion = _FUSION.search(text)
    return _fusion_line(fusion, time) if fusion else None


def _core(text: str) -> tuple[re.Match[str] | None, str]:
    """What a line of dbt Core's says of a node, and what it has in brackets at its end."""
    end = _RESULT.search(text)
    if end is None:
        return None, ""
    return _CORE.search(text[: end.start()]), end[1]


def _core_line(found: re.Match[str], result: str, time: str | None) -> _Line | None:
    outcome, words = found["outcome"], found["what"].rstrip(" .").split()
    if not words:
        return None
    name = words[-1]
    kinds = [_KINDS[word] for word in words[:-1] if word in _KINDS]
    kind = "unit_test" if "::" in name else kinds[-1] if kinds else ""
    status = _STATUSES.get(outcome, outcome.lower())
    if "freshness" in words:
        kind, status = "source", _FRESHNESS.get(outcome, status)
    elif not kind and outcome in {"PASS", "FAIL", "WARN"}:
        kind = "test"
    failures = int(found["failures"]) if found["failures"] else None
    return _Line(found["number"], status, kind, name, time, _seconds(result), failures)


def _fusion_line(found: re.Match[str], time: str | None) -> _Line:
    outcome = found["outcome"]
    kind = _KINDS.get(found["kind"], found["kind"])
    status = _STATUSES.get(outcome, outcome.lower())
    if outcome == "Failed":
        status = "fail" if kind in TESTS else "error"
    return _Line("", status, kind, found["name"], time, _seconds(found["result"]), None)


class _Ids:
    """Finds nodes by what logs call them: relations as ``schema.alias``, tests by their names."""

    def __init__(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        for unique_id, node in nodes.items():
            kind = str(node.get("resource_type"))
            for name in _log_names(kind, node):
                self._ids.setdefault((kind, name.lower()), unique_id)

    def find(self, kind: str, name: str) -> str:
        """The id of a node; one made of what is known where no manifest knows it."""
        if kind == "operation":
            package, _, hook = name.partition(".")
            return f"operation.{package}.{package}-{hook.replace('.', '-')}"
        kinds = (kind,) if kind else _BUILT
        if not kind and "." not in name:  # only tests have names without a schema
            kinds = ("test",)
        short = name.rpartition(".")[2]
        for wanted in (name, short):
            for each in kinds:
                if found := self._ids.get((each, wanted.lower())):
                    return found
        return f"{kinds[0]}.?.{short.replace('::', '.')}"


def _log_names(kind: str, node: Mapping[str, Any]) -> Iterator[str]:
    name, alias = str(node.get("name")), str(node.get("alias") or node.get("name"))
    if kind == "unit_test":
        model = str(node.get("attached_node") or "").rpartition(".")[2]
        yield f"{model}::{name}"
    elif kind == "source":
        yield f"{node.get('source_name')}.{name}"
    elif kind in _BUILT:
        yield f"{node.get('schema')}.{alias}"
        yield f"{node.get('database')}.{node.get('schema')}.{alias}"
    yield name
    yield alias


def _messages(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What the end of the log says of nodes that failed, by their names."""
    name, said = "", list[str]()
    for line in lines:
        text = _STAMP.sub("", line)
        failure = _FAILURE.search(text)
        if failure and (not name or failure[2] != name):
            if name:
                yield name, "\n".join(said)
            name, said = (
                failure[2],
                [] if text.lstrip().startswith(("Failure", "Warning")) else [text.strip()],
            )
        elif name and _END_OF_FAILURE.search(text):
            yield name, "\n".join(said)
            name, said = "", []
        elif name and text.strip():
            said.append(text if said else text.strip())
    if name:
        yield name, "\n".join(said)


def _seconds(result: str) -> float | None:
    found = _SECONDS.search(result)
    return float(found[1]) if found else None


def _moment(time: str | None, started_at: datetime | None) -> datetime | None:
    """A line's time on its day, to the second: the log has no dates."""
    if time is None or started_at is None:
        return None
    hour, minute, second = map(int, time.split(":"))
    moment = started_at.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if moment < started_at - timedelta(hours=12):  # past midnight
        moment += timedelta(days=1)
    return moment
