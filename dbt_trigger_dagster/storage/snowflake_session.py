"""A connection to Snowflake: what it is made with, and when its transactions begin."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.database import Found
from dbt_trigger_dagster.storage.database_url import given

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor
    from sqlalchemy.engine import URL

EXAMPLE = "snowflake://user@account/database/schema?warehouse=name"
"""What a URL looks like."""

_MARK = re.compile(r":(\d+)\b")


_ABANDONED = 330
"""Seconds after which a transaction of a writer that is gone holds nobody up: Snowflake ends it
five minutes after its last statement, where somebody waits for it."""


def arguments(
    url: "URL", user: str, password: str, others: Mapping[str, Any], wait_limit: float
) -> dict[str, Any]:
    """What the driver is told.

    Args:
        url: What the URL says, which counts before user and password.
        user: Whom to connect as.
        password: The password.
        others: The driver's own arguments, which count before all.
        wait_limit: Seconds to wait for a server that does not answer.
    """
    database, _, schema = (url.database or "").partition("/")
    session = {"LOCK_TIMEOUT": _ABANDONED, "TIMESTAMP_INPUT_FORMAT": "AUTO"}
    return {
        "login_timeout": max(10, int(wait_limit)),
        "network_timeout": max(60, int(wait_limit)),  # what takes longer is asked for again
        **given(user=user, password=password),
        **given(user=url.username, password=url.password, account=url.host),
        **given(database=database, schema=schema),
        **url.query,
        **others,
        "paramstyle": "qmark",
        "autocommit": True,
        "session_parameters": session | others.get("session_parameters", {}),
    }


class Session:
    """A connection whose transactions begin with their first write.

    A definition would end one that is begun, and what only reads needs none.
    """

    def __init__(self, connection: "SnowflakeConnection") -> None:
        self._connection = connection
        self._has_begun = False

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> "SnowflakeCursor | Found":
        """Execute a statement; what begins or ends a transaction, where there is one."""
        if statement == "BEGIN":
            return Found()
        if statement in {"COMMIT", "ROLLBACK"}:
            if not self._has_begun:
                return Found()
            self._has_begun = False
        values = [parameters[int(number) - 1] for number in _MARK.findall(statement)]
        cursor = self._connection.cursor()
        cursor.execute(_MARK.sub("?", statement), values or None)
        return cursor

    def write(self, statement: str, parameter: str) -> None:
        """Execute a statement in a transaction."""
        if not self._has_begun:
            self._connection.cursor().execute("BEGIN")
            self._has_begun = True
        self._connection.cursor().execute(statement, [parameter])

    def describe(self, statement: str, parameter: str) -> None:
        """Have a statement compiled."""
        self._connection.cursor().describe(statement, [parameter])

    def rows(self, command: str) -> list[dict[str, Any]]:
        """What a command shows, by the names of its columns: a release may add some."""
        cursor = self._connection.cursor()
        cursor.execute(command)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
