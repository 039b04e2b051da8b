"""The checks of `run_result`: did the dbt run succeed, did its tests pass, are its sources fresh.

They are evaluated at every landing, whoever started the run, and again for the newest landed run
when somebody executes them. None of them blocks: what a failed dbt run stops is stopped by its
failed step. Descriptions stand in the log, so there are no pictures in them.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import dagster as dg

from dbt_trigger_dagster.assets.job import NODE_RESULTS, RUN_RESULT, JobGraph
from dbt_trigger_dagster.assets.keeping import Keeping
from dbt_trigger_dagster.assets.metadata import (
    cut,
    failing_table,
    run_link,
    table,
)
from dbt_trigger_dagster.assets.outcome import Outcome, Record
from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.node_statuses import TESTS

RUN_SUCCEEDED = "dbt_run_succeeded"
TESTS_PASSED = "dbt_tests_passed"
SOURCES_FRESH = "dbt_sources_fresh"

_OF_NODES = (TESTS_PASSED, SOURCES_FRESH)
_NAMED = 3
_ROWS = 5  # Dagster stores an evaluation three times; the asset has more of them
_ERROR = dg.AssetCheckSeverity.ERROR
_WARN = dg.AssetCheckSeverity.WARN


class _Verdict(NamedTuple):
    """What a check says of a run."""

    passed: bool
    description: str
    metadata: Mapping[str, Any] = {}
    severity: dg.AssetCheckSeverity = _ERROR


def check_specs(graph: JobGraph) -> list[dg.AssetCheckSpec]:
    """The checks of a graph's `run_result`; without node results, the one of the run alone."""
    described = {
        RUN_SUCCEEDED: "Whether the newest dbt Cloud run ended well.",
        TESTS_PASSED: "Whether the newest dbt Cloud run's tests passed, with dbt's severities.",
        SOURCES_FRESH: "Whether the sources that the newest dbt Cloud run looked at are fresh.",
    }
    key = graph.key(RUN_RESULT)
    return [
        dg.AssetCheckSpec(name, asset=key, description=described[name]) for name in _names(graph)
    ]


def _names(graph: JobGraph) -> list[str]:
    return [RUN_SUCCEEDED, *(_OF_NODES if NODE_RESULTS in graph.landed else ())]


Evaluation = dg.AssetCheckResult | dg.AssetCheckEvaluation
"""What a check says: as the result that Dagster waits for, or as one more."""


def evaluations(keeping: Keeping, outcomes: Sequence[Outcome]) -> Iterator[Evaluation]:
    """What the checks say of some runs, the newest last.

    They also speak where Dagster did not select them, as where it executes again what was not
    materialized: a check that has failed would stay so after a good run. Of a run whose nodes
    nobody has looked at, those that are about nodes say nothing.
    """
    for number, outcome in enumerate(outcomes, 1):
        awaited = keeping.checks if number == len(outcomes) else ()
        yield from _evaluations(keeping.graph, outcome, awaited)


def _evaluations(
    graph: JobGraph, outcome: Outcome, awaited: Collection[dg.AssetCheckKey]
) -> Iterator[Evaluation]:
    for name in _names(graph):
        if name in _OF_NODES and not outcome.knows_nodes:
            continue
        verdict = _EVALUATE[name](outcome)
        key = dg.AssetCheckKey(graph.key(RUN_RESULT), name)
        event = dg.AssetCheckResult if key in awaited else dg.AssetCheckEvaluation
        yield event(
            asset_key=key.asset_key,
            check_name=name,
            passed=verdict.passed,
            severity=verdict.severity,
            description=verdict.description,
            metadata={**run_link(outcome.run), **verdict.metadata},
        )


def look_again(keeping: Keeping, log: logging.Logger) -> Iterator[Evaluation]:
    """What the checks say of the newest run that was landed; nothing where none was.

    Raises:
        StorageError: The tables cannot be read.
    """
    outcome = Outcome.newest(keeping.tables.store(), asset_key=keeping.graph.run_result)
    if outcome is None:
        log.warning("No dbt Cloud run was landed yet: materialize run_result first.")
        return
    yield from evaluations(keeping, [outcome])


