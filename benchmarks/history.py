"""What writing one run's row costs in a table that holds 0, 10 k and 1 M rows.

Histories are filled by SQL, because a million upserts would take half a day, from one row whose
payload, hashes and addresses differ from row to row, so that they do not compress to nothing.
New rows and rows that replace one of the history are timed apart.
"""

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import duckdb

from benchmarks.report import Result
from benchmarks.rounds import Spread, alternate, ratios, seconds_of
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.store import Store, open_store
from dbt_trigger_dagster.storage.tables import RUN

_SIZES = (0, 10_000, 1_000_000)
_ROUNDS = 15
_GOAL = 2.0
FIRST_ID = 70_403_100_000_000
_NEW_ID = FIRST_ID + 10 * max(_SIZES)
_STRIDE = 7919  # a prime: what is replaced lies all over the history
_SCHEMA = "main"
_FILL = f"""
INSERT INTO {_SCHEMA}.{RUN.name} BY NAME
SELECT template.* REPLACE (
    template.id + i AS id,
    md5(i::VARCHAR) AS git_sha,
    template.href || i AS href,
    template.created_at + to_minutes(i) AS created_at,
    uuid()::VARCHAR AS dagster_run_id,
    template.raw || '{{"id": ' || i || ', "sha": "' || sha256(i::VARCHAR) || md5(i::VARCHAR)
        || '"}}' AS raw
)
FROM template, range(?) AS numbers(i)
"""  # noqa: S608  # names are ours


def measure() -> list[Result]:
    """Upsert into each history, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        stores = {size: filled(Path(folder, f"history_{size}.duckdb"), size) for size in _SIZES}
        new_ids = count(_NEW_ID)
        steps = count(1)
        return [
            *_compare("a new row", stores, lambda _: next(new_ids)),
            *_compare(
                "a row that is there",
                stores,
                lambda size: FIRST_ID + next(steps) * _STRIDE % max(size, 1),
            ),
        ]


def _compare(what: str, stores: dict[int, Store], next_id: Callable[[int], int]) -> list[Result]:
    def upsert_into(size: int) -> Callable[[], float]:
        return lambda: _upsert_seconds(stores[size], next_id(size))

    measures = [upsert_into(size) for size in _SIZES]
    alternate(1, *measures)  # fills caches
    empty, *filled = alternate(_ROUNDS, *measures)
    return [
        _result(what, size, ratios(spread, empty))
        for size, spread in zip(_SIZES[1:], filled, strict=True)
    ]


def _result(what: str, size: int, ratio: Spread) -> Result:
    return Result(
        f"upsert of {what}: history of {size:,} rows / of none",
        ratio.show(),
        f"<= {_GOAL:g}",
        ratio.median <= _GOAL,
    )


def filled(path: Path, size: int) -> Store:
    """A DuckDB file with a history of so many runs, their ids from `FIRST_ID` on."""
    store = open_store(str(path), schema=_SCHEMA)
    store.upsert(RUN.rows([]))
    with duckdb.connect(path) as connection:
        connection.register("template", row(FIRST_ID).frame())
        connection.execute(_FILL, [size])
    return store


def _upsert_seconds(store: Store, run_id: int) -> float:
    rows = row(run_id)
    return seconds_of(lambda: store.upsert(rows))


def row(run_id: int) -> Rows:
    """One run as dbt Cloud gives it, in short."""
    payload = {
        "id": run_id,
        "account_id": 101,
        "project_id": 2001,
        "environment_id": 3001,
        "job_definition_id": 1001,
        "status": 10,
        "status_humanized": "Success",
        "is_complete": True,
        "is_success": True,
        "git_branch": "main",
        "git_sha": "0123456789abcdef0123456789abcdef01234567",
        "created_at": "2026-01-01 06:00:00.123456+00:00",
        "started_at": "2026-01-01 06:00:07.123456+00:00",
        "finished_at": "2026-01-01 06:09:59.123456+00:00",
        "duration": "00:09:59",
        "href": "https://ab123.us1.dbt.com/deploy/101/projects/2001/runs/",
        "trigger": {"id": run_id - 1, "cause": "Triggered from Dagster"},
        "run_steps": [{"index": 1, "name": "Invoke dbt with `dbt build`", "status": 10}],
    }
    return RUN.rows([RUN.record(payload)])
