"""Looking for the token: in files, in databases, in whatever form somebody wrote it."""

import base64
import html
import json
import shlex
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb

TOKEN = "dbtc_Qq7'\"`$(id)${IFS};|&<>*?#%41/\\+=,:@[]{}~^!"
"""What a shell, a URL, JSON, HTML or a regular expression would each write in its own way."""

FORMS = sorted(
    form.encode()
    for form in {
        TOKEN,
        repr(TOKEN)[1:-1],
        json.dumps(TOKEN)[1:-1],
        json.dumps(json.dumps(TOKEN)[1:-1])[1:-1],
        quote(TOKEN),
        quote(TOKEN, safe=""),
        shlex.quote(TOKEN),
        html.escape(TOKEN),
        base64.b64encode(TOKEN.encode()).decode().rstrip("="),
        TOKEN.swapcase()[:14],
        TOKEN[:14],  # whatever has been done to the rest
    }
)


def holds_the_token(content: bytes) -> bool:
    """Whether a content has the token in some form; without regard to how wide its characters."""
    narrow = content.replace(b"\0", b"")
    return any(form in content or form in narrow for form in FORMS)


def values_in(file: Path) -> Iterator[bytes]:
    """A file's bytes, and what a database keeps in it compressed."""
    yield file.read_bytes()
    if file.suffix == ".db":
        with sqlite3.connect(file) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  # its own name
                    yield from map(_as_bytes, row)
        connection.close()
    if file.suffix == ".duckdb":
        with duckdb.connect(file, read_only=True) as database:
            for (table,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                yield repr(database.execute(f'FROM "{table}"').fetchall()).encode()


def _as_bytes(value: object) -> bytes:
    content = value if isinstance(value, bytes) else str(value).encode()
    try:
        return zlib.decompress(content)  # Dagster's snapshots
    except zlib.error:
        return content


def places_with_the_token(folder: Path) -> list[str]:
    """The files below a folder that hold it."""
    return [
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and any(map(holds_the_token, values_in(file)))
    ]
