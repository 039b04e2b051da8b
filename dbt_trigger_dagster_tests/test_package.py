"""The package as a whole: what importing it costs, and what it offers."""

import ast
import subprocess
import sys
from pathlib import Path

import dbt_trigger_dagster
from dbt_trigger_dagster.dbt_cloud import errors as dbt_cloud_errors
from dbt_trigger_dagster.storage import errors as storage_errors

PACKAGE = "dbt_trigger_dagster"


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Dagster loads a code location in every process; each second counts there."""
    code = "import sys, dbt_trigger_dagster; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603  # code of our own
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "dbt_trigger_dagster.dbt_cloud.client" in loaded
    assert loaded & {"pandas", "duckdb", "dbt", f"{PACKAGE}.sandbox"} == set()


def test_the_public_names_are_sorted_and_complete() -> None:
    """What the package imports is what it offers, and all of it exists."""
    names = dbt_trigger_dagster.__all__
    assert names == sorted(set(names))
    tree = ast.parse(Path(dbt_trigger_dagster.__file__).read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(names) == imported
    assert [name for name in names if not hasattr(dbt_trigger_dagster, name)] == []


def test_every_error_is_public() -> None:
    """People catch them."""
    rooms = (dbt_cloud_errors, storage_errors)
    defined = {name for room in rooms for name in vars(room) if name.endswith("Error")}
    assert defined <= set(dbt_trigger_dagster.__all__)