def _run_succeeded(outcome: Outcome) -> _Verdict:
    run, failed = outcome.run, outcome.failing
    ended = f"dbt Cloud run {run.run_id} ended: {run.status_name}."
    if run.is_success:
        return _Verdict(passed=True, description=ended)
    if not failed:
        return _Verdict(passed=False, description=ended)
    return _Verdict(
        passed=False,
        description=f"{failed_in_words(outcome, failed)}. {ended}",
        metadata={"failing_nodes": failing_table(outcome, failed, _ROWS)},
    )


def _tests_passed(outcome: Outcome) -> _Verdict:
    ran = sum(1 for _ in outcome.tests)
    failed = [row for row in outcome.failing if row["resource_type"] in TESTS]
    warned = [row for row in outcome.tests if row["status"] == "warn"]
    counts = {"tests_run": ran, "tests_failed": len(failed), "tests_warned": len(warned)}
    if failed:
        told = {"failing_tests": failing_table(outcome, failed, _ROWS), **counts}
        return _Verdict(passed=False, description=failed_in_words(outcome, failed), metadata=told)
    if warned:
        said = f"{_named(warned)}: warned, of {ran} tests."
        told = {"warnings": _warnings(warned), **counts}
        return _Verdict(passed=False, description=said, metadata=told, severity=_WARN)
    if ran:
        return _Verdict(passed=True, description=f"{ran} tests passed.", metadata=counts)
    said = "The run has run no tests."
    return _Verdict(passed=outcome.run.is_success, description=said, severity=_WARN)


def _sources_fresh(outcome: Outcome) -> _Verdict:
    warned = [row for row in outcome.freshness if row["status"] == "warn"]
    stale = [row for row in outcome.freshness if row["status"] not in {"pass", "warn"}]
    if stale or warned:
        return _Verdict(
            passed=False,
            description=f"{_named([*stale, *warned])}: not fresh.",
            metadata={"stale_sources": _stale([*stale, *warned])},
            severity=_ERROR if stale else _WARN,
        )
    looked = len(outcome.freshness)
    said = f"{looked} sources are fresh." if looked else "The run has not looked at sources."
    return _Verdict(passed=True, description=said)


_EVALUATE: Mapping[str, Callable[[Outcome], _Verdict]] = {
    RUN_SUCCEEDED: _run_succeeded,
    TESTS_PASSED: _tests_passed,
    SOURCES_FRESH: _sources_fresh,
}


def failed_in_words(outcome: Outcome, failed: Sequence[Record]) -> str:
    """What failed, what did not fail before first."""
    if not outcome.knows_past:
        return f"failing: {_named(failed)}"
    before = outcome.failed_before
    new = [row for row in failed if not before.get(row["unique_id"])]
    old = [row for row in failed if before.get(row["unique_id"])]
    parts = [f"newly failing: {_named(new)}"] if new else []
    if old:
        longest = 1 + max(before[row["unique_id"]] for row in old)
        parts.append(f"failing since {longest} runs: {_named(old)}")
    return "; ".join(parts)


def _named(rows: Sequence[Record]) -> str:
    names = [one_line(row.get("name") or row["unique_id"]) for row in rows[:_NAMED]]
    more = len(rows) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _warnings(rows: Sequence[Record]) -> dg.TableMetadataValue:
    told = [
        {
            "test": row["name"] or row["unique_id"],
            "message": cut(one_line(row["message"] or "")),
            "owner": row["owner"] or "",
        }
        for row in rows
    ]
    return table(told, len(told))


def _stale(rows: Sequence[Record]) -> dg.TableMetadataValue:
    told = [
        {
            "source": row["unique_id"],
            "status": row["status"] or "",
            "newest row": f"{row['max_loaded_at']:%Y-%m-%d %H:%M}" if row["max_loaded_at"] else "",
            "error": cut(one_line(row["error"] or "")),
        }
        for row in rows
    ]
    return table(told, len(told))
