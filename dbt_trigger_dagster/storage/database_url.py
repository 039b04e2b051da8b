"""The URL of a warehouse, and what it leaves out."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def parsed(url: str, example: str) -> "URL":
    """What a URL says.

    Args:
        url: The URL; it may have a password in it, and is not told.
        example: What one looks like.

    Raises:
        StorageError: It cannot be read.
    """
    from sqlalchemy.engine import make_url  # noqa: PLC0415  # a quarter of a second
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415  # likewise

    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        pass  # both have parts of the URL in them
    else:
        # With "@" in it, the end of a password is taken for a part of these.
        if "@" not in f"{found.host}{found.database}":
            return found
    raise StorageError(
        f"The URL of the database cannot be read: give {example}. In a password, write "
        "@ : / ? # % as %40 %3A %2F %3F %23 %25."
    )


def given(**settings: Any) -> Mapping[str, Any]:
    """The settings that have a value."""
    return {name: value for name, value in settings.items() if value not in {None, ""}}


def driver(module: str, *, of: str, package: str, extra: str) -> Any:
    """A vendor's driver, which is imported when it is needed.

    Args:
        module: What is imported.
        of: The database, as people call it.
        package: The driver's package.
        extra: Our extra that brings it.

    Raises:
        StorageError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise StorageError(
            f"{of} needs {package}: pip install 'dbt_trigger_dagster[{extra}]'."
        ) from error
