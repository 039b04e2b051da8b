"""Spark in place of Databricks: a stand-in for its driver that asks Spark what it is asked.

Everything is read by Spark's own parser and executed by Spark, but for what its tables cannot do
without Delta, whose jars are not on PyPI: a MERGE and a DELETE. What they say is put together from
the parts of the very statement, and the table is written anew.
"""

import atexit
import functools
import itertools
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from dbt_trigger_dagster_tests.databases import EmptySchema
from dbt_trigger_dagster_tests.emulators import missing

URL = "databricks://token:sesame@spark?http_path=none&catalog=spark_catalog"

_NUMBERS = itertools.count()
_MERGE = re.compile(
    r"(?P<explain>EXPLAIN )?MERGE INTO (?P<table>.+?) AS kept "
    r"USING \((?P<rows>.+)\) AS incoming ON (?P<match>.+?) "
    r"WHEN MATCHED THEN UPDATE SET (?P<changes>.+) "
    r"WHEN NOT MATCHED THEN INSERT \((?P<names>.+)\) VALUES \((?P<values>.+)\)",
    re.DOTALL,
)
_DELETE = re.compile(r"DELETE FROM (?P<table>\S+) WHERE (?P<condition>.+)", re.DOTALL)
_CHANGE = re.compile(r"(`\w+`) = (incoming\.`\w+`)")


class Error(Exception):
    """What Spark says, as the driver raises it."""


Error.__module__ = "databricks.sql.exc"


def missing_programs() -> str:
    """Why Spark cannot be used, as a reason to skip a test; empty where it can."""
    return missing("pyspark") or ("" if shutil.which("java") else "not found: java")


@functools.cache
def session() -> Any:
    """The one Spark of this process, in another time zone than ours; it ends with the process."""
    from pyspark.sql import SparkSession  # noqa: PLC0415  # of another venv

    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    settings = {
        "spark.sql.warehouse.dir": folder.name,
        "spark.ui.enabled": "false",
        "spark.log.level": "OFF",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "America/Los_Angeles",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        # What is compiled anew for each small statement takes longer than the statement.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def parse(statement: str) -> str:
    """What Spark's parser makes of a statement.

    Raises:
        pyspark.errors.ParseException: It is no SQL.
    """
    parser = session()._jsparkSession.sessionState().sqlParser()
    return str(parser.parsePlan(statement).toString())


def a_schema_of_spark() -> EmptySchema:
    """A place in it; its schema is there, so that other programs can come first."""
    place = EmptySchema("databricks", URL, f"schema{next(_NUMBERS)}", execute)
    execute(f"CREATE SCHEMA {place.schema}")
    return place


def execute(statement: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Execute a statement; what it finds."""
    if merge := _MERGE.fullmatch(statement):
        parse(statement)
        return _merge(merge, parameters)
    if delete := _DELETE.fullmatch(statement):
        parse(statement)
        kept = f"SELECT * FROM {delete['table']} WHERE NOT ({delete['condition']})"  # noqa: S608  # of the statement
        return _rewrite(delete["table"], _frame(kept, parameters))
    return [tuple(map(_in_utc, row)) for row in _frame(statement, parameters).collect()]


def _in_utc(value: Any) -> Any:
    """A time, which PySpark gives in this machine's zone without saying so."""
    return value.astimezone(timezone.utc) if isinstance(value, datetime) else value


def _merge(merge: re.Match[str], parameters: Mapping[str, Any] | None) -> list[Any]:
    table, match = merge["table"], merge["match"]
    _frame(merge["rows"], parameters).localCheckpoint().createOrReplaceTempView("incoming")
    columns = session().table(table).columns
    changes = dict(_CHANGE.findall(merge["changes"]))
    values = dict(zip(merge["names"].split(", "), merge["values"].split(", "), strict=True))
    updated = ", ".join(changes.get(f"`{name}`", f"kept.`{name}`") for name in columns)
    inserted = ", ".join(values.get(f"`{name}`", "NULL") for name in columns)
    rows = (
        f"SELECT kept.* FROM {table} AS kept LEFT ANTI JOIN incoming ON {match} "  # noqa: S608  # likewise
        f"UNION ALL SELECT {updated} FROM {table} AS kept JOIN incoming ON {match} "
        f"UNION ALL SELECT {inserted} FROM incoming LEFT ANTI JOIN {table} AS kept ON {match}"
    )
    if merge["explain"]:
        return execute(f"EXPLAIN {rows}")
    return _rewrite(table, _frame(rows))


def _rewrite(table: str, rows: Any) -> list[Any]:
    rows.localCheckpoint().coalesce(1).write.insertInto(table, overwrite=True)
    return []


def _frame(statement: str, parameters: Any = None) -> Any:
    return session().sql(statement, args=parameters or None)


def connect(**arguments: Any) -> "Connection":
    """A connection to the one Spark."""
    assert arguments["access_token"] == "sesame"
    return Connection()


class Connection:
    """What the driver's is."""

    def cursor(self) -> "Cursor":
        """A cursor."""
        return Cursor()

    def close(self) -> None:
        """Nothing is held."""


class Cursor:
    """What the driver's is."""

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Execute a statement."""
        from py4j.protocol import Py4JError  # noqa: PLC0415  # of another venv
        from pyspark.errors import PySparkException  # noqa: PLC0415  # likewise

        try:
            self._found = execute(statement, parameters)
        except (Py4JError, PySparkException) as error:
            raise Error(str(error)) from error

    def fetchall(self) -> list[Any]:
        """All rows."""
        return self._found
