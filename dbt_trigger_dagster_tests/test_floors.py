"""The floors of the package: an import only points down."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import dbt_trigger_dagster

PACKAGE = "dbt_trigger_dagster"
FLOORS = {
    0: {"errors", "printable", "version"},
    1: {"artifact_paths", "models", "parameters", "timing"},
    2: {
        "answers",
        "connections",
        "monitor_cursor",
        "parallel",
        "partial_files",
        "retries",
        "tables",
    },
    3: {"transport", "stores"},
    4: {"api"},
    5: {"client"},
    6: {"polling", "artifacts", "ownership", "reconciliation", "trigger"},
    7: {
        "failures",
        "job_metadata",
        "op_configs",
        "resources",
        "resumption",
        "sections",
        "termination",
    },
    8: {"announcements", "io_managers", "following", "launching"},
    9: {"landing", "workspace"},
    10: {"assets", "landing_runs", "terminations"},
    11: {"monitoring", "schedules"},
    12: {"job_settings", "sensors"},
    13: {"monitor_settings"},
    14: {"component"},
    15: {"definitions"},
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules}
FIRST_FLOOR_OF_DAGSTER = 7
KNOW_REQUESTS = {"answers", "transport"}
ONLY_FOR_TYPES = {("errors", "models")}
OPEN_TO_THE_SANDBOX = {"errors", "models"}


@dataclass(frozen=True)
class Import:
    """One imported module, by its full name, and whether only type checkers see it."""

    module: str
    is_for_types: bool


def _is_type_checking(test: ast.expr) -> bool:
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == (
        "TYPE_CHECKING"
    )


def _imports(node: ast.AST, package: str, *, is_for_types: bool = False) -> Iterator[Import]:
    """All imports below a node, those inside functions included."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, is_for_types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*base, *filter(None, [node.module])])
        yield Import(module, is_for_types)
        # "from package import module" names a module in its second half.
        yield from (Import(f"{module}.{alias.name}", is_for_types) for alias in node.names)
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        for child in node.body:
            yield from _imports(child, package, is_for_types=True)
        for child in node.orelse:
            yield from _imports(child, package, is_for_types=is_for_types)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, package, is_for_types=is_for_types)


def violations(sources: Mapping[str, str]) -> list[str]:
    """What is wrong with modules, given as source by dotted name below the package."""
    return [
        f"{name}: {wrong}"
        for name, source in sources.items()
        for wrong in sorted(_violations_of(name, source, set(sources)))
    ]


def _violations_of(name: str, source: str, modules: set[str]) -> Iterator[str]:
    in_sandbox = name.split(".", maxsplit=1)[0] == "sandbox"
    if not in_sandbox and name != "__init__" and name not in FLOOR_OF:
        yield "has no floor"
        return
    is_package = name in {"__init__", "sandbox"}
    inside = "" if name == "__init__" else f".{name}"
    package = f"{PACKAGE}{inside}" if is_package else f"{PACKAGE}{inside}".rpartition(".")[0]
    for imported in set(_imports(ast.parse(source), package)):
        top, _, below = imported.module.partition(".")
        if top == "requests" and name not in KNOW_REQUESTS:
            yield "knows requests"
        if top == "urllib3" and name not in KNOW_REQUESTS | {"connections"}:
            yield "knows urllib3"
        if top == "dagster" and (in_sandbox or FLOOR_OF.get(name, 99) < FIRST_FLOOR_OF_DAGSTER):
            yield "knows Dagster"
        if top == PACKAGE and below in modules | {""}:
            yield from _points_up(name, below, in_sandbox, imported.is_for_types)


def _points_up(name: str, target: str, in_sandbox: bool, is_for_types: bool) -> Iterator[str]:  # noqa: FBT001  # both are facts, not switches
    to_sandbox = target.split(".", maxsplit=1)[0] == "sandbox"
    if in_sandbox:
        if not to_sandbox and target not in OPEN_TO_THE_SANDBOX:
            yield f"imports {target or 'the package'} from the sandbox"
    elif to_sandbox:
        yield "imports the sandbox"
    elif target == "":
        yield "imports the package, which imports it"
    elif name == "__init__" or (is_for_types and (name, target) in ONLY_FOR_TYPES):
        return
    elif FLOOR_OF.get(target, 99) >= FLOOR_OF[name]:
        yield f"imports {target}, which is not below"


def _sources() -> dict[str, str]:
    root = Path(dbt_trigger_dagster.__file__).parent
    names = {}
    for file in root.rglob("*.py"):
        parts = file.relative_to(root).with_suffix("").parts
        if parts[:2] == ("sandbox", "shop"):
            continue
        package = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
        names[".".join(package)] = file.read_text()
    return names


