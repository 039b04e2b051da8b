"""psycopg, which is an extra: what its errors mean, and how it reads a URL."""

import re
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.errors import StorageError

if TYPE_CHECKING:
    import psycopg

_DRIVER = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
# Of the classes 08 (connection), 40 (rollback), and 57P (shutdown, start); too many connections.
_MOMENTARY = re.compile(r"08|40|57P0[123]|53300")


def driver() -> Any:
    """The module psycopg.

    Raises:
        StorageError: It is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415  # an extra, and only of this store
    except ImportError as error:
        raise StorageError(
            "PostgreSQL needs psycopg: pip install 'dbt_trigger_dagster[postgresql]'."
        ) from error
    return psycopg


def parsed(url: str) -> dict[str, Any]:
    """What a URL says, as libpq's parameters.

    Raises:
        StorageError: It cannot be read. An error of libpq's has the URL in it, password and all,
            and is not told.
    """
    psycopg = driver()
    try:
        found: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(
            _DRIVER.sub("postgresql://", url, count=1)
        )
    except psycopg.Error:
        found = {"port": "none"}
    # libpq ends a password at the first "@" and a host at the first slash: of one that has them in
    # it, the rest would be told as the host's or the database's name.
    behind_host = url.partition("?")[0].partition("://")[2].partition("/")[2]
    hosts = found.get("host", "").split(",")  # that of a socket without a file begins with "@"
    is_cut = "@" in behind_host or any("@" in host[1:] for host in hosts)
    # Of several hosts, some may leave their port out.
    if is_cut or not found.get("port", "0").replace(",", "0").isdigit():
        raise StorageError(
            "The URL of the PostgreSQL database cannot be read: give "
            "postgresql://user@host:5432/database. In a password, write @ : / ? # % as %40 %3A "
            "%2F %3F %23 %25."
        )
    return found


def is_momentary(error: "psycopg.Error") -> bool:
    """Whether the same may go well in a moment."""
    import psycopg  # noqa: PLC0415  # there is an error of its own

    if error.sqlstate is None:  # the server said nothing, or has gone
        return isinstance(error, psycopg.OperationalError)
    return bool(_MOMENTARY.match(error.sqlstate))
