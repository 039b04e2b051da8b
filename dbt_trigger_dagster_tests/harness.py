"""What tests, benchmarks and faults stand on: an account, and a place for all that is kept.

Reads tables, files and the API without any of the package's code.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import requests

from dbt_trigger_dagster import DbtCloudArtifactStore, DbtCloudResource, DbtCloudTableIOManager

REPORT = "report.html"
"""What is made beside the artifacts of each run."""

_PAGE = 100


class Account(Protocol):
    """A sandbox, wherever it is served."""

    @property
    def account_id(self) -> int:
        """The account's id."""

    @property
    def token(self) -> str:
        """What opens it."""

    @property
    def access_url(self) -> str:
        """Where it is served."""

    def environment(self) -> dict[str, str]:
        """The variables with which a client finds its first job."""


@dataclass(frozen=True)
class Place:
    """A folder with a database, artifacts and a Dagster home."""

    folder: Path

    @property
    def data(self) -> Path:
        """The folder of the database and the artifacts."""
        return self.folder / "data"

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.data / "cloud.duckdb"

    @property
    def artifacts(self) -> Path:
        """The artifacts' root."""
        return self.data / "artifacts"

    @property
    def home(self) -> Path:
        """The Dagster home of commands; made when missing."""
        folder = self.folder / "home"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        return folder

    def variables(self, account: Account) -> dict[str, str]:
        """The variables with which the code location finds an account and this place."""
        return {
            **account.environment(),
            "DBT_TRIGGER_DATABASE": str(self.database),
            "DBT_TRIGGER_ARTIFACTS": str(self.artifacts),
        }

    def resources_for(self, account: DbtCloudResource) -> dict[str, Any]:
        """The three resources that the assets need."""
        return {
            "dbt_cloud": account,
            "dbt_cloud_tables": DbtCloudTableIOManager(database=str(self.database)),
            "dbt_cloud_artifacts": DbtCloudArtifactStore(root=str(self.artifacts)),
        }

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows; none where there is no table."""
        if not self.database.exists():
            return []
        with self.opened() as connection:
            try:
                found = connection.execute(f'FROM "{table}" ORDER BY 1, 2, 3')
            except duckdb.CatalogException:
                return []
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def opened(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB file, to be read."""
        return duckdb.connect(self.database, read_only=True)

    def run_ids(self, table: str = "dbt_cloud_run") -> list[int]:
        """The dbt Cloud runs that a table holds."""
        return [row["id"] for row in self.rows(table)]

    def files(self) -> dict[str, bytes]:
        """All artifacts by their path below the root."""
        return {
            file.relative_to(self.artifacts).as_posix(): file.read_bytes()
            for file in self.artifacts.rglob("*")
            if file.is_file() and file.name != REPORT
        }

    def reports(self) -> list[Path]:
        """The reports beside the artifacts, oldest run first."""
        return sorted(self.artifacts.rglob(REPORT))

    def contents(self) -> dict[str, Any]:
        """All tables and all files, to be compared with what they are later."""
        names = ("dbt_cloud_trigger", "dbt_cloud_run", "dbt_cloud_artifact")
        return {"files": self.files(), **{name: self.rows(name) for name in names}}


def account_of(account: Account, **settings: Any) -> DbtCloudResource:
    """The resource of an account."""
    return DbtCloudResource(**settings_of(account), **settings)


def settings_of(account: Account) -> dict[str, Any]:
    """What a client and a resource need to know of an account."""
    return {
        "account_id": account.account_id,
        "token": account.token,
        "access_url": account.access_url,
    }


def ask(account: Account, path: str, method: str = "GET", **arguments: Any) -> Any:
    """What the API says at a path below the account's."""
    response = requests.request(
        method,
        f"{account.access_url}/api/v2/accounts/{account.account_id}/{path}",
        headers={"Authorization": f"Token {account.token}"},
        timeout=30,
        **arguments,
    )
    response.raise_for_status()
    return response.json()["data"]


def dbt_runs(account: Account) -> list[dict[str, Any]]:
    """All runs of the account, oldest first."""
    found: list[dict[str, Any]] = []
    while True:
        query = {"include_related": "trigger", "order_by": "id", "offset": str(len(found))}
        page = ask(account, "runs/", params=query)
        found += page
        if len(page) < _PAGE:
            return found


def stored_bytes(folder: Path) -> int:
    """The bytes of all values in the SQLite databases of a Dagster instance."""
    return sum(map(_bytes_in, folder.rglob("*.db")))


def _bytes_in(file: Path) -> int:
    with closing(sqlite3.connect(file)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return sum(
            len(str(value).encode())
            for (table,) in tables
            for row in database.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # SQLite says its name
            for value in row
            if value is not None
        )


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
