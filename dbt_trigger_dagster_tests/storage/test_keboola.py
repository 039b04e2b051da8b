"""Keboola's exports are read as literals, row by row, and what cannot be read is named."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from dbt_trigger_dagster.storage.copy import copy_tables
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.keboola import rows_of_exports
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import RUN, TRIGGER
from dbt_trigger_dagster_tests.payloads import run_payload

RUN_FILE = f"{RUN.name}.csv"


def as_keboola(payload: dict[str, Any]) -> dict[str, str]:
    """A payload as Python's CSV writer puts it down: nested values by their repr."""
    return {name: "" if value is None else str(value) for name, value in payload.items()}


def export(folder: Path, *rows: dict[str, str], name: str = RUN_FILE) -> None:
    """Write a file as Keboola does, each cell in quotes."""
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


def copied(folder: Path) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """The runs that a copy of the exports brings, by id, and what it tells."""
    told: list[str] = []
    target = open_store(str(folder / "target.duckdb"))
    list(copy_tables(rows_of_exports(folder, told.append), target))
    return {row["id"]: row for row in target.read(RUN)}, told


def a_row(run_id: int, **changes: str) -> dict[str, str]:
    """A small row."""
    return {"account_id": "101", "id": str(run_id), "trigger": "{'cause': 'x'}", **changes}


def test_an_export_becomes_the_row_that_the_payload_makes(tmp_path: Path) -> None:
    """Numbers, booleans, times, and JSON in place of Python's notation; without lineage."""
    payload = {**run_payload(10), "scribe_enabled": True, "status_message": 'it\'s "that"\nNone'}
    payload["trigger"] = {"cause": "it's", "steps_override": None, "generate_docs": True}
    export(tmp_path, as_keboola(payload))
    rows, told = copied(tmp_path)
    [row] = rows.values()
    [expected] = RUN.rows([RUN.record(payload)])
    nested = ("raw", "trigger", "job", "environment", "run_steps")
    assert {**row, **dict.fromkeys(nested)} == {**expected, **dict.fromkeys(nested)}
    assert json.loads(row["trigger"]) == payload["trigger"]
    assert json.loads(row["raw"])["scribe_enabled"] == "True"
    assert row["loaded_at"] is None
    assert told == []


def test_both_tables_are_read(tmp_path: Path) -> None:
    """Each from its own file."""
    export(tmp_path, a_row(1), a_row(2), name=f"{TRIGGER.name}.csv")
    export(tmp_path, a_row(1))
    target = open_store(str(tmp_path / "target.duckdb"))
    list(copy_tables(rows_of_exports(tmp_path, print), target))
    assert (len(target.read(TRIGGER)), len(target.read(RUN))) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trigger": "{'cause': open('x')}"}, "trigger is not a literal of Python's or JSON: "),
        ({"trigger": "{'cause'"}, "trigger is not a literal of Python's or JSON: \"{'cause'\"."),
        ({"trigger": "[" * 10_000}, "trigger is not a literal of Python's or JSON: '[[["),
        ({"trigger": "{(1, 2): 3}"}, "trigger is not a literal of Python's or JSON: "),
        ({"id": "seven"}, "id is not a whole number: 'seven'."),
        ({"id": ""}, "it has no id."),
        ({"account_id": ""}, "it has no account_id."),
        ({"is_success": "perhaps"}, "is_success is not True or False: 'perhaps'."),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_its_line(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    """The line in which it begins; the rows around it land."""
    usual = {"is_success": "True", "href": "two\nlines"}
    export(tmp_path, a_row(1, **usual), a_row(2, **{**usual, **changes}), a_row(3, **usual))
    rows, [told] = copied(tmp_path)
    assert sorted(rows) == [1, 3]
    assert told.startswith(f"{RUN_FILE}, line 4: {message}")


def test_rows_of_another_width_and_broken_bytes_are_named(tmp_path: Path) -> None:
    """As a file that was cut has, or one that an editor saved."""
    (tmp_path / RUN_FILE).write_bytes(
        b"\xef\xbb\xbfaccount_id,id,href\r\n101,1\r\n101,2,\xff\r\n\r\n101,3,x\r\n101,4,x,y\r\n101"
    )
    rows, told = copied(tmp_path)
    assert sorted(rows) == [3]
    assert told == [
        f"{RUN_FILE}, line 2: it has 2 cells, which is not what the header has.",
        f"{RUN_FILE}, line 3: href is not UTF-8: '?'.",
        f"{RUN_FILE}, line 6: it has 4 cells, which is not what the header has.",
        f"{RUN_FILE}, line 7: it has 1 cells, which is not what the header has.",
    ]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    """The steps of a run have their logs with them: Python's limit is 128 KiB."""
    steps = [{"index": 1, "logs": "x" * 1_000_000}]
    export(tmp_path, a_row(1, run_steps=str(steps)))
    rows, told = copied(tmp_path)
    assert json.loads(rows[1]["run_steps"]) == steps
    assert told == []


def test_a_folder_without_exports_is_told(tmp_path: Path) -> None:
    """Before anything is copied."""
    with pytest.raises(StorageError, match=r"neither dbt_cloud_trigger\.csv nor"):
        rows_of_exports(tmp_path, print)
