"""What became of a run that is over: its nodes, what failed, and since when that fails."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from dbt_trigger_dagster.artifacts.node_results import NodeResults
from dbt_trigger_dagster.artifacts.spans import kind_of
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.text import lines
from dbt_trigger_dagster.storage.columns import LINEAGE, Rows
from dbt_trigger_dagster.storage.node_statuses import NOT_RUN, TESTS, is_executed
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT, RUN_STEP, SOURCE_FRESHNESS
from dbt_trigger_dagster.storage.store import Store
from dbt_trigger_dagster.storage.tables import RUN, run_rows

Record = Mapping[str, Any]
"""A row of a table."""

Results = Rows | Sequence[Record]
"""Rows of `NODE_RESULT`, as many as a project has nodes."""

_UNTOLD = {
    *("adapter_code", "adapter_response", "alias", "attached_node", "batch_results"),
    *("column_name", "database", "invocation_id", "materialization", "package_name", "query_id"),
    *("relation_name", "schema", "severity", "source", "tags"),
    *(column.name for column in LINEAGE),
}
_TOLD = replace(
    NODE_RESULT,
    columns=tuple(column for column in NODE_RESULT.columns if column.name not in _UNTOLD),
)
_HEADER = re.compile(r"\w+ Error in \w+ \S+ \(.*\)$")
_RUNS_LOOKED_AT = 100
_NODES_AT_ONCE = 100


@dataclass(frozen=True)
class Outcome:
    """One run that is over.

    Attributes:
        run: The run.
        steps: Its rows of `RUN_STEP`.
        results: Its rows of `NODE_RESULT`, without what is told nowhere; none where no file tells
            of nodes.
        freshness: Its rows of `SOURCE_FRESHNESS`.
        failed_before: In how many landed runs in a row a node has failed right before this one,
            by the node's id.
        knows_past: Whether that is known.
        knows_nodes: Whether somebody has looked at its nodes: where nobody has, that none failed
            says nothing.
    """

    run: Run
    steps: Sequence[Record] = ()
    results: Results = ()
    freshness: Sequence[Record] = ()
    failed_before: Mapping[str, int] = field(default_factory=dict)
    knows_past: bool = True
    knows_nodes: bool = True

    @classmethod
    def of(cls, run: Run, found: NodeResults, past: Store | None) -> "Outcome":
        """What became of a run that is landed now.

        Args:
            run: The run.
            found: What its files tell.
            past: Holds the runs before; None where they cannot be read.

        Raises:
            StorageError: The store cannot be read.
        """
        results = _TOLD.rows(found.results.values())
        failed = {row["unique_id"] for row in failing(results)}
        return cls(
            run=run,
            steps=list(RUN_STEP.rows(found.steps)),
            results=results,
            freshness=list(SOURCE_FRESHNESS.rows(found.freshness.values())),
            failed_before=_failed_before(past, run, failed) if past else {},
            knows_past=past is not None,
        )

    @classmethod
    def newest(cls, store: Store, **equal: str | int) -> "Outcome | None":
        """What became of the newest landed run; None where there is none.

        Args:
            store: Where it is kept.
            equal: What columns of `RUN` have to be.

        Raises:
            StorageError: The store cannot be read.
        """
        found = store.newest(RUN, ["raw"], by="id", limit=1, **equal)
        if not found:
            return None
        run = Run.from_payload(json.loads(found[0]["raw"]))
        steps = store.read(RUN_STEP, account_id=run.account_id, run_id=run.run_id)
        return cls.kept(run, steps, store)

    @classmethod
    def kept(cls, run: Run, steps: Iterable[Record], past: Store | None) -> "Outcome":
        """What became of a run whose files are not looked at now: its nodes as they were landed.

        Args:
            run: The run.
            steps: Its rows of `RUN_STEP`.
            past: Holds what was landed of it, and the runs before; None where they cannot be read.

        Raises:
            StorageError: The store cannot be read.
        """
        whose = {"account_id": run.account_id, "run_id": run.run_id}
        results = past.read(_TOLD, **whose) if past else _TOLD.rows([])
        freshness = list(past.read(SOURCE_FRESHNESS, **whose)) if past else []
        failed = {row["unique_id"] for row in failing(results)}
        return cls(
            run=run,
            steps=list(steps),
            results=results,
            freshness=freshness,
            failed_before=_failed_before(past, run, failed) if past else {},
            knows_past=past is not None,
            knows_nodes=len(results) + len(freshness) > 0,
        )

    @property
    def row(self) -> Record:
        """The run's row of `RUN`."""
        return next(iter(run_rows(RUN, [self.run])))

    @property
    def executed(self) -> Iterator[Record]:
        """The results of nodes that were not merely compiled."""
        return filter(is_executed, self.results)

    @property
    def tests(self) -> Iterator[Record]:
        """Of each test that ran, its last result."""
        return (
            row
            for row in _at_last(self.results)
            if row["resource_type"] in TESTS and row["status"] not in NOT_RUN
        )

    @cached_property
    def failing(self) -> list[Record]:
        """The nodes that failed: first those that did not before, and models before tests."""
        return sorted(
            failing(self.results),
            key=lambda row: (
                self.failed_before.get(row["unique_id"], 0) > 0,
                row["resource_type"] in TESTS,
            ),
        )

    def since(self, unique_id: str) -> str:
        """Since when a node fails, in words."""
        if not self.knows_past:
            return "failing"
        before = self.failed_before.get(unique_id, 0)
        return f"failing since {before + 1} runs" if before else "newly failing"


