"""Emulators of warehouses, where `make test-warehouses` has installed them."""

import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from dbt_trigger_dagster_tests.databases import EmptySchema
from dbt_trigger_dagster_tests.processes import a_process

_NUMBERS = itertools.count()
_IN_BIGQUERY = {
    r"VARCHAR\(9\)": "STRING",
    r",\s*PRIMARY KEY \([^)]*\)": "",
    r"(ALTER TABLE \S+) ADD COLUMN (\w+) (\w+) DEFAULT (.*)": r"\1 ADD COLUMN \2 \3; "
    r"\1 ALTER COLUMN \2 SET DEFAULT \4",
}
"""What statements of the tests are in BigQuery's words."""


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


def missing_java() -> str:
    """Why Spark cannot run, as a reason to skip a test; empty where it can."""
    return "" if shutil.which("java") else "not found: java (Debian's default-jre-headless)"


@contextmanager
def a_spark() -> Iterator[str]:
    """A Spark that stands in for Databricks; the URL of a catalog in it."""
    server = [sys.executable, "-W", "ignore", "-m", "dbt_trigger_dagster_tests.spark_server"]
    with a_process(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        where = f"_connection_uri=http://127.0.0.1:{port}/sql&http_path=sql&catalog=spark_catalog"
        yield f"databricks://token:sesame@127.0.0.1?{where}"


def a_schema_of_databricks(url: str) -> EmptySchema:
    """A place in it; its schema is there, so that other programs can come first."""
    from databricks import sql  # noqa: PLC0415  # of another venv

    settings = dict(re.findall(r"[?&](\w+)=([^&]*)", url))

    def execute(statement: str) -> list[tuple[Any, ...]]:
        with (
            closing(
                sql.connect("127.0.0.1", access_token="sesame", enable_telemetry=False, **settings)
            ) as connection,
            closing(connection.cursor()) as cursor,
        ):
            return [tuple(row) for row in cursor.execute(statement).fetchall()]

    place = EmptySchema("databricks", url, f"schema{next(_NUMBERS)}", execute)
    execute(f"CREATE SCHEMA {place.schema}")
    return place


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


@contextmanager
def a_bqemulator() -> Iterator[str]:
    """An emulator of BigQuery; the URL of a project in it, and of somebody who may use it."""
    server = [sys.executable, "-W", "ignore", "-m", "dbt_trigger_dagster_tests.bqemulator_server"]
    with (
        tempfile.TemporaryDirectory() as folder,
        a_process(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
    ):
        assert process.stdout is not None
        port = next(int(line) for line in process.stdout if line.strip().isdigit())  # after a log
        endpoint = f"http://127.0.0.1:{port}"
        path = Path(folder) / "account.json"
        path.write_text(json.dumps(_service_account(f"{endpoint}/token")))
        yield f"bigquery://emulated?api_endpoint={endpoint}&credentials_path={path}"


def _service_account(token_uri: str) -> dict[str, str]:
    """What Google gives people to log in with, but for a server that knows nobody."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # of another venv
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  # likewise

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "client_email": "tests@emulated.iam.gserviceaccount.com",
        "token_uri": token_uri,
        "private_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    }


def a_dataset(url: str) -> EmptySchema:
    """A place in it; its dataset is there, so that other programs can come first."""
    from dbt_trigger_dagster.storage.bigquery_client import client_of  # noqa: PLC0415  # likewise

    settings = dict(re.findall(r"[?&](\w+)=([^&]*)", url))

    def execute(statement: str) -> list[tuple[Any, ...]]:
        with closing(client_of({"project": "emulated", **settings})) as client:
            for other, ours in _IN_BIGQUERY.items():
                statement = re.sub(other, ours, statement)
            return [row.values() for row in client.query_and_wait(statement)]

    place = EmptySchema("bigquery", url, f"dataset_{next(_NUMBERS)}", execute)
    with closing(client_of({"project": "emulated", **settings})) as client:
        client.create_dataset(place.schema)
    return place
