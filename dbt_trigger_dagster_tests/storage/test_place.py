"""Where a database is, told without secrets."""

from pathlib import Path

import pytest

from dbt_trigger_dagster.storage.place import place_of


@pytest.mark.parametrize("database", ["tables.duckdb", "duckdb:///tables.duckdb"])
def test_a_file_is_told_by_its_absolute_path(monkeypatch, tmp_path: Path, database: str) -> None:
    """So that nobody has to know where Dagster was started."""
    monkeypatch.chdir(tmp_path)
    assert place_of(database) == str(tmp_path / "tables.duckdb")


@pytest.mark.parametrize(
    ("database", "place"),
    [
        ("postgresql://db.example.com:5432/dbt", "postgresql://db.example.com:5432/dbt"),
        ("postgresql://me@db/dbt?sslmode=require", "postgresql://db/dbt"),
        ("postgresql:///dbt", "postgresql:///dbt"),
        ("snowflake://me:S3cret@account/dbt/cloud", "snowflake://account/dbt/cloud"),
        ("bigquery://project/dataset", "bigquery://project/dataset"),
        ("databricks://token:S3cret@dbc.example?http_path=/sql/1", "databricks://dbc.example"),
        ("postgresql://[::1]:5432/dbt", "postgresql://[::1]:5432/dbt"),
    ],
)
def test_a_server_is_told_without_user_and_parameters(database: str, place: str) -> None:
    """Host, port and database are what one looks for."""
    assert place_of(database) == place


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://me:S3cret@db/dbt",
        "postgresql://me:S3cret/x@db/dbt",
        "postgresql//me:S3cret@db/dbt",
        "postgresql://me:a?S3cret@db/dbt",
        "postgresql://me:a@S3cret@db/dbt",
        "postgresql://me:S3cret#x@db/dbt",
        "postgresql://me:S3cret",
        "postgresql://db/dbt?password=S3cret",
        "postgresql://db/dbt?password=a@S3cret",
        "postgresql:me:S3cret@db",
        "password=S3cret host=db",
    ],
)
def test_a_password_is_never_told(database: str) -> None:
    """However it is written, also where it should have been quoted."""
    assert "S3cret" not in place_of(database)
