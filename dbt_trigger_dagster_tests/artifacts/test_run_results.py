"""run_results.json, element by element, as records."""

import io
import json

import pytest

from dbt_trigger_dagster.artifacts.freshness import read_freshness
from dbt_trigger_dagster.artifacts.json_stream import OpenFile
from dbt_trigger_dagster.artifacts.run_results import (
    executes,
    named_by,
    read_invocation,
    read_results,
)
from dbt_trigger_dagster.artifacts.run_steps import command_of, kind_of
from dbt_trigger_dagster_tests.artifacts.files import result, results_of


def _opener(content) -> OpenFile:
    return lambda: io.BytesIO(json.dumps(content).encode())


def test_a_result_becomes_a_record() -> None:
    """Timing, the adapter's response under our names, and the element itself without its code."""
    element = result(
        "model.shop.orders",
        execution_time=1.25,
        failures=None,
        thread_id="Thread-10 (worker)",
        relation_name='"db"."main"."orders"',
        timing=[
            {"name": "compile", "started_at": "a", "completed_at": "b"},
            {"name": "execute", "started_at": "c", "completed_at": "d"},
        ],
        adapter_response={"code": "SELECT", "rows_affected": 9, "job_id": "q", "slot_ms": 4},
        compiled_code="select 1",
    )
    (record,) = read_results(_opener(results_of("run", element)))
    expected = {
        "resource_type": "model",
        "package_name": "shop",
        "name": "orders",
        "status": "success",
        "execution_time": 1.25,
        "compile_started_at": "a",
        "compile_completed_at": "b",
        "execute_started_at": "c",
        "execute_completed_at": "d",
        "rows_affected": 9,
        "query_id": "q",
        "slot_ms": 4,
        "adapter_code": "SELECT",
        "source": "run_results",
    }
    assert {name: record[name] for name in expected} == expected
    raw = json.loads(record["raw"])
    assert "compiled_code" not in raw
    assert raw["thread_id"] == "Thread-10 (worker)"


@pytest.mark.parametrize("element", [None, 5, "text", [], {}, {"unique_id": 5}, {"unique_id": ""}])
def test_an_element_that_is_no_result_costs_one_row(element) -> None:
    """Those before and behind it are read."""
    content = results_of("run", result("model.a.b"), element, result("model.a.c"))
    found = [record["unique_id"] for record in read_results(_opener(content))]
    assert found == ["model.a.b", "model.a.c"]


@pytest.mark.parametrize("field", ["timing", "adapter_response", "message", "failures"])
@pytest.mark.parametrize("value", [None, 5, "text", [None, 5], {"name": []}])
def test_fields_of_any_shape_are_no_error(field, value) -> None:
    """Fusion leaves fields out and adds others."""
    (record,) = read_results(_opener(results_of("run", result("model.a.b", **{field: value}))))
    assert record["status"] == "success"


@pytest.mark.parametrize(
    ("which", "executed"),
    [
        *((which, True) for which in ("build", "run", "test", "seed", "snapshot", "clone")),
        *((which, True) for which in ("run-operation", "source", "freshness", "retry")),
        *((which, False) for which in ("compile", "docs", "generate", "list", "ls", "parse")),
        ("show", False),
        ("something-new", None),
        ("", None),
    ],
)
def test_the_command_tells_whether_nodes_were_executed(which, executed) -> None:
    """As its own file names it; of a command that nobody knows, nobody knows."""
    assert executes(read_invocation(_opener(results_of(which))).command) is executed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Invoke dbt with `dbt build --select a`", "build"),
        ("Invoke dbt with `dbt --debug run -s build`", "run"),
        ("Invoke dbt with `dbt --log-level debug build`", "build"),
        ("Invoke dbt with `dbt --no-use-colors --log-format-file debug -t test run`", "run"),
        ("Invoke dbt with `dbt --profile=run --target docs test`", "test"),
        ("Invoke dbt with `dbt debug`", "debug"),
        ("Invoke dbt with `dbt docs generate`", "docs"),
        ("Invoke dbt with `dbt source freshness`", "source"),
        ("Invoke dbt with `dbt ls`", "list"),
        ("Generate docs", "docs"),
        ("Clone git repository", ""),
        ("Create profile from connection X", ""),
    ],
)
def test_the_name_of_a_step_tells_its_command(name, kind) -> None:
    """By one name for each command."""
    assert kind_of(command_of({"name": name})) == kind


@pytest.mark.parametrize(
    ("unique_id", "name"),
    [
        ("model.shop.orders", "orders"),
        ("model.shop.people.v2", "people"),
        ("test.shop.not_null_orders_id.cf6c17daed", "not_null_orders_id"),
        ("unit_test.shop.orders.adds_up", "adds_up"),
        ("source.shop.raw.orders", "orders"),
        ("operation.shop.shop-on-run-end-0", "shop-on-run-end-0"),
        ("nonsense", None),
    ],
)
def test_an_id_alone_tells_a_name(unique_id, name) -> None:
    """Where no manifest does."""
    assert named_by(unique_id)["name"] == name


def test_freshness_becomes_records() -> None:
    """A limit that is not set may come as an object of nulls, and is null."""
    element = {
        "unique_id": "source.shop.raw.orders",
        "max_loaded_at_time_ago_in_s": 5.5,
        "status": "warn",
        "criteria": {
            "warn_after": {"count": 1, "period": "hour"},
            "error_after": {"count": None, "period": None},
            "filter": "x > 1",
        },
    }
    (record,) = read_freshness(_opener({"results": [None, element]}))
    assert record["warn_after"] == {"count": 1, "period": "hour"}
    assert record["error_after"] is None
    assert (record["filter"], record["status"]) == ("x > 1", "warn")
    assert record["max_loaded_at_time_ago_in_s"] == 5.5
