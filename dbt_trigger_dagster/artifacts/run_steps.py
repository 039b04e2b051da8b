"""A run's steps as rows: what each was, how it ended, and the end of its log."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from dbt_trigger_dagster.artifacts.run_results import canonical_command
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.text import excerpt, lines
from dbt_trigger_dagster.storage.kinds import Kind

TAIL_LINES = 40
"""So many of the last lines of a step's log are kept in its row."""

_COMMAND = re.compile(r"`(dbt\b[^`]*)`")
_TAKES_A_VALUE = re.compile(
    "-[rt]|--(?:target|target-path|profile|profiles-dir|project-dir|vars|threads|state|defer-state|"
    "indirect-selection|record-timing-info|warn-error-options|printer-width|partial-parse-file-path|"
    "log-(?:level|format)(?:-file)?|log-path|log-file-max-bytes)"
)
"""Options that may stand before a command's name, and whose value may be another's: a log's level
is ``debug``, a target ``test``."""
_TRUNCATED = "This log output is truncated."


def step_records(run: Run) -> list[dict[str, Any]]:
    """The steps as records of `RUN_STEP`'s columns; none where the API was not asked for them."""
    return [_record(run, payload) for payload in _payloads(run) if _is_readable(payload)]


def unreadable_steps(run: Run) -> list[str]:
    """One sentence that names the steps which no record can be made of; none where all can."""
    left_out = [
        f"{place} ({_name_of(payload)})"
        for place, payload in enumerate(_payloads(run), start=1)
        if not _is_readable(payload)
    ]
    told = (
        f"Steps of dbt Cloud run {run.run_id} are left out, for they have no number. Their places "
        f"in its list: {', '.join(left_out)}."
    )
    return [told] if left_out else []


def dbt_steps_of(run: Run) -> dict[int, Mapping[str, Any]]:
    """The steps whose commands can leave results, as the API says them, by their numbers."""
    found = {
        payload["index"]: payload
        for payload in _payloads(run)
        if _is_readable(payload)
        and payload["index"] > 0
        and command_of(payload)
        and kind_of(command_of(payload)) != "deps"
    }
    return dict(sorted(found.items()))


def _payloads(run: Run) -> list[Any]:
    payloads = run.payload.get("run_steps")
    return payloads if isinstance(payloads, list) else []


def _is_readable(payload: Any) -> bool:
    """Whether a step has a number, one that its column holds."""
    index = payload.get("index") if isinstance(payload, Mapping) else None
    return isinstance(index, int) and Kind.INTEGER.values([index]) == [index]


def _name_of(payload: Any) -> str:
    name = payload.get("name") if isinstance(payload, Mapping) else payload
    return excerpt(name) if isinstance(name, str) else "without a name"


def _record(run: Run, payload: Mapping[str, Any]) -> dict[str, Any]:
    log, complete = log_of(payload)
    return {
        "account_id": run.account_id,
        "run_id": run.run_id,
        "step": payload["index"],
        "job_id": run.job_id,
        "name": payload.get("name"),
        "command": command_of(payload) or None,
        "status": payload.get("status"),
        "status_humanized": payload.get("status_humanized"),
        "started_at": payload.get("started_at"),
        "finished_at": payload.get("finished_at"),
        "duration_seconds": payload.get("duration"),
        "log_tail": "\n".join(lines(log)[-TAIL_LINES:]) or None,
        "log_size": len(log.encode("utf-8", "replace")),
        "log_complete": complete,
        # The logs stand in the run's own row.
        "raw": {name: value for name, value in payload.items() if "logs" not in name},
    }


def log_of(payload: Mapping[str, Any]) -> tuple[str, bool]:
    """A step's log, and whether it is all of it: dbt Cloud leaves large ones out."""
    for name in ("logs", "debug_logs", "truncated_debug_logs"):
        log = payload.get(name)
        if isinstance(log, str) and log.strip():
            return log, not log.startswith(_TRUNCATED)
    return "", False


def command_of(payload: Mapping[str, Any]) -> str:
    """The dbt command of a step, such as ``dbt build``; empty where it is none."""
    told = payload.get("run_step_command")
    if isinstance(told, Mapping) and isinstance(told.get("dbt_command"), str):
        return str(told["dbt_command"])
    name = str(payload.get("name") or "")
    if found := _COMMAND.search(name):
        return found[1].strip()
    return "dbt docs generate" if "docs" in name.lower().split() else ""


def kind_of(command: str) -> str:
    """What a dbt command does, by its canonical name, such as ``build``; empty of no known one."""
    found = (
        canonical_command(word)
        for before, word in pairwise(command.split())
        if not _TAKES_A_VALUE.fullmatch(before)
    )
    return next(filter(None, found), "")
