"""The file of a DuckDB store: one process at a time, and what its errors mean."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dbt_trigger_dagster.storage.database_file import (
    NAME_ANOTHER,
    check_room,
    keep_private,
    make_folder,
)
from dbt_trigger_dagster.storage.errors import StorageError

if TYPE_CHECKING:
    import duckdb

_RETRY_PAUSE = 0.1
_FORMAT: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "v1.2.0",  # so that older DuckDB tools open the file
    "autoinstall_known_extensions": False,  # another kind of database is told, not downloaded for
}


@dataclass(frozen=True)
class DuckDBFile:
    """A DuckDB file that other processes use too.

    Args:
        path: The file; it and its folder are made when missing, for the owner and its group alone.
        wait_limit: Seconds to wait for others.
    """

    path: Path
    wait_limit: float

    def check_room(self) -> None:
        """Make sure that the disk has room for what a run leaves.

        Raises:
            StorageError: It has not.
        """
        check_room(self.path)

    @contextmanager
    def connect(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection that nobody else in our processes has at the same time."""
        import duckdb  # noqa: PLC0415  # loading definitions does not need it

        deadline = time.monotonic() + self.wait_limit
        try:
            make_folder(self.path)
            with (
                FileLock(f"{self.path}.lock", timeout=self.wait_limit),
                self._open(deadline) as connection,
            ):
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
        except Timeout as error:
            raise StorageError(
                f"Another run has been writing to {self.path} for {self.wait_limit:.0f} s: see "
                "which one hangs, and run this again."
            ) from error
        except (OSError, duckdb.Error) as error:
            raise StorageError(self._explain(error)) from error

    def _open(self, deadline: float) -> "duckdb.DuckDBPyConnection":
        """Open the file, waiting while another program has it open."""
        import duckdb  # noqa: PLC0415  # as in connect

        if not self.path.exists():
            self._make()
        while True:
            try:
                return duckdb.connect(self.path, config=_FORMAT)
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                if not _is_held(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_PAUSE)

    def _make(self) -> None:
        """Make the file, all of it or nothing: DuckDB opens no half of one, ever after."""
        import duckdb  # noqa: PLC0415  # as in connect

        file = Path(os.path.realpath(self.path))  # a link stays one
        new = file.with_name(f"{file.name}.new")
        new.unlink(missing_ok=True)
        duckdb.connect(new, config=_FORMAT).close()
        keep_private(new)
        for place in (self.path, file):  # what a file of that name has left is none of this one's
            place.with_name(f"{place.name}.wal").unlink(missing_ok=True)
        new.rename(file)

    def _explain(self, error: Exception) -> str:
        if _is_held(error):
            return (
                f"Another program has had {self.path} open for {self.wait_limit:.0f} s: close "
                "it there, or open it read-only only while no run is writing."
            )
        if "not a valid DuckDB database" in str(error):
            return (
                f"{self.path} is not a DuckDB database: name another file (database, or "
                "DBT_TRIGGER_DATABASE)."
            )
        if self.path.is_dir():
            return (
                f"{self.path} is a folder: name a file for the database (database, or "
                "DBT_TRIGGER_DATABASE)."
            )
        if isinstance(error, OSError):
            reason = error.strerror
            return f"The database {self.path} cannot be written: {reason}. {NAME_ANOTHER}"
        first_line = str(error).partition("\n")[0]
        return f"The database {self.path} cannot be used: {first_line}"


def _is_held(error: Exception) -> bool:
    return "Could not set lock" in str(error) or "different configuration" in str(error)
