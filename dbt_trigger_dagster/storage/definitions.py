"""The tables and views as they are declared, made of what is there."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence

from dbt_trigger_dagster.storage.columns import Column, Table
from dbt_trigger_dagster.storage.database import Connection, Database
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.existing import Existing, missing_columns
from dbt_trigger_dagster.storage.view import View

_FOREIGN = (
    "{relation} was made by somebody else, and is left alone. Name another schema for our "
    "tables (schema), or rename it."
)
_OURS = "dbt_trigger_dagster"
_logger = logging.getLogger(__name__)


def prepare(database: Database, connection: Connection, tables: Sequence[Table]) -> None:
    """Make tables, or add the columns that a newer version declares."""
    if any(_definitions(database, connection, tables)):
        database.make_schema(connection)
        for statement in list(_definitions(database, connection, tables)):  # somebody was faster?
            connection.execute(statement)


def _definitions(
    database: Database, connection: Connection, tables: Sequence[Table]
) -> Iterator[str]:
    """The statements that make of the tables that are there those that are declared."""
    every = {table.name: table for table in tables}
    there = database.look(connection, list(every))
    for table in every.values():
        if table.name in there:
            yield from _additions(database, table, there[table.name])
        else:
            parts = [_declaration(database, column) for column in table.columns]
            if database.keeps_keys:
                parts.append(f"PRIMARY KEY ({', '.join(map(database.quote, table.primary_key))})")
            yield (
                f"CREATE TABLE IF NOT EXISTS {database.name(table)} ({', '.join(parts)})"
                f"{database.table_options}"
            )


def _additions(database: Database, table: Table, existing: Existing) -> Iterator[str]:
    relation, name = database.relation(table), database.name(table)
    if existing.is_view:
        raise StorageError(_FOREIGN.format(relation=relation))
    if refusing := sorted(existing.required - set(table.dtypes)):
        raise StorageError(
            f"{relation} refuses our rows: its column {', '.join(refusing)} has a NOT NULL "
            "constraint and no default. Name another schema for our tables (schema), or drop that."
        )
    lacking = missing_columns(table, existing.columns, relation=relation, types=database.types)
    additions = [f"{database.addition} {_declaration(database, column)}" for column in lacking]
    if database.adds_together and additions:
        additions = [", ".join(additions)]
    for addition in additions:
        yield f"ALTER TABLE {name} {addition}"
    for column in lacking:
        if (table.name, column.name) in database.fills:
            yield database.fills[table.name, column.name].format(table=name)


def show(
    database: Database, connection: Connection, tables: Sequence[Table], views: Sequence[View]
) -> None:
    """Make the views that are not there as they are declared, those of each schema together."""
    names = {table.name: database.name(table) for table in tables}
    for package in dict.fromkeys(view.package for view in views):
        place = database.beside(package) if package else database
        own = [view for view in views if view.package == package]
        names |= {view.name: place.name(view) for view in own}
        _show(place, connection, names, own)


def _show(
    database: Database, connection: Connection, names: Mapping[str, str], views: Sequence[View]
) -> None:
    wanted = {view.name: _mark(view) for view in views}
    if database.view_marks(connection, list(wanted)) == wanted:
        return
    database.make_schema(connection)
    there = database.view_marks(connection, list(wanted))
    if there == wanted:  # somebody was faster
        return
    for view in views:
        if _OURS not in there.get(view.name, _OURS):
            raise StorageError(_FOREIGN.format(relation=database.relation(view)))
    # The last ones first, and all of them: one may be made of another.
    drops = [f"DROP VIEW IF EXISTS {names[view.name]}" for view in reversed(views)]
    makes = [
        statement
        for view in views
        for statement in database.view(view, view.select.format_map(names), wanted[view.name])
    ]
    if refusal := database.remake_views(connection, drops, makes):
        # They are but a way to look at the tables: what is to be written can be.
        _logger.warning("The views stay as they are. %s", refusal)


def _declaration(database: Database, column: Column) -> str:
    return f"{database.quote(column.name)} {database.types[column.kind]}"


def _mark(view: View) -> str:
    """What a view is kept with, so that it is known as ours, and as this very one."""
    digest = hashlib.sha256(view.select.encode()).hexdigest()[:12]
    return f"{view.description} ({_OURS} {digest})"
