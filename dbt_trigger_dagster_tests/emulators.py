"""Emulators of warehouses, where `make test-warehouses` has installed them."""

import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from dbt_trigger_dagster_tests.databases import EmptySchema
from dbt_trigger_dagster_tests.processes import a_process

_NUMBERS = itertools.count()


def missing(emulator: str) -> str:
    """Why an emulator cannot be used, as a reason to skip a test; empty where it can."""
    if importlib.util.find_spec(emulator):
        return ""
    return f"{emulator} is not installed: make test-warehouses does it in a venv of its own"


@contextmanager
def a_fakesnow() -> Iterator[str]:
    """An emulator of Snowflake; the URL of a database in it."""
    server = [sys.executable, "-W", "ignore", "-m", "dbt_trigger_dagster_tests.fakesnow_server"]
    with a_process(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        where = f"host=127.0.0.1&port={port}&protocol=http&network_timeout=1"
        yield f"snowflake://fake:snow@fakesnow/db/public?{where}"


def a_schema_of_snowflake(url: str) -> EmptySchema:
    """A place in it; its schema is there, so that other programs can come first."""
    import snowflake.connector  # noqa: PLC0415  # of another venv

    port = int(url.partition("port=")[2].partition("&")[0])

    def execute(statement: str) -> list[tuple[Any, ...]]:
        with closing(
            snowflake.connector.connect(
                user="fake",
                password="snow",
                account="fakesnow",
                database="db",
                host="127.0.0.1",
                port=port,
                protocol="http",
            )
        ) as connection:
            return connection.cursor().execute(statement).fetchall()

    place = EmptySchema("snowflake", url, f"SCHEMA{next(_NUMBERS)}", execute)
    place.execute(f'CREATE SCHEMA "{place.schema}"')
    return place
