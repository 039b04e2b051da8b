"""A PostgreSQL for all tests of the stores."""

from collections.abc import Iterator

import pytest

from dbt_trigger_dagster_tests.databases import a_postgres_cluster, missing_programs


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a PostgreSQL, one for each process of tests; they are skipped without one."""
    if reason := missing_programs():
        pytest.skip(reason)
    with a_postgres_cluster() as url:
        yield url
