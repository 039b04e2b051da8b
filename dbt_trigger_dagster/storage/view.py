"""A view, as it is declared."""

from dataclasses import dataclass

from dbt_trigger_dagster.storage.columns import Column


@dataclass(frozen=True)
class View:
    """A question that is asked of the tables again and again.

    Attributes:
        name: Its name in the database.
        description: What a row is; the database keeps it as a comment, where it keeps any.
        select: The SELECT, in SQL that every store understands. Tables and other views stand in
            braces: ``SELECT id FROM {dbt_cloud_run}``.
        columns: What it gives, in order, for the documents.
        package: The package whose table it is like; it stands in a schema of its own then, which is
            called after the tables' schema and the package.
    """

    name: str
    description: str
    select: str
    columns: tuple[Column, ...] = ()
    package: str = ""
