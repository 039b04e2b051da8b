"""Print what the default code location has kept: the tables' rows and the artifacts' files.

Reads ``DBT_TRIGGER_DATABASE`` and ``DBT_TRIGGER_ARTIFACTS`` as the code location does.
"""

import os
import shutil
from pathlib import Path

import duckdb

WHEN = "strftime({0}, '%Y-%m-%d %H:%M:%S') AS {0}".format
SHOWN = {
    "dbt_cloud_trigger": f"id, status_humanized AS status, cause, {WHEN('created_at')}",
    "dbt_cloud_run": f"id, status_humanized AS status, {WHEN('finished_at')}, duration",
    "dbt_cloud_artifact": "run_id, step, path, size_bytes, left(sha256, 12) AS sha256",
}
NEWEST = "ORDER BY loaded_at DESC"
ORDER = {"dbt_cloud_artifact": f"{NEWEST}, contains(path, '/'), path"}
MOST_ROWS = 8


def show_tables(database: Path) -> None:
    """Print the newest rows of each table."""
    with duckdb.connect(database, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, columns in SHOWN.items():
            rows = connection.sql(
                f"SELECT {columns} FROM {table} {ORDER.get(table, NEWEST)} LIMIT {MOST_ROWS}"
            )
            [(count,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            print(f"\n{table}: the newest of {count} rows")
            rows.show(max_width=shutil.get_terminal_size().columns)


def show_files(root: Path) -> None:
    """Print the newest run's files; those deeper down as a count for each folder."""
    runs = sorted(root.glob("*/*/*"))
    if not runs:
        print(f"\nNo artifacts in {root}.")
        return
    print(f"\n{runs[-1]}/")
    for path in sorted(runs[-1].iterdir()):
        files = [file for file in path.rglob("*") if file.is_file()] or [path]
        size = sum(file.stat().st_size for file in files)
        many = f"/ ({len(files)} files)" if path.is_dir() else ""
        print(f"{size:>12,}  {path.name}{many}")


if __name__ == "__main__":
    show_tables(Path(os.environ.get("DBT_TRIGGER_DATABASE", "data/dbt_cloud.duckdb")))
    show_files(Path(os.environ.get("DBT_TRIGGER_ARTIFACTS", "data/artifacts")))
