"""What one dbt step's nodes came to: from its own run_results.json, its telemetry and its log.

A file is the step's own where no step before wrote it: dbt's target folder keeps what older
commands left, and dbt Cloud hands it out again.
"""

import re
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from dbt_trigger_dagster.artifacts.freshness import (
    FRESHNESS_FILES,
    read_freshness,
    read_freshness_invocation,
)
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN
from dbt_trigger_dagster.artifacts.run_files import FileReader, without_nulls
from dbt_trigger_dagster.artifacts.run_results import (
    RUN_RESULTS,
    Invocation,
    executes,
    read_invocation,
    read_results,
)
from dbt_trigger_dagster.artifacts.run_steps import command_of, kind_of, log_of
from dbt_trigger_dagster.artifacts.step_log import read_log
from dbt_trigger_dagster.artifacts.telemetry import read_telemetry, telemetry_file
from dbt_trigger_dagster.dbt_cloud.models import RunStatus, parse_timestamp
from dbt_trigger_dagster.dbt_cloud.text import lines

Records = MutableMapping[str, dict[str, Any]]
"""Records by the nodes' ids. One that is changed is put in again: most are kept in files."""

_PART = re.compile(r'["`\[]([^"`\]]+)["`\]]|([^."`\[\]]+)')


@dataclass(frozen=True)
class StepResults:
    """What one step's nodes came to.

    Attributes:
        invocation: The command that wrote the step's files, as far as they tell.
        executed: Whether the command executes nodes; None of one that is not known.
        results: Records of `NODE_RESULT`.
        freshness: Records of `SOURCE_FRESHNESS`.
    """

    invocation: Invocation
    executed: bool | None
    results: Records
    freshness: Records


@dataclass
class StepReader:
    """Reads the steps of one run, in their order.

    Args:
        reader: Reads the run's files.
        nodes: The manifest's records, by the nodes' ids.
    """

    reader: FileReader
    nodes: Records
    _seen: set[str] = field(default_factory=set)

    def read(self, step: int, payload: Mapping[str, Any]) -> StepResults:
        """What a step's nodes came to.

        Args:
            step: The step's number.
            payload: The step as the API says it.
        """
        kind = kind_of(command_of(payload))
        found = self._results(step, payload, kind)
        looked, freshness = self._freshness(step, kind)
        results = self._with_telemetry(step, found.results)
        for unique_id in [each for each in results if each.startswith("source.")]:
            record = results.pop(unique_id)
            # Core leaves out of sources.json what it could not look at; only the log tells.
            freshness.setdefault(unique_id, {**record, "error": record.get("message")})
        invocation = found.invocation if found.invocation.invocation_id else looked
        return StepResults(invocation, found.executed, results, freshness)

    def _results(self, step: int, payload: Mapping[str, Any], kind: str) -> StepResults:
        """The step's results from its file; where it left none, from its log."""
        open_file = self.reader.of_step(step, RUN_RESULTS)
        invocation = read_invocation(open_file) if open_file else None
        if (
            open_file is None
            or invocation is None
            or not self._is_own(invocation.invocation_id, invocation.command, kind)
        ):
            return StepResults(Invocation(), executes(kind), self._logged(payload, {}), {})
        self._seen.add(invocation.invocation_id)
        found = map(with_place, read_results(open_file))
        results, is_whole = self.reader.read(step, RUN_RESULTS, found)
        logged = self._logged(payload, results)
        if is_whole:  # then a name that no file knows is a name that was not understood
            logged = {name: record for name, record in logged.items() if name in self.nodes}
        results.update(logged)
        executed = executes(invocation.command)
        if executed is None:
            executed = executes(kind)
        return StepResults(invocation, executed, results, {})

    def _is_own(self, invocation_id: str, command: str, kind: str) -> bool:
        if invocation_id and invocation_id in self._seen:
            return False
        are_known = executes(command) is not None and executes(kind) is not None
        return not are_known or command == kind or "retry" in {command, kind}

    def _logged(self, payload: Mapping[str, Any], results: Records) -> dict[str, dict[str, Any]]:
        """What only the step's log says; a step that went well left a file that says it all."""
        if executes(kind_of(command_of(payload))) is False:
            return {}
        if results and payload.get("status") == RunStatus.SUCCESS:
            return {}
        known: ChainMap[str, dict[str, Any]] = ChainMap(results, self.nodes)
        found = read_log(
            lines(log_of(payload)[0]),
            known,
            started_at=parse_timestamp(payload.get("started_at")),
        )
        records = {record["unique_id"]: record for record in found}
        return {name: record for name, record in records.items() if name not in results}

    def _with_telemetry(self, step: int, results: Records) -> Records:
        """The same with what Fusion's telemetry knows beside it."""
        path = telemetry_file(step)
        open_file = self.reader.opener(step, path) or self.reader.opener(OF_THE_RUN, path)
        if open_file is None:
            return results
        told, _ = self.reader.read(step, path, read_telemetry(open_file))
        for unique_id, record in told.items():
            known = results.get(unique_id, {})
            if known.get("source") == "run_results":
                results[unique_id] = {**record, **without_nulls(known)}
            else:
                results[unique_id] = {**known, **without_nulls(record)}
        return results

    def _freshness(self, step: int, kind: str) -> tuple[Invocation, Records]:
        """How fresh the step found its sources, and by which invocation."""
        for path in FRESHNESS_FILES:
            open_file = self.reader.of_step(step, path)
            if open_file is None:
                continue
            invocation = read_freshness_invocation(open_file)
            invocation_id = invocation.invocation_id
            if invocation_id not in self._seen and (invocation_id or kind == "source"):
                self._seen.add(invocation_id)
                return invocation, self.reader.read(step, path, read_freshness(open_file))[0]
        return Invocation(), {}


def with_place(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with what its relation's name says: ``"database"."schema"."alias"``."""
    parts = _PART.findall(str(record.get("relation_name") or ""))
    names = [quoted or plain for quoted, plain in parts]
    if len(names) < 2:  # noqa: PLR2004  # a schema and a relation
        return dict(record)
    places = dict(zip(("alias", "schema", "database"), reversed(names), strict=False))
    return {**record, **places}
