"""Databases for all tests of the stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbt_trigger_dagster_tests import emulators
from dbt_trigger_dagster_tests.databases import (
    EmptySchema,
    a_file,
    a_postgres_cluster,
    a_schema,
    missing_programs,
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a PostgreSQL, one for each process of tests; they are skipped without one."""
    if reason := missing_programs():
        pytest.skip(reason)
    with a_postgres_cluster() as url:
        yield url


_NO_FAKESNOW = emulators.missing("fakesnow")
_SNOWFLAKE = pytest.param(
    "snowflake", marks=pytest.mark.skipif(bool(_NO_FAKESNOW), reason=_NO_FAKESNOW)
)


_NO_SPARK = emulators.missing("pyspark") or emulators.missing_java()
_DATABRICKS = pytest.param(
    "databricks", marks=pytest.mark.skipif(bool(_NO_SPARK), reason=_NO_SPARK)
)


@pytest.fixture(scope="session")
def spark() -> Iterator[str]:
    """The URL of a Spark that stands in for Databricks, likewise."""
    if _NO_SPARK:
        pytest.skip(_NO_SPARK)
    with emulators.a_spark() as url:
        yield url


@pytest.fixture(scope="session")
def fakesnow() -> Iterator[str]:
    """The URL of an emulator of Snowflake, likewise."""
    if _NO_FAKESNOW:
        pytest.skip(_NO_FAKESNOW)
    with emulators.a_fakesnow() as url:
        yield url


_NO_BQEMULATOR = emulators.missing("bqemulator")
_BIGQUERY = pytest.param(
    "bigquery", marks=pytest.mark.skipif(bool(_NO_BQEMULATOR), reason=_NO_BQEMULATOR)
)


@pytest.fixture(scope="session")
def bqemulator() -> Iterator[str]:
    """The URL of an emulator of BigQuery, likewise."""
    if _NO_BQEMULATOR:
        pytest.skip(_NO_BQEMULATOR)
    with emulators.a_bqemulator() as url:
        yield url


@pytest.fixture(params=["duckdb", "sqlite", "postgresql", _SNOWFLAKE, _BIGQUERY, _DATABRICKS])
def place(request, tmp_path: Path) -> EmptySchema:
    """A schema of a database of each kind, empty."""
    if request.param == "postgresql":
        return a_schema(request.getfixturevalue("cluster"))
    if request.param == "snowflake":
        return emulators.a_schema_of_snowflake(request.getfixturevalue("fakesnow"))
    if request.param == "bigquery":
        return emulators.a_dataset(request.getfixturevalue("bqemulator"))
    if request.param == "databricks":
        return emulators.a_schema_of_databricks(request.getfixturevalue("spark"))
    return a_file(request.param, tmp_path)
