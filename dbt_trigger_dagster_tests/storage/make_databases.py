"""Makes a database as this version leaves it, to be kept for `test_upgrades`.

An older DuckDB writes it where it comes first on the path:

    python -m pip install --target build/duckdb duckdb==1.2.2
    PYTHONPATH=build/duckdb python -m dbt_trigger_dagster_tests.storage.make_databases \
        dbt_trigger_dagster_tests/storage/databases/all_tables_duckdb_1.2.duckdb.gz

(The databases of version 0.1.0 were made by that version's own assets, before there were nodes.)
"""

import gzip
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import duckdb

from dbt_trigger_dagster.storage.columns import Table
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import TABLES
from dbt_trigger_dagster.storage.views import VIEWS

_VALUES: dict[Kind, list[Any]] = {
    Kind.INTEGER: [101, -(2**62)],
    Kind.BOOLEAN: [True, False],
    Kind.TEXT: ["über 🦆\n\x00", ""],
    Kind.JSON: [{"ids": [2**62, 0.1, None]}, []],
    Kind.TIMESTAMP: [
        datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc),
        datetime(1969, 12, 31, tzinfo=timezone.utc),
    ],
    Kind.SECONDS: ["26:03:04", "00:00:00"],
    Kind.NUMBER: [0.1, -1e300],
}


def rows(table: Table) -> list[dict[str, Any]]:
    """Rows with values of all kinds, and one with nothing but its key."""
    full = [{c.name: _VALUES[c.kind][number] for c in table.columns} for number in (0, 1)]
    key = {name: full[0][name] for name in table.primary_key}
    return [*full, {**key, table.primary_key[0]: 7}]


def main(file: Path) -> None:
    """Write the database, compressed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cloud.duckdb"
        store = open_store(str(path))
        store.check(TABLES.values(), VIEWS)
        store.upsert(*(table.rows(rows(table)) for table in TABLES.values()))
        file.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    sys.stdout.write(f"DuckDB {duckdb.__version__} wrote {file}.\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
