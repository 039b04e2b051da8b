"""What a landing makes of a run of 20,000 nodes with a manifest of 500 MB: memory, and CPU.

A fresh interpreter reads the files, tells of them and writes the rows (`benchmarks.land_nodes`);
another one only gives both files to ``json.load``. Whatever writes these rows into DuckDB in one
transaction takes the memory that DuckDB keeps them in until the commit: that is measured with the
bare driver, and told apart.
"""

import json
import tempfile
from pathlib import Path

from benchmarks.download_one import STATUS
from benchmarks.interpreters import python
from benchmarks.report import Result, not_measured

NODES = 20_000
MANIFEST_MB = 500
_MANY = 50
_NODES_OF_MANY = 100
_MIB = 1024 * 1024
_GOAL_MIB = 64
_WHAT = f"a run of {NODES:,} nodes landed: peak memory above idle"
_GOAL = f"<= {_GOAL_MIB} MiB"
_SQL = "select a.id, b.amount, c.name from {{ ref('a') }} a join b using (id) join c using (id)\n"


def measure() -> list[Result]:
    """Write the files, and let each way have an interpreter of its own."""
    if not STATUS.exists():
        return [not_measured(_WHAT, _GOAL, f"{STATUS} is missing")]
    with tempfile.TemporaryDirectory() as folder:
        size = _write(Path(folder), NODES) / 1e6
        found = {
            how: json.loads(python("-m", "benchmarks.land_nodes", how, folder))
            for how in ("load", "read", "sqlite", "duckdb", "bare")
        }
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), _NODES_OF_MANY)
        many = json.loads(python("-m", "benchmarks.land_nodes", "duckdb", folder, str(_MANY)))
    mib = {how: each["bytes"] / _MIB for how, each in found.items()}
    per_thousand = {how: each["cpu"] / NODES * 1000 for how, each in found.items()}
    ours = mib["duckdb"] - mib["bare"]
    return [
        Result(
            f"{_WHAT}, into SQLite",
            f"{mib['sqlite']:.0f} MiB of a manifest of {size:.0f} MB; reading alone "
            f"{mib['read']:.0f} MiB; json.load {mib['load']:,.0f} MiB",
            _GOAL,
            mib["sqlite"] <= _GOAL_MIB,
        ),
        Result(
            f"{_WHAT}, into DuckDB, beside what DuckDB alone takes for these rows",
            f"{ours:.0f} MiB: {mib['duckdb']:.0f} MiB, {mib['bare']:.0f} of them DuckDB's",
            _GOAL,
            ours <= _GOAL_MIB,
        ),
        Result(
            "the same: CPU seconds for 1,000 nodes",
            f"{per_thousand['duckdb']:.2f} s, {per_thousand['read']:.2f} s of it to read; "
            f"json.load {per_thousand['load']:.2f} s",
        ),
        Result(
            f"{_MANY} runs of {_NODES_OF_MANY} nodes landed in one batch, into DuckDB",
            f"{many['cpu'] / _MANY * 1000:.0f} ms of CPU a run, "
            f"{many['cpu'] / _MANY / _NODES_OF_MANY * 1000:.2f} s for 1,000 nodes; "
            f"{many['bytes'] / _MIB:.0f} MiB above idle",
            _GOAL,
            many["bytes"] / _MIB <= _GOAL_MIB,
        ),
    ]


def _write(place: Path, nodes: int) -> int:
    """A manifest and the results of a build; the manifest's size."""
    code = json.dumps(_SQL * (MANIFEST_MB * 1_000_000 // NODES // len(_SQL) - 10))
    with (place / "manifest.json").open("w") as file:
        file.write('{"metadata": {"dbt_schema_version": "v12"}, "nodes": {')
        for number in range(nodes):
            file.write(", " if number else "")
            file.write(f"{json.dumps(_id(number))}: {_node(number, code)}")
        file.write('}, "sources": {}, "unit_tests": {}, "groups": {}}')
    results = [_result(number) for number in range(nodes)]
    (place / "run_results.json").write_text(
        json.dumps(
            {
                "metadata": {"invocation_id": "i"},
                "args": {"which": "build"},
                "results": results,
            }
        )
    )
    return (place / "manifest.json").stat().st_size


def _id(number: int) -> str:
    return f"model.shop.model_{number}"


def _node(number: int, code: str) -> str:
    node = {
        "unique_id": _id(number),
        "name": f"model_{number}",
        "resource_type": "model",
        "package_name": "shop",
        "database": "prod",
        "schema": "shop",
        "alias": f"model_{number}",
        "original_file_path": f"models/model_{number}.sql",
        "config": {"materialized": "table", "tags": ["nightly"], "meta": {"owner": "shop"}},
        "tags": ["nightly"],
        "description": "What the shop has sold, a row for each sale",
        "columns": {
            name: {"name": name, "description": f"The {name} of it", "data_type": "bigint"}
            for name in ("id", "amount", "customer", "sold_at", "shop")
        },
        "depends_on": {
            "nodes": [_id(each) for each in (number // 2, number // 3) if each < number]
        },
        "checksum": {"name": "sha256", "checksum": f"{number:064x}"},
    }
    return f'{json.dumps(node)[:-1]}, "raw_code": {code}}}'


def _result(number: int) -> dict[str, object]:
    start, middle, end = (
        f"2026-01-05T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{part}Z"
        for part in (100000, 200000, 900000)
    )
    return {
        "unique_id": _id(number),
        "status": "success",
        "message": "OK",
        "thread_id": f"Thread-{number % 8 + 1}",
        "execution_time": 0.8,
        "failures": None,
        "adapter_response": {"_message": "OK", "rows_affected": number},
        "timing": [
            {"name": "compile", "started_at": start, "completed_at": middle},
            {"name": "execute", "started_at": middle, "completed_at": end},
        ],
        "compiled_code": _SQL,
        "relation_name": f'"prod"."shop"."model_{number}"',
    }
