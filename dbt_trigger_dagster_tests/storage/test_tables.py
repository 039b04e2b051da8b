"""The tables' columns, and the rows that payloads become."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.models import Run, parse_timestamp
from dbt_trigger_dagster.storage.columns import LINEAGE, Table
from dbt_trigger_dagster.storage.kinds import JsonText, Kind
from dbt_trigger_dagster.storage.tables import (
    ARTIFACT,
    RUN,
    TABLES,
    TRIGGER,
    run_rows,
)
from dbt_trigger_dagster_tests.payloads import RUN_FIELDS, run_payload

ALL_TABLES = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
RUN_TABLES = pytest.mark.parametrize("table", [TRIGGER, RUN], ids=["trigger", "run"])

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _row(table: Table = RUN, **payload: Any) -> pd.Series:
    return table.frame([table.record(payload)]).iloc[0]


def _columns_of(kind: Kind) -> list[str]:
    return [column.name for column in RUN.columns if column.kind is kind]


@RUN_TABLES
def test_every_documented_field_of_a_run_has_a_column_of_its_name(table) -> None:
    """The API's own names, so that its documentation explains the table."""
    same_name = {column.name for column in table.columns if column.name == column.source}
    assert same_name == set(RUN_FIELDS)


@RUN_TABLES
def test_every_source_of_a_column_is_a_documented_field(table) -> None:
    """A typo would be a column that is always null."""
    sources = {column.source.partition(".")[0] for column in table.columns if column.source}
    assert sources == set(RUN_FIELDS)


@RUN_TABLES
def test_the_payloads_of_these_tests_have_the_documented_fields(table) -> None:
    """And each of them reaches its column: none is null that has a value."""
    payload = run_payload(10)
    assert set(payload) == set(RUN_FIELDS)
    row = _row(table, **payload)
    filled = {name for name, value in payload.items() if value is not None}
    assert {name for name in RUN_FIELDS if not pd.isna(row[name])} == filled


@ALL_TABLES
def test_a_table_is_declared_completely(table) -> None:
    """Names once, descriptions for all, keys and preview among the columns, lineage last."""
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert all(column.description for column in table.columns)
    assert table.description
    assert set(table.primary_key) <= set(names)
    assert set(table.preview) <= set(names)
    assert table.columns[-len(LINEAGE) :] == LINEAGE
    assert TABLES[table.name] is table


def test_the_names_and_keys_of_the_tables_are_a_contract() -> None:
    """People query them."""
    assert {table.name: table.primary_key for table in TABLES.values()} == {
        "dbt_cloud_trigger": ("account_id", "id"),
        "dbt_cloud_run": ("account_id", "id"),
        "dbt_cloud_artifact": ("account_id", "run_id", "step", "path"),
        "dbt_cloud_run_step": ("account_id", "run_id", "step"),
        "dbt_cloud_node_result": ("account_id", "run_id", "step", "unique_id"),
        "dbt_cloud_source_freshness": ("account_id", "run_id", "step", "unique_id"),
        "dbt_cloud_node": ("account_id", "job_id", "unique_id"),
    }
    assert [column.name for column in LINEAGE] == [
        "asset_key",
        "dagster_run_id",
        "loaded_at",
        "raw",
    ]


@ALL_TABLES
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_frame_has_its_declared_types_though_all_is_null(table, rows) -> None:
    """A column that was only ever null is still of its type."""
    frame = table.frame([{}] * rows)
    assert list(frame.columns) == [column.name for column in table.columns]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        column.name: column.kind.dtype for column in table.columns
    }
    assert len(frame) == rows
    assert frame.isna().all().all()


