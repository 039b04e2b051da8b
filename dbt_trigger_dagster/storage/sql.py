"""The tables in a database that speaks SQL: what is the same in all of them.

What each kind of database says in its own words, `Database` asks of it. A write is one
transaction, but for Databricks (see `storage.store.Store`), and may be repeated: the same rows
under the same keys are the same table. So a write whose connection is lost, before its commit or
after, is sent again.
"""

import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.columns import Column, Rows, Table
from dbt_trigger_dagster.storage.database import WAIT_LIMIT, Connection, Database, beyond, text
from dbt_trigger_dagster.storage.definitions import prepare, show
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import probe_of
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.view import View

_PAUSE = 0.5

_Result = TypeVar("_Result")


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

    def check(self, tables: Iterable[Table], views: Iterable[View] = ()) -> None:
        """Make the tables, or give them what they lack, and try a write that is taken back.

        Args:
            tables: The tables.
            views: Views of them, each after those that it names; made, or made anew where a
                release has changed them.

        Raises:
            StorageError: Rows cannot be written; the message says why.
        """
        prepared, shown = list(tables), list(views)

        def define(connection: Connection) -> None:
            self._database.check_place()
            prepare(self._database, connection, prepared)
            show(self._database, connection, prepared, shown)

        def rehearse(connection: Connection) -> None:
            for table in prepared:
                self._database.rehearse(connection, probe_of(table))

        self._run(define, rehearsal=rehearse, writes=True, is_patient=False)

    def upsert(self, *rows: Rows | Batches) -> None:
        """Write rows of one or several tables, all or none, in place of those of the same keys.

        Tables are made when missing, and given the columns that they lack. Of several rows with
        one key in one of `rows`, the last counts; no two of `rows` may have one key in one table,
        which not every database notices. Some rows are written at a time, all in one transaction;
        in Databricks each table for itself, a run's own row last.

        Raises:
            StorageError: They cannot be written; but in Databricks, nothing has changed.
        """
        # In one order, as the rows of each: writers never wait for each other in a circle.
        ordered = sorted(rows, key=lambda each: each.table.name)

        def write(connection: Connection) -> None:
            prepare(self._database, connection, [each.table for each in ordered])
            for batch in chain.from_iterable(each.batches() for each in ordered):
                self._database.write(connection, batch)

        self._run(write, writes=True)

    def read(self, table: Table, **equal: str | int | Sequence[int]) -> Rows:
        """Rows whose columns equal the given values, several numbers being any of them.

        With none given, the whole table.

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

    def pages(
        self, table: Table, names: Collection[str], size: int
    ) -> Iterator[dict[str, list[Any]]]:
        """As `storage.store.Store` says.

        Raises:
            StorageError: They cannot be read.
        """
        wanted = [column for column in table.columns if column.name in names]
        after: Sequence[Any] = ()
        while found := self._run(partial(self._page, table, wanted, after, size)):
            page = self._as_columns(wanted, found)
            yield page
            last = {name: [values[-1]] for name, values in page.items()}
            (after,) = table.keys(last)

    def _page(
        self,
        table: Table,
        columns: Sequence[Column],
        after: Sequence[Any],
        size: int,
        connection: Connection,
    ) -> list[Any]:
        """The first rows whose keys come after one."""
        there = self._columns(connection, table)
        if not there:
            return []
        if lacking := [name for name in table.primary_key if name not in there]:
            raise StorageError(
                f"{self.relation(table)} was made by an older version and has no "
                f"{', '.join(lacking)}: run dbt-trigger-dagster check with this database first."
            )
        quote = self._database.quote
        # A key that was written by an older version may be null, which nothing comes after.
        order = [
            f"coalesce({quote(name)}, {text(value) if isinstance(value, str) else value})"
            for name, value in table.keys_left_out.items()
        ]
        if self._database.keeps_keys:
            order = list(map(quote, table.primary_key))
        marks = [f"{self._database.mark}{n}" for n in range(1, len(after) + 1)]
        rest = f" AND {beyond(order, marks, is_indexed=self._database.keeps_keys)}" if after else ""
        return connection.execute(
            f"{self._select(table, columns, there, {})}{rest} "
            f"ORDER BY {', '.join(order)} LIMIT {size:d}",
            self._parameters(after),
        ).fetchall()

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
                f"ORDER BY {self._database.quote(by)} DESC NULLS LAST LIMIT {limit:d}",
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
        account, lowest, earliest, latest = (f"{self._database.mark}{n}" for n in range(1, 5))

        def select(connection: Connection) -> list[Any]:
            if not self._columns(connection, trigger):
                return []
            landed = (
                f"SELECT id FROM {self._database.name(run)} "  # noqa: S608  # names are ours
                f"WHERE account_id = {account} AND id > {lowest} AND status NOT IN (1, 2, 3)"
            )
            missing = f"AND id NOT IN ({landed})" if self._columns(connection, run) else ""
            return connection.execute(
                f"SELECT id FROM {self._database.name(trigger)} "  # noqa: S608  # names are ours
                f"WHERE account_id = {account} AND id > {lowest} AND loaded_at "
                f"BETWEEN {earliest} AND {latest} {missing} ORDER BY id LIMIT {limit:d}",
                self._parameters([account_id, after, since, until]),
            ).fetchall()

        return [run_id for (run_id,) in self._run(select)]

    def _run(
        self,
        work: Callable[[Any], _Result],
        *,
        rehearsal: Callable[[Any], None] | None = None,
        writes: bool = False,
        is_patient: bool = True,
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
        quote, mark = self._database.quote, self._database.mark
        matches = " AND ".join(
            f"{quote(name)} {self._match(f'{mark}{number}', kinds[name], value)}"
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
