"""What rows cost on their way into a store, beside PostgreSQL's driver alone; and with a history.

The driver is given the same values in one ``executemany`` of ``INSERT … ON CONFLICT``, with a
connection of its own for each write, as the store has.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, count, product
from pathlib import Path

import psycopg

from benchmarks.history import FIRST_ID, filled, row
from benchmarks.report import Result, not_measured
from benchmarks.rounds import Spread, alternate, ratios, seconds_of
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.database import quote, replacement
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.store import Store, open_store
from dbt_trigger_dagster.storage.tables import RUN
from dbt_trigger_dagster_tests.databases import (
    a_postgres_cluster,
    as_libpq_takes_it,
    missing_programs,
)

_COUNTS = (1, 100, 20_000)
_ROUNDS = {1: 15, 100: 15, 20_000: 3}
_HISTORY = 1_000_000
_BESIDE_THE_DRIVER = 2.5
_FLAT = 2.0
_NEW_ID = FIRST_ID + 10 * _HISTORY
_COLUMNS = ", ".join(quote(column.name) for column in RUN.columns)
_VARIED = {
    "id": "template.id + i",
    "git_sha": "md5(i::text)",
    "href": "template.href || i",
    "dagster_run_id": "gen_random_uuid()::text",
    "raw": "template.raw || jsonb_build_object('sha', sha256(i::text::bytea)::text)",
}
_VALUES = ", ".join(
    _VARIED.get(column.name, f"template.{quote(column.name)}") for column in RUN.columns
)
_FILL = (
    f"INSERT INTO long.{RUN.name} ({_COLUMNS}) SELECT {_VALUES} "  # noqa: S608  # names are ours
    f"FROM long.{RUN.name} AS template, generate_series(1, %s) AS numbers(i)"
)


def measure() -> list[Result]:
    """Write so many rows at once, also into a long history."""
    if reason := missing_programs():
        return [not_measured("upserts into PostgreSQL", f"<= {_BESIDE_THE_DRIVER:g}", reason)]
    with a_postgres_cluster() as url, tempfile.TemporaryDirectory() as folder:
        ids = count(_NEW_ID)
        stores = {"PostgreSQL": open_store(url), "DuckDB": open_store(f"{folder}/x.duckdb")}
        for store in stores.values():
            store.upsert(RUN.rows([]))
        beside = [_beside_the_driver(stores, url, size, ids) for size in _COUNTS]
        histories = {
            "PostgreSQL": _in_postgresql(url),
            "DuckDB": [filled(Path(folder, f"{size}.duckdb"), size) for size in (_HISTORY, 0)],
        }
        return [*chain(*beside), *_with_a_history(histories, ids)]


def _beside_the_driver(
    stores: Mapping[str, Store], url: str, size: int, ids: "count[int]"
) -> list[Result]:
    writes: list[Callable[[Rows], None]] = [store.upsert for store in stores.values()]
    writes.append(partial(_by_the_driver, url))
    *ours, driver = alternate(
        _ROUNDS[size], *(partial(_seconds, size, ids, write) for write in writes)
    )
    goals = {"PostgreSQL": _BESIDE_THE_DRIVER}
    return [
        _result(
            f"{size:,} rows: {name} / PostgreSQL by psycopg alone", spread, driver, goals.get(name)
        )
        for name, spread in zip(stores, ours, strict=True)
    ]


def _in_postgresql(url: str) -> list[Store]:
    """A store with a history, and one without."""
    long, empty = (open_store(url, schema=name) for name in ("long", "empty"))
    for store in (long, empty):
        store.upsert(row(FIRST_ID))
    with psycopg.connect(as_libpq_takes_it(url), autocommit=True) as connection:
        connection.execute(_FILL, [_HISTORY])
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return [long, empty]


def _with_a_history(
    histories: Mapping[str, Sequence[Store]], ids: "count[int]"
) -> Iterator[Result]:
    for name, size in product(histories, _COUNTS):
        measures = [partial(_seconds, size, ids, each.upsert) for each in histories[name]]
        alternate(1, *measures)  # fills caches
        long, empty = alternate(_ROUNDS[size], *measures)
        what = f"{size:,} rows into {name}: history of {_HISTORY:,} rows / of none"
        yield _result(what, long, empty, _FLAT)


def _result(what: str, above: Spread, below: Spread, goal: float | None) -> Result:
    ratio = ratios(above, below)
    measured = f"{ratio.show()}, {above.median * 1000:.0f} ms"
    if goal is None:
        return Result(what, measured)
    return Result(what, measured, f"<= {goal:g}", ratio.median <= goal)


def _seconds(size: int, ids: "count[int]", write: Callable[[Rows], None]) -> float:
    columns = {name: values * size for name, values in row(next(ids)).columns.items()}
    rows = Rows(RUN, {**columns, "id": [next(ids) for _ in range(size)]})
    return seconds_of(lambda: write(rows))


def _by_the_driver(url: str, rows: Rows) -> None:
    marks = ", ".join("%s::jsonb" if column.kind is Kind.JSON else "%s" for column in RUN.columns)
    statement = f"INSERT INTO {RUN.name} ({_COLUMNS}) VALUES ({marks}) {replacement(RUN)}"  # noqa: S608  # names are ours
    with psycopg.connect(as_libpq_takes_it(url)) as connection:
        connection.cursor().executemany(statement, zip(*rows.columns.values(), strict=True))
