"""The package as a whole: what importing it costs, and what it offers."""

import ast
import email
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import dbt_trigger_dagster
from dbt_trigger_dagster.dbt_cloud import errors as dbt_cloud_errors
from dbt_trigger_dagster.storage import errors as storage_errors

PACKAGE = "dbt_trigger_dagster"
ROOT = Path(__file__).parent.parent


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


def test_a_release_has_all_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    """The shop's models, the report's page and the marker for type checkers among it."""
    pytest.importorskip("build", reason="build is in the extra dev: pip install '.[dev]'")
    source = tmp_path / "source"
    shutil.copytree(ROOT / PACKAGE, source / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, source)
    for name in (f"{PACKAGE}_tests", "benchmarks", "faults", "data"):
        (source / name).mkdir()
        (source / name / "__init__.py").touch()
    expected = {path.relative_to(source).as_posix() for path in _files(source / PACKAGE)}
    subprocess.run(  # noqa: S603  # what a release is made with
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", source],
        check=True,
        capture_output=True,
    )
    [wheel] = (tmp_path / "dist").glob("*.whl")
    assert [*(tmp_path / "dist").glob("*.tar.gz")]
    with ZipFile(wheel) as archive:
        [information] = {name.partition("/")[0] for name in archive.namelist()} - {PACKAGE}
        assert {name for name in archive.namelist() if name.startswith(PACKAGE + "/")} == expected
        metadata = email.message_from_bytes(archive.read(f"{information}/METADATA"))
        commands = archive.read(f"{information}/entry_points.txt").decode()
    assert (metadata["Name"], metadata["License-Expression"]) == (PACKAGE, "Apache-2.0")
    assert metadata["Version"] == dbt_trigger_dagster.dbt_cloud.client.__version__
    assert "dbt-trigger-dagster = dbt_trigger_dagster.command_line:main" in commands
    assert "[dagster_dg_cli.registry_modules]" in commands


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
