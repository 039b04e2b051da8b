"""The tables in a database that speaks SQL: what is the same in all of them.

What each kind of database says in its own words, `Database` asks of it. A write is one
transaction, and may be repeated: the same rows under the same keys are the same table. So a write
whose connection is lost, before its commit or after, is sent again.
"""

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from dbt_trigger_dagster.storage.columns import Column, Kind, Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing, missing_columns, probe_of

WAIT_LIMIT = 60.0
"""Seconds that a write waits for other writers, ours or another program's."""

NO_KEY = (
    " One of the tables was made without its PRIMARY KEY: add it, or name another schema for our "
    "tables (schema), or rename it."
)
"""What to do where `replacement` finds no key."""

_PAUSE = 0.5

_Result = TypeVar("_Result")


class Cursor(Protocol):
    """What a statement has found."""

    def fetchall(self) -> list[Any]:
        """All rows, as tuples."""


class Connection(Protocol):
    """What the drivers have in common; nothing is begun or committed but by a statement."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Execute one statement."""


class Database(Protocol):
    """One kind of database, and the schema of it that holds the tables.

    Attributes:
        types: The type of each kind of column, as the database says it.
        mark: What stands before a parameter's number.
        keeps_keys: Whether tables have a PRIMARY KEY.
        fills: By table and column, what fills a column that an old table gets.
    """

    types: Mapping[Kind, str]
    mark: str
    keeps_keys: bool
    fills: Mapping[tuple[str, str], str]

    def connect(self) -> AbstractContextManager[Any]:
        """A connection; whatever goes wrong in it is a `StorageError`."""

    def begin(self, *, writes: bool) -> str:
        """What begins a transaction."""

    def relation(self, table: Table) -> str:
        """A table's full name, for people."""

    def name(self, table: Table) -> str:
        """A table's full name, quoted."""

    def check_place(self) -> None:
        """Make sure that there is room for what a run leaves."""

    def look(self, connection: Any, names: Sequence[str]) -> Mapping[str, Existing]:
        """Of some tables, what is there."""

    def make_schema(self, connection: Any) -> None:
        """Make the schema if it is missing, and let nobody else define tables meanwhile."""

    def write(self, connection: Any, rows: Rows) -> None:
        """Write rows of different keys, in place of those of the same keys."""

    def value(self, column: Column) -> str:
        """A column in a SELECT."""

    def among(self, parameter: str, kind: Kind) -> str:
        """A subquery with the values of a kind that one parameter carries."""

    def as_parameter(self, value: Any) -> Any:
        """A value, or a list of them, as the driver takes it."""

    def as_read(self, kind: Kind, values: Iterable[Any]) -> list[Any]:
        """Values of a kind from what the driver gives."""