def test_the_types_of_the_columns_are_those_of_the_documentation() -> None:
    """Integers are 64 bits, times are UTC, nested values are JSON."""
    frame = RUN.frame([RUN.record(run_payload(10))])
    types = {name: str(frame.dtypes[name]) for name in ("id", "is_success", "href", "finished_at")}
    assert types == {
        "id": "Int64",
        "is_success": "boolean",
        "href": "string",
        "finished_at": "datetime64[us, UTC]",
    }
    assert frame["id"][0] == run_payload()["id"]
    assert json.loads(frame["trigger"][0]) == run_payload()["trigger"]
    assert json.loads(frame["blocked_by"][0]) == run_payload()["blocked_by"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02 03:04:05.678900+00:00",
        "2026-01-02T03:04:05.678900+00:00",
        "2026-01-02T03:04:05.678900Z",
        "2026-01-02 03:04:05.6789+00:00",
        "2026-01-02 05:04:05.678900+02:00",
        "2026-01-02 03:04:05.678900",
        datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=timezone.utc),
        datetime(2026, 1, 2, 1, 4, 5, 678900, tzinfo=timezone(timedelta(hours=-2))),
        pd.Timestamp("2026-01-02T03:04:05.678900Z"),
    ],
    ids=str,
)
def test_a_timestamp_is_the_same_moment_in_each_format(text) -> None:
    """The API writes three, one for each endpoint; a time without a zone is UTC."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=timezone.utc)
    assert _row(created_at=text)["created_at"] == moment


def test_a_timestamp_needs_no_fraction() -> None:
    """It is left out when it is zero; formats are mixed within one column."""
    texts = [
        "2026-01-02 03:04:05+00:00",
        "2026-01-02 03:04:05.1+00:00",
        None,
        "2026-01-02T03:04:05Z",
    ]
    moments = RUN.frame([{"created_at": text} for text in texts])["created_at"]
    assert moments[0] == moments[3] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert moments[1] - moments[0] == timedelta(milliseconds=100)
    assert pd.isna(moments[2])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "today",
        "soon",
        "2026-13-01 00:00:00+00:00",
        "1d",
        0,
        2026,
        1.5,
        True,
        [1],
        {"a": 1},
    ],
    ids=repr,
)
def test_what_is_no_timestamp_is_null(value) -> None:
    """Words that pandas would take for a time, and bare numbers, among them."""
    assert pd.isna(_row(created_at=value)["created_at"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:00", 0),
        ("00:01:02", 62),
        ("23:59:59", 86_399),
        ("24:00:36", 86_436),
        ("100:00:00", 360_000),
        ("00:00:01.9", 1),
    ],
)
def test_a_duration_is_told_in_seconds_as_well(text, seconds) -> None:
    """Its hours go beyond a day."""
    row = _row(duration=text, run_duration=text, queued_duration=text)
    for name in ("duration", "run_duration", "queued_duration"):
        assert (row[name], row[f"{name}_seconds"]) == (text, seconds)


@pytest.mark.parametrize(
    "value", ["", "soon", "5", "1:2:3", "-00:00:01", "00:00", 5, 1.5, True, []]
)
def test_what_is_no_duration_has_no_seconds(value) -> None:
    """A bare number could be of any unit."""
    assert pd.isna(_row(duration=value)["duration_seconds"])


@pytest.mark.parametrize(
    ("value", "integer"),
    [
        (0, 0),
        (-1, -1),
        (70_403_103_922_125, 70_403_103_922_125),
        (2**63 - 1, 2**63 - 1),
        ("12", 12),
    ],
)
def test_an_integer_keeps_all_its_digits(value, integer) -> None:
    """Ids exceed 32 bits, and 53; one that turns into text is still an id."""
    frame = RUN.frame([{"id": value}, {"id": None}])
    assert int(frame["id"][0]) == integer


@pytest.mark.parametrize(
    "value", [2**63, -(2**70), 1.5, 1.0, float("inf"), float("nan"), True, "x", "", "1.5", [1], {}]
)
def test_what_is_no_64_bit_integer_is_null(value) -> None:
    """Nothing is rounded, and nothing overflows."""
    assert pd.isna(_row(id=value)["id"])


@pytest.mark.parametrize("value", [1, 0, "true", "", [], {}, 1.0])
def test_what_is_no_boolean_is_null(value) -> None:
    """Not guessed."""
    assert pd.isna(_row(is_success=value)["is_success"])


@pytest.mark.parametrize("value", [5, True, 1.5, [], ["main"], {"a": 1}])
def test_what_is_no_text_is_null(value) -> None:
    """And not the way Python writes it."""
    assert pd.isna(_row(git_branch=value)["git_branch"])


@pytest.mark.parametrize("value", ["", "null", "größe 日本", "a\nb", "x" * 100_000])
def test_text_is_kept_as_it_is(value) -> None:
    """Empty text is no null."""
    assert _row(status_message=value)["status_message"] == value


def test_half_a_surrogate_pair_does_not_break_a_row() -> None:
    """JSON can say it and UTF-8, which every database stores, cannot."""
    row = _row(id=1, status_message="cut \ud83d")
    assert row["status_message"] == "cut ?"
    row["raw"].encode()


@pytest.mark.parametrize("value", [[], {}, [1, "é"], {"a": {"b": None}}, "text", 5, True])
def test_nested_values_are_json_text(value) -> None:
    """Whatever they are, they read back."""
    assert json.loads(_row(environment=value)["environment"]) == value


@pytest.mark.parametrize("trigger", [None, "text", [], {}, {"cause": None}, {"other": 1}])
def test_a_cause_that_is_not_there_is_null(trigger) -> None:
    """The trigger may be anything."""
    assert pd.isna(_row(trigger=trigger)["cause"])


def test_the_cause_is_taken_out_of_the_trigger() -> None:
    """The one value of it that people look for."""
    assert _row(**run_payload())["cause"] == "Nightly"


@given(st.dictionaries(st.sampled_from(RUN_FIELDS), JSON_VALUES, max_size=8))
def test_no_payload_breaks_a_row(payload) -> None:
    """Whatever type a field has tomorrow; and types of columns stay as declared."""
    frame = RUN.frame([RUN.record(payload)])
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == RUN.dtypes
    assert len(frame) == 1


def test_a_number_that_json_has_no_word_for_is_text_in_raw() -> None:
    """Python reads 1e400 as infinite, and would write what no database takes for JSON."""
    raw = _row(a=float("inf"), b=[1, {"c": float("nan")}], d=1.5)["raw"]
    assert json.loads(raw, parse_constant=pytest.fail) == {
        "a": "inf",
        "b": [1, {"c": "nan"}],
        "d": 1.5,
    }


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_rows_become_a_data_frame_and_rows_again(table) -> None:
    """An asset of a user's own may hand on what it got."""
    rows = table.rows([table.record(run_payload(10)), {}])
    assert table.rows_of_frame(rows.frame()) == rows


