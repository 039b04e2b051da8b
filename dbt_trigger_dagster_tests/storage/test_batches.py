"""Rows that are made a batch at a time, from records that are kept in a file."""

import gc

import pytest

from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.columns import ROWS_AT_ONCE
from dbt_trigger_dagster.storage.record_file import RecordFile
from dbt_trigger_dagster.storage.tables import RUN

_MANY = 2 * ROWS_AT_ONCE + 1


def _records(*ids: int, account_id: int = 1, **fields: str) -> RecordFile[int]:
    records = RecordFile[int]()
    for run_id in ids:
        records[run_id] = {"account_id": account_id, "id": run_id, **fields}
    return records


def test_all_rows_come_in_the_order_of_their_keys_some_at_a_time() -> None:
    """Whatever order they were found in, and as often as they are asked for."""
    batches = Batches(RUN, [_records(*reversed(range(_MANY))), _records(1, 2, account_id=2)])
    for _ in range(2):
        found = list(batches.batches())
        assert [len(each) for each in found] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 3]
        keys = [key for each in found for key in RUN.keys(each.columns)]
        assert keys == [*((1, number) for number in range(_MANY)), (2, 1), (2, 2)]
    assert len(batches) == len(keys)
    assert list(batches.first(2).columns["id"]) == [0, 1]


def test_they_are_filled_as_rows_are() -> None:
    """One value in the whole of a column, in each batch."""
    batches = Batches(RUN, [_records(1, 2, href="x")]).filled(asset_key="a").filled(href="y")
    (rows,) = batches.batches()
    assert (rows.columns["asset_key"], rows.columns["href"]) == (["a", "a"], ["y", "y"])


def test_no_records_are_no_batch() -> None:
    """Nothing is written of them."""
    assert list(Batches(RUN, [_records()]).batches()) == []
    assert list(RUN.rows([]).batches()) == []


def test_rows_in_memory_come_in_batches_alike() -> None:
    """Of several with one key the last counts, wherever it stands."""
    rows = RUN.rows({"account_id": 1, "id": n % _MANY, "href": str(n)} for n in range(_MANY + 1))
    found = list(rows.batches())
    assert [len(each) for each in found] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
    assert found[0].columns["href"][:2] == [str(_MANY), "1"]


def test_what_is_taken_out_of_a_file_of_records_is_a_copy() -> None:
    """What is put in again counts, at the place where it was; what is deleted is gone."""
    records = _records(3, 1, 2)
    records[3]["id"] = 9
    assert records[3]["id"] == 3
    records[3] = {"id": 9}
    del records[1]
    assert dict(records) == {3: {"id": 9}, 2: {"account_id": 1, "id": 2}}
    assert (1 in records, len(records)) == (False, 2)
    with pytest.raises(KeyError):
        records[1]


def test_a_file_of_records_is_closed_when_nobody_needs_it() -> None:
    """Also where it has grown beyond memory; a long-lived process keeps none open."""
    records = _records(*range(50), href="x" * 100_000)
    file = records._file
    assert sum(len(record["href"]) for record in records.values()) == 5_000_000
    assert not file.closed
    del records
    gc.collect()
    assert file.closed