class SqlStore:
    """Tables with a history in a database; see `storage.store.Store` for what its methods do.

    Args:
        database: Where.
        wait_limit: Seconds to wait for a database that is away for a moment.
    """

    def __init__(self, database: Database, *, wait_limit: float = WAIT_LIMIT) -> None:
        self._database = database
        self._wait_limit = wait_limit

    def relation(self, table: Table) -> str:
        """The table's full name; exact once the database has been used."""
        return self._database.relation(table)

    def check(self, tables: Iterable[Table]) -> None:
        """Make the tables, or give them what they lack, and try a write that is taken back.

        Raises:
            StorageError: Rows cannot be written; the message says why.
        """
        prepared = list(tables)

        def prepare(connection: Connection) -> None:
            self._database.check_place()
            self._prepare(connection, prepared)

        def rehearse(connection: Connection) -> None:
            for table in prepared:
                self._database.write(connection, probe_of(table))

        self._run(prepare, rehearsal=rehearse, writes=True)

    def upsert(self, *rows: Rows) -> None:
        """Write rows of one or several tables, all or none, in place of those of the same keys.

        Tables are made when missing, and given the columns that they lack. Of several rows with
        one key, the last counts.

        Raises:
            StorageError: They cannot be written; nothing has changed.
        """
        # In one order, as the rows of each: writers never wait for each other in a circle.
        distinct = sorted((each.distinct() for each in rows), key=lambda each: each.table.name)

        def write(connection: Connection) -> None:
            self._prepare(connection, [each.table for each in distinct])
            for each in distinct:
                if len(each):
                    self._database.write(connection, each)

        self._run(write, writes=True, is_patient=True)

    def read(self, table: Table, **equal: str | int) -> Rows:
        """Rows whose columns equal the given values; with none given, the whole table.

        Raises:
            StorageError: They cannot be read.
        """

        def select(connection: Connection) -> list[Any]:
            there = self._columns(connection, table)
            if not there or not there.keys() >= equal.keys():
                return []
            return connection.execute(
                self._select(table, table.columns, there, equal),
                self._parameters(equal.values()),
            ).fetchall()

        return Rows(table, self._as_columns(table.columns, self._run(select)))

    def look_up(
        self, table: Table, wanted: str, *, key: str, values: Iterable[int], **equal: str | int
    ) -> dict[int, str]:
        """One column of the rows whose key is among some numbers, by the key.

        Reads these columns alone, whatever else a row holds.

        Args:
            table: Where.
            wanted: The column, of text.
            key: The column with the numbers.
            values: The numbers.
            equal: What other columns have to be.

        Raises:
            StorageError: They cannot be read.
        """
        conditions = {key: sorted(values), **equal}
        columns = [column for column in table.columns if column.name in {key, wanted}]

        def select(connection: Connection) -> list[Any]:
            there = self._columns(connection, table)
            if not there.keys() >= {wanted, *conditions}:
                return []
            return connection.execute(
                self._select(table, columns, there, conditions),
                self._parameters(conditions.values()),
            ).fetchall()

        found = self._as_columns(columns, self._run(select))
        return dict(zip(found[key], found[wanted], strict=True))

    def newest(
        self,
        table: Table,
        columns: Sequence[str],
        *,
        by: str,
        limit: int,
        **equal: str | int | Sequence[str],
    ) -> list[dict[str, Any]]:
        """As `storage.store.Store` says.

        Raises:
            StorageError: They cannot be read.
        """
        wanted = [column for column in table.columns if column.name in columns]

        def select(connection: Connection) -> list[Any]:
            there = self._columns(connection, table)
            if not there.keys() >= {by, *equal}:
                return []
            return connection.execute(
                f"{self._select(table, wanted, there, equal)} "
                f"ORDER BY {quote(by)} DESC NULLS LAST LIMIT {limit:d}",
                self._parameters(equal.values()),
            ).fetchall()

        found = self._as_columns(wanted, self._run(select))
        return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]

    def open_runs(
        self,
        trigger: Table,
        run: Table,
        *,
        account_id: int,
        since: datetime,
        until: datetime,
        after: int,
        limit: int,
    ) -> list[int]:
        """As `storage.store.Store` says.

        Raises:
            StorageError: They cannot be read.
        """
        account, lowest, earliest, latest, most = (f"{self._database.mark}{n}" for n in range(1, 6))
        landed = (
            f"SELECT id FROM {self._database.name(run)} "  # noqa: S608  # names are ours
            f"WHERE account_id = {account} AND id > {lowest} AND status NOT IN (1, 2, 3)"
        )

        def select(connection: Connection) -> list[Any]:
            if not self._columns(connection, trigger):
                return []
            missing = f"AND id NOT IN ({landed})" if self._columns(connection, run) else ""
            return connection.execute(
                f"SELECT id FROM {self._database.name(trigger)} "  # noqa: S608  # names are ours
                f"WHERE account_id = {account} AND id > {lowest} AND loaded_at "
                f"BETWEEN {earliest} AND {latest} {missing} ORDER BY id LIMIT {most}",
                self._parameters([account_id, after, since, until, limit]),
            ).fetchall()

        return [run_id for (run_id,) in self._run(select)]

    def _run(
        self,
        work: Callable[[Any], _Result],
        *,
        rehearsal: Callable[[Any], None] | None = None,
        writes: bool = False,
        is_patient: bool = False,
    ) -> _Result:
        """Do some work in a transaction, again where the database was away meanwhile.

        Args:
            work: What to do.
            rehearsal: What to do after it in a transaction that is taken back.
            writes: Whether the work may write.
            is_patient: Whether to wait for a database that is away from the start, too.
        """
        deadline = time.monotonic() + self._wait_limit
        while True:
            try:
                with self._database.connect() as connection:
                    is_patient = True
                    connection.execute(self._database.begin(writes=writes))
                    result = work(connection)
                    connection.execute("COMMIT")
                    if rehearsal is not None:
                        connection.execute(self._database.begin(writes=writes))
                        rehearsal(connection)
                        connection.execute("ROLLBACK")
                    return result
            except StorageError as error:
                is_over = not (error.is_momentary and is_patient)
                if is_over or time.monotonic() + _PAUSE > deadline:
                    raise
                time.sleep(_PAUSE)

    def _prepare(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Make tables, or add the columns that a newer version declares."""
        if any(self._definitions(connection, tables)):
            self._database.make_schema(connection)
            for statement in list(self._definitions(connection, tables)):  # somebody was faster?
                connection.execute(statement)

    def _definitions(self, connection: Connection, tables: Sequence[Table]) -> Iterator[str]:
        """The statements that make of the tables that are there those that are declared."""
        every = {table.name: table for table in tables}
        there = self._database.look(connection, list(every))
        for table in every.values():
            if table.name in there:
                yield from self._additions(table, there[table.name])
            else:
                parts = [self._declaration(column) for column in table.columns]
                if self._database.keeps_keys:
                    parts.append(f"PRIMARY KEY ({', '.join(map(quote, table.primary_key))})")
                yield f"CREATE TABLE {self._database.name(table)} ({', '.join(parts)})"

    def _additions(self, table: Table, existing: Existing) -> Iterator[str]:
        relation, name = self.relation(table), self._database.name(table)
        if existing.is_view:
            raise StorageError(
                f"{relation} is a view of somebody else's, and is left alone. Name another schema "
                "for our tables (schema), or rename it."
            )
        types = self._database.types
        for column in missing_columns(table, existing.columns, relation=relation, types=types):
            yield f"ALTER TABLE {name} ADD COLUMN {self._declaration(column)}"
            if (table.name, column.name) in self._database.fills:
                yield self._database.fills[table.name, column.name].format(table=name)

    def _declaration(self, column: Column) -> str:
        return f"{quote(column.name)} {self._database.types[column.kind]}"

    def _columns(self, connection: Connection, table: Table) -> Mapping[str, str]:
        """The types of the columns that there are; empty where there is no table."""
        there = self._database.look(connection, [table.name]).get(table.name)
        return there.columns if there else {}

    def _select(
        self,
        table: Table,
        columns: Iterable[Column],
        there: Container[str],
        equal: Mapping[str, Any],
    ) -> str:
        """A SELECT of some columns, and of null where they are not there."""
        values = ", ".join(
            self._database.value(column) if column.name in there else "NULL" for column in columns
        )
        kinds = {column.name: column.kind for column in table.columns}
        matches = " AND ".join(
            f"{quote(name)} {self._match(f'{self._database.mark}{number}', kinds[name], value)}"
            for number, (name, value) in enumerate(equal.items(), 1)
        )
        return f"SELECT {values} FROM {self._database.name(table)} WHERE {matches or '1 = 1'}"  # noqa: S608  # names are ours

    def _match(self, parameter: str, kind: Kind, value: Any) -> str:
        if isinstance(value, str | int):
            return f"= {parameter}"
        return f"IN ({self._database.among(parameter, kind)})"

    def _as_columns(
        self, columns: Sequence[Column], found: Sequence[Sequence[Any]]
    ) -> dict[str, list[Any]]:
        """What was found, by column, as plain values."""
        values = list(zip(*found, strict=True)) or [()] * len(columns)
        return {
            column.name: self._database.as_read(column.kind, each)
            for column, each in zip(columns, values, strict=True)
        }

    def _parameters(self, values: Iterable[Any]) -> list[Any]:
        return [self._database.as_parameter(value) for value in values]


def quote(name: str) -> str:
    """A name as SQL takes it, whatever it is made of."""
    return '"' + name.replace('"', '""') + '"'


def replacement(table: Table) -> str:
    """What an INSERT does where a row of the same key is there: the rest of it becomes the new."""
    keys = ", ".join(map(quote, table.primary_key))
    others = [column.name for column in table.columns if column.name not in table.primary_key]
    changes = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in others)
    return f"ON CONFLICT ({keys}) DO UPDATE SET {changes}"
