"""What is sent to Databricks, written down: nothing of it could be run there.

``python -m dbt_trigger_dagster_tests.databricks_statements`` writes the files anew, whose
differences are to be read; tests compare them with what is sent, and have Spark parse it.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from dbt_trigger_dagster.storage.columns import LINEAGE, Column, Rows, Table
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.sql import SqlStore
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import TABLES
from dbt_trigger_dagster.storage.view import View
from dbt_trigger_dagster.storage.views import VIEWS

FOLDER = Path(__file__).parent / "storage" / "databricks"
URL = "databricks://token:sesame@host?http_path=/sql/1.0/warehouses/1&catalog=main&schema=dbt"

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\S+) \((.*)\) TBLPROPERTIES.*")
_VIEW = re.compile(r"CREATE OR REPLACE VIEW (\S+) COMMENT '((?:[^'\\]|\\.)*)' AS .*", re.DOTALL)
_DESCRIBE = re.compile(r"DESCRIBE TABLE EXTENDED (\S+) AS JSON")
_WRITE_ID = re.compile(r"[0-9a-f]{32}")
_LONG = 2000
_NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


class ServerOperationError(Exception):
    """What the driver raises where Databricks refuses a statement."""


ServerOperationError.__module__ = "databricks.sql.exc"


class Recorder:
    """A stand-in for the driver that writes down what is sent, and knows what was made.

    Attributes:
        sent: The statements, each with its parameters by name.
        told: What the last connection was made with.
        there: What DESCRIBE shows, by quoted name.
        refusals: What is raised, once each, where a statement begins so.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.told: dict[str, Any] = {}
        self.there: dict[str, dict[str, Any]] = {}
        self.refusals: list[tuple[str, str]] = []
        self.found: dict[str, list[Any]] = {}

    def connect(self, **arguments: Any) -> SimpleNamespace:
        """A connection."""
        self.told = arguments
        return SimpleNamespace(cursor=self.cursor, close=lambda: None)

    def cursor(self) -> SimpleNamespace:
        """A cursor."""
        cursor = SimpleNamespace(fetchall=list)

        def execute(statement: str, parameters: Mapping[str, Any] | None = None) -> None:
            self.sent.append((statement, parameters or {}))
            found = self._answer(statement)
            cursor.fetchall = lambda: found

        cursor.execute = execute
        return cursor

    def statements(self, beginning: str = "") -> list[str]:
        """Those that begin so."""
        return [statement for statement, _ in self.sent if statement.startswith(beginning)]

    def _answer(self, statement: str) -> list[Any]:
        for number, (beginning, message) in enumerate(self.refusals):
            if statement.startswith(beginning):
                del self.refusals[number]
                raise ServerOperationError(message)
        if table := _TABLE.fullmatch(statement):
            columns = [part.split(" ") for part in table[2].split(", ")]
            types = {name.strip("`"): kind.lower() for name, kind in columns}
            self.there.setdefault(table[1], described("MANAGED", types))
        elif view := _VIEW.fullmatch(statement):
            self.there[view[1]] = described("VIEW", {}, re.sub(r"\\(.)", r"\1", view[2]))
        elif look := _DESCRIBE.fullmatch(statement):
            if look[1] not in self.there:
                raise ServerOperationError(f"[TABLE_OR_VIEW_NOT_FOUND] no {look[1]}")
            return [(json.dumps(self.there[look[1]]),)]
        elif statement.startswith("DESCRIBE SCHEMA"):
            raise ServerOperationError("[SCHEMA_NOT_FOUND] nothing there")
        return next((rows for start, rows in self.found.items() if statement.startswith(start)), [])


def described(kind: str, types: Mapping[str, str], comment: str = "") -> dict[str, Any]:
    """What DESCRIBE shows of a table or view."""
    as_json = {"timestamp": "timestamp_ltz"}
    columns = [
        {"name": name, "type": {"name": as_json.get(each, each)}, "nullable": True}
        for name, each in types.items()
    ]
    return {"type": kind, "columns": columns, **({"comment": comment} if comment else {})}


def store_of(**settings: Any) -> SqlStore:
    """A store of what the recorder stands in for."""
    store = open_store(URL, **settings)
    assert isinstance(store, SqlStore)
    return store


