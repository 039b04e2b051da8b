"""Where a database is, as it may be told: its setting may have a password in it."""

import re

from dbt_trigger_dagster.storage.store import file_of

# What stands before the last @ is left out, and so is all of a URL that is written in another way.
_SERVER = re.compile(
    r"(?P<kind>[A-Za-z][\w+.-]*)://(?:[^@?]*@)?"
    r"(?P<place>(?:[\w.-]+|\[[\da-fA-F:.]+\])?(?::\d+)?(?:/[\w./$-]*)?)(?:\?[^@]*)?"
)


def place_of(database: str) -> str:
    """The file that a database setting names, or the server and its database without secrets."""
    file = file_of(database)
    if file is not None:
        return str(file)
    server = _SERVER.fullmatch(database)
    return "a URL" if server is None else f"{server['kind']}://{server['place']}"