def test_every_import_points_down() -> None:
    """So that each floor can be read without those above it."""
    assert violations(_sources()) == []


def test_every_floor_has_its_modules() -> None:
    """A module that is gone is taken off the drawing."""
    assert set(FLOOR_OF) - set(_sources()) == set()


def test_the_check_sees_the_imports_that_there_are() -> None:
    """If it saw none, it would find nothing wrong either."""
    imports = {found.module for found in _imports(ast.parse(_sources()["client"]), PACKAGE)}
    assert {f"{PACKAGE}.api", f"{PACKAGE}.transport", "difflib"} <= imports


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("models", "from dbt_trigger_dagster.client import DbtCloudClient", "imports client"),
        ("models", "from dbt_trigger_dagster import client", "imports client"),
        ("models", "import dbt_trigger_dagster.client", "imports client"),
        ("models", "import dbt_trigger_dagster.client as c", "imports client"),
        ("models", "from . import client", "imports client"),
        ("models", "from .client import DbtCloudClient", "imports client"),
        ("models", "def f():\n    from dbt_trigger_dagster import client", "imports client"),
        ("models", "try:\n    from . import client\nexcept ImportError: pass", "imports client"),
        ("models", "from dbt_trigger_dagster.retries import backoff", "imports retries"),
        ("models", "from dbt_trigger_dagster import Run", "imports the package"),
        ("errors", "from dbt_trigger_dagster.models import Run", "imports models"),
        ("timing", "if TYPE_CHECKING:\n    from .models import Run", "imports models"),
        ("errors", "if TYPE_CHECKING:\n    from .client import X", "imports client"),
        (
            "errors",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from .models import X",
            "imports models",
        ),
        ("polling", "import dagster as dg", "knows Dagster"),
        ("polling", "def f():\n    from dagster import asset", "knows Dagster"),
        ("client", "import requests", "knows requests"),
        ("assets", "from requests.adapters import HTTPAdapter", "knows requests"),
        ("api", "import urllib3", "knows urllib3"),
        ("sandbox.server", "import requests", "knows requests"),
        ("sandbox.server", "import dagster", "knows Dagster"),
        ("sandbox.server", "from dbt_trigger_dagster.client import X", "imports client from"),
        ("sandbox.server", "from dbt_trigger_dagster import X", "imports the package from"),
        ("sandbox", "from ..client import X", "imports client from"),
        ("assets", "from dbt_trigger_dagster.sandbox import Sandbox", "imports the sandbox"),
        ("assets", "from dbt_trigger_dagster.sandbox.server import Sandbox", "imports the sandbox"),
        ("__init__", "from dbt_trigger_dagster.sandbox import Sandbox", "imports the sandbox"),
        ("novelty", "", "has no floor"),
    ],
)
def test_the_check_catches_what_it_is_for(name, source, wrong) -> None:
    """Each rule, in each way to write an import."""
    found = violations(_sources() | {name: source})
    assert any(line.startswith(f"{name}: {wrong}") for line in found), found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("client", "from dbt_trigger_dagster.models import Run\nimport json"),
        ("errors", "if TYPE_CHECKING:\n    from dbt_trigger_dagster.models import Run"),
        ("errors", "if typing.TYPE_CHECKING:\n    from .models import Run"),
        ("answers", "import requests"),
        ("resources", "import dagster as dg"),
        ("__init__", "from dbt_trigger_dagster.assets import build_dbt_cloud_job_assets"),
        ("sandbox", "from dbt_trigger_dagster.sandbox.server import Sandbox"),
        ("sandbox.runs", "from dbt_trigger_dagster.models import RunStatus"),
        ("sandbox.runs", "from .jobs import SandboxJob\nfrom ..errors import DbtCloudError"),
        ("models", "import dagster_is_another_name, requestsx"),
    ],
)
def test_the_check_allows_what_is_allowed(name, source) -> None:
    """A rule that forbids everything proves nothing."""
    assert violations(_sources() | {name: source}) == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Dagster loads a code location in every process; each second counts there."""
    code = "import sys, dbt_trigger_dagster; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603  # code of our own
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "dbt_trigger_dagster.client" in loaded
    assert loaded & {"pandas", "duckdb", "dbt", f"{PACKAGE}.sandbox"} == set()


def test_the_public_names_are_sorted_and_complete() -> None:
    """What the package imports is what it offers, and all of it exists."""
    names = dbt_trigger_dagster.__all__
    assert names == sorted(set(names))
    tree = ast.parse(_sources()["__init__"])
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
    from dbt_trigger_dagster import errors  # noqa: PLC0415  # what it holds is what is tested

    defined = {name for name in vars(errors) if name.endswith("Error")}
    assert defined <= set(dbt_trigger_dagster.__all__)