# Small ones, which stay as they are while ours grow.
TRIGGERS = Table(
    "dbt_cloud_trigger",
    "A run that was triggered",
    (
        Column("account_id", Kind.INTEGER, "The account"),
        Column("id", Kind.INTEGER, "The run"),
        *LINEAGE,
    ),
    ("account_id", "id"),
)
RUNS = Table(
    "dbt_cloud_run",
    "A run",
    (
        Column("account_id", Kind.INTEGER, "The account"),
        Column("id", Kind.INTEGER, "The run"),
        Column("status", Kind.INTEGER, "How it ended"),
        Column("is_success", Kind.BOOLEAN, "Whether well"),
        Column("trigger", Kind.JSON, "Why it started"),
        Column("duration_seconds", Kind.SECONDS, "How long it took"),
        *LINEAGE,
    ),
    ("account_id", "id"),
)
STEPS = Table(
    "dbt_cloud_run_step",
    "A step of a run",
    (
        Column("account_id", Kind.INTEGER, "The account"),
        Column("run_id", Kind.INTEGER, "The run"),
        Column("name", Kind.TEXT, "The step"),
        Column("share", Kind.NUMBER, "Of the run's time"),
        *LINEAGE,
    ),
    ("account_id", "run_id", "name"),
)
OVERVIEW = View(
    "dbt_cloud_run_overview", "What a run was like; it's ours", "SELECT id FROM {dbt_cloud_run}"
)


def some_runs(*ids: int, **changes: Any) -> Rows:
    """Runs that are over."""
    good = {"account_id": 101, "status": 10, "is_success": True, "trigger": {"cause": "it's"}}
    return RUNS.rows([{**good, "id": each, **changes} for each in ids]).filled(loaded_at=_NOON)


def some_steps(*names: str, **changes: Any) -> Rows:
    """Steps of a run."""
    of_it = {"account_id": 101, "run_id": 1, "share": 0.1, **changes}
    return STEPS.rows([{**of_it, "name": each} for each in names]).filled(loaded_at=_NOON)


def _check(store: SqlStore, _: Recorder) -> None:
    for _again in range(2):
        store.check([RUNS, STEPS], [OVERVIEW])


def _views(store: SqlStore, recorder: Recorder) -> None:
    store.check(TABLES.values(), VIEWS)
    recorder.sent = [each for each in recorder.sent if each[0].startswith("CREATE OR REPLACE")]


def _write(store: SqlStore, recorder: Recorder) -> None:
    store.check([RUNS, STEPS])
    recorder.sent.clear()
    store.upsert(some_runs(1), some_steps("dbt build", "größe"))


def _large_write(store: SqlStore, recorder: Recorder) -> None:
    store.check([RUNS, STEPS])
    recorder.sent.clear()
    steps = some_steps(*(f"step {number}" for number in range(3)), raw={"text": "x" * 600_000})
    store.upsert(some_runs(1), steps)


def _older_table(store: SqlStore, recorder: Recorder) -> None:
    kinds = {"account_id": "bigint", "id": "bigint", "raw": "string"}
    recorder.there["`main`.`dbt`.`dbt_cloud_run`"] = described("MANAGED", kinds)
    store.upsert(some_runs())


def _reads(store: SqlStore, recorder: Recorder) -> None:
    store.check([TRIGGERS, RUNS, STEPS])
    recorder.sent.clear()
    recorder.found["SELECT `account_id`, `run_id`"] = [(101, 1, "dbt build")]
    store.read(RUNS, dagster_run_id="it's", id=[1, 2**40])
    pages = store.pages(STEPS, ["account_id", "run_id", "name"], 2)
    for _page in zip(pages, range(2), strict=False):
        pass
    store.look_up(RUNS, "dagster_run_id", key="id", values=[2, 1], account_id=101)
    store.newest(RUNS, ["id", "loaded_at"], by="loaded_at", limit=3, asset_key=["a", "b"])
    store.open_runs(TRIGGERS, RUNS, account_id=101, since=_NOON, until=_NOON, after=7, limit=100)


SCENARIOS: Mapping[str, Callable[[SqlStore, Recorder], None]] = {
    "check": _check,
    "views": _views,
    "write": _write,
    "large_write": _large_write,
    "older_table": _older_table,
    "reads": _reads,
}


def recorded(scenario: str) -> list[tuple[str, Mapping[str, Any]]]:
    """What is sent in a scenario."""
    recorder = Recorder()
    with mock.patch.dict(sys.modules, {"databricks.sql": recorder}):
        SCENARIOS[scenario](store_of(), recorder)
    return recorder.sent


def as_text(sent: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Statements as a file has them, each before its parameters."""
    parts = []
    for statement, parameters in sent:
        values = [f"-- :{name} = {_shown(value)}" for name, value in parameters.items()]
        parts.append("\n".join([f"{statement};", *values]))
    return "\n\n".join(parts) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, str) and _WRITE_ID.fullmatch(value):
        return "the id of the write"
    shown = repr(value)
    return shown if len(shown) < _LONG else f"{shown[:60]}… ({len(value)} characters)"


def main() -> None:
    """Write all files."""
    for scenario in SCENARIOS:
        (FOLDER / f"{scenario}.sql").write_text(as_text(recorded(scenario)))


if __name__ == "__main__":
    main()