def cause_lines(node: Record) -> list[str]:
    """What was said of a node that failed, without the line that only says which node it is."""
    said = lines(node["message"] or "")
    return said[1:] if len(said) > 1 and _HEADER.match(said[0]) else said


def failing(results: Results) -> list[Record]:
    """The nodes that failed, each once, as it was at last."""
    return [row for row in _at_last(results) if kind_of(row["status"] or "") == "failed"]


def _at_last(results: Results) -> Iterator[Record]:
    """Of each node its last result: a step that skips it does not undo what it did before."""
    last: dict[str, tuple[bool, int]] = {}
    for row in filter(is_executed, results):
        last[row["unique_id"]] = max(_weight(row), last.get(row["unique_id"], _weight(row)))
    return (row for row in filter(is_executed, results) if _weight(row) == last[row["unique_id"]])


def _weight(row: Record) -> tuple[bool, int]:
    """Of several results of one node, that of the highest weight counts."""
    return row["status"] not in NOT_RUN, row["step"] or 0


def _failed_before(store: Store, run: Run, unique_ids: Collection[str]) -> dict[str, int]:
    """In how many of the job's runs in a row nodes have failed, from the one before back.

    Runs that skipped or did not select a node say nothing of it.
    """
    found: dict[str, int] = {}
    named = sorted(unique_ids)
    for begin in range(0, len(named), _NODES_AT_ONCE):
        found.update(_failed_before_of(store, run, named[begin : begin + _NODES_AT_ONCE]))
    return found


def _failed_before_of(store: Store, run: Run, named: Sequence[str]) -> dict[str, int]:
    past = store.newest(
        NODE_RESULT,
        ["run_id", "unique_id", "status", "executed"],
        by="run_id",
        limit=_RUNS_LOOKED_AT * len(named),
        account_id=run.account_id,
        job_id=run.job_id,
        unique_id=named,
    )
    kinds: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in past:
        if row["run_id"] < run.run_id and is_executed(row):
            kinds[row["unique_id"]][row["run_id"]].add(kind_of(row["status"] or ""))
    return {name: _in_a_row(of_runs.values()) for name, of_runs in kinds.items()}


def _in_a_row(kinds: Iterable[set[str]]) -> int:
    """How many of some runs, the newest first, failed before one went well."""
    number = 0
    for of_run in kinds:
        if "failed" in of_run:
            number += 1
        elif of_run & {"good", "warned"}:
            break
    return number


def status_counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many executed nodes ended how, by dbt's words."""
    counts = Counter(row["status"] or "unknown" for outcome in outcomes for row in outcome.executed)
    return dict(sorted(counts.items()))
