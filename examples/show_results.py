"""Say what the newest dbt run did, what the code location has kept of it, and how to ask more.

Reads ``DBT_TRIGGER_DATABASE`` and ``DBT_TRIGGER_ARTIFACTS`` as the code location does.
"""

import os
import shlex
import sys
from pathlib import Path

import duckdb

DATABASE = Path(os.environ.get("DBT_TRIGGER_DATABASE", "data/dbt_cloud.duckdb"))
ARTIFACTS = Path(os.environ.get("DBT_TRIGGER_ARTIFACTS", "data/artifacts"))
NEWEST_RUN = """
    SELECT account_id, job_id, id, coalesce(json_extract_string(job, '$.name'), 'dbt Cloud job'),
        status_humanized, duration_seconds
    FROM dbt_cloud_run ORDER BY id DESC LIMIT 1
"""
COUNTS = """
    SELECT resource_type, count(*), count(*) FILTER (status NOT IN ('success', 'pass'))
    FROM dbt_cloud_node_result WHERE executed AND run_id = ?
    GROUP BY resource_type ORDER BY resource_type = 'test', resource_type
"""
SLOWEST = """
    SELECT name, execution_time FROM dbt_cloud_node_result
    WHERE executed AND run_id = ? ORDER BY execution_time DESC LIMIT 3
"""
TABLES = "SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY table_name"
QUESTION = (
    "SELECT name, status, execution_time FROM dbt_cloud_node_result"
    " WHERE executed ORDER BY run_id DESC, execution_time DESC LIMIT 10"
)


def show_run(connection: duckdb.DuckDBPyConnection) -> Path | None:
    """Print what the newest run did; the folder of its artifacts, or None where there is no run."""
    run = connection.execute(NEWEST_RUN).fetchone()
    if run is None:
        print("No dbt run has been kept yet.")
        return None
    account_id, job_id, run_id, job, status, seconds = run
    print(f"\n{job}: {status} after {seconds:.0f} s")
    counts = connection.execute(COUNTS, [run_id]).fetchall()
    if counts:
        ran = ", ".join(f"{count} {kind}{'s'[: count - 1]}" for kind, count, _ in counts)
        failed = sum(bad for _, _, bad in counts)
        print(f"  ran      {ran}: {f'{failed} did not pass' if failed else 'all passed'}")
        slowest = connection.execute(SLOWEST, [run_id]).fetchall()
        print(f"  slowest  {', '.join(f'{name} ({took:.1f} s)' for name, took in slowest)}")
    return ARTIFACTS / str(account_id) / str(job_id) / str(run_id)


def show_what_is_kept(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Print the tables with their rows, and the files, with commands that open them."""
    print("\nWhat is kept")
    for table, rows in connection.execute(TABLES).fetchall():
        print(f"  {rows:>6,} {'row ' if rows == 1 else 'rows'}  {table}")
    files = [file for file in folder.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    print(f"  {len(files):>6} files, {size:.1f} MB, in {folder}")


def show_commands(folder: Path) -> None:
    """Print what to type to see more."""
    python = shlex.quote(os.path.relpath(sys.executable))
    ask = f"import duckdb; duckdb.connect({str(DATABASE)!r}).sql({QUESTION!r}).show()"
    quoted = shlex.quote(ask) if set('"$`\\!') & set(ask) else f'"{ask}"'  # the latter reads better
    print(f"\nAsk the tables\n  {python} -c {quoted}")
    print(f"\nOpen the report of this run in a browser\n  {(folder / 'report.html').absolute()}")
    if (folder / "index.html").exists():
        served = f"--bind 127.0.0.1 --directory {shlex.quote(str(folder))}"
        print("\nRead dbt's docs of this run, at http://127.0.0.1:8000")
        print(f"  {python} -m http.server 8000 {served}")


if __name__ == "__main__":
    with duckdb.connect(DATABASE, read_only=True) as found:
        newest = show_run(found)
        if newest is not None:
            show_what_is_kept(found, newest)
            show_commands(newest)