def test_rows_with_one_key_are_told_apart_by_their_order() -> None:
    """The last one counts; the others are sorted, so that writers cannot wait in a circle.

    What is left out of a key is no null, which would equal no other.
    """
    keys = [(2, "b"), (1, None), (2, "a"), (1, None), (None, None)]
    rows = ARTIFACT.rows(
        {"run_id": run_id, "step": 0, "path": path, "size_bytes": number}
        for number, (run_id, path) in enumerate(keys)
    )
    distinct = rows.distinct()
    assert distinct.columns["run_id"] == [0, 1, 2, 2]
    assert distinct.columns["path"] == ["", "", "a", "b"]
    assert distinct.columns["size_bytes"] == [4, 3, 2, 0]
    assert distinct.distinct() == distinct


def test_the_names_of_job_and_environment_are_columns() -> None:
    """So that "which jobs failed last week" needs no JSON."""
    job = {"name": "Nightly", "project": {"name": "Shop"}}
    row = _row(job=job, environment={"name": "Production"})
    assert (row["job_name"], row["environment_name"], row["project_name"]) == (
        "Nightly",
        "Production",
        "Shop",
    )


def test_raw_keeps_the_whole_payload() -> None:
    """Fields that nobody knows yet, and values that their columns refused."""
    payload = run_payload(10, git_sha=[1], brand_new={"field": ["é", 1.5, None]})
    assert json.loads(_row(**payload)["raw"]) == payload


@RUN_TABLES
def test_runs_become_rows_in_their_order(table) -> None:
    """With our own columns still empty, but for raw."""
    runs = [Run.from_payload(run_payload(10, id=2)), Run.from_payload(run_payload(20, id=1))]
    frame = run_rows(table, runs).frame()
    assert list(frame["id"]) == [2, 1]
    assert list(frame["status"]) == [10, 20]
    assert frame[["asset_key", "dagster_run_id", "loaded_at"]].isna().all().all()
    assert frame["raw"].notna().all()


def test_a_record_without_sources_is_only_raw() -> None:
    """The artifact table's columns are ours; nothing is read from a payload."""
    assert ARTIFACT.record({"run_id": 1}) == {"raw": {"run_id": 1}}


OFFSETS = st.sampled_from(["+00:00", "Z", "", "+02:00", "-05:30", "+14:00"])


@settings(max_examples=40)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2199, 1, 1)),  # noqa: DTZ001  # the text has the zone
    st.text("0123456789", max_size=9),
    st.sampled_from([" ", "T"]),
    OFFSETS,
)
def test_a_table_and_a_model_read_the_same_moment(moment, fraction, between, offset) -> None:
    """All three formats, any fraction of a second, any zone; without one it is UTC."""
    seconds = moment.replace(microsecond=0)
    text = (
        f"{seconds:%Y-%m-%d}{between}{seconds:%H:%M:%S}{'.' if fraction else ''}{fraction}{offset}"
    )
    zone = {"Z": "+00:00", "": "+00:00"}.get(offset, offset)
    microseconds = int(fraction[:6].ljust(6, "0"))
    expected = datetime.fromisoformat(f"{seconds.isoformat()}{zone}").replace(
        microsecond=microseconds
    )
    assert parse_timestamp(text) == expected
    (read,) = RUN.frame([RUN.record({"created_at": text})])["created_at"]
    assert read.to_pydatetime() == expected


def test_what_is_json_text_already_stays_as_it_is() -> None:
    """It is not quoted once more; any other text is."""
    assert Kind.JSON.values([JsonText.of({"a": "ü"}), '{"a": 1}']) == [
        '{"a": "ü"}',
        '"{\\"a\\": 1}"',
    ]
