"""What a landed run reports of its nodes; the corpus's events are compared with dagster-dbt's."""

from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster.artifacts.node_results import collect_node_results
from dbt_trigger_dagster.assets.node_events import (
    COMPLETED_AT,
    NodeEvent,
    node_events,
    unreported,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster_tests.artifacts.files import MemoryFiles, result, results_of, run_of
from dbt_trigger_dagster_tests.artifacts.projects import manifest_of, node
from dbt_trigger_dagster_tests.instances import an_instance

_TEST = "test.shop.unique_orders.1"
_OF_TWO = "test.shop.totals_agree"
_NODES = (
    node("model.shop.orders", database="db", schema="main", alias="orders"),
    node("model.shop.people"),
    node(_TEST, attached_node="model.shop.orders", depends_on={"nodes": ["model.shop.orders"]}),
    node(_OF_TWO, depends_on={"nodes": ["model.shop.orders", "model.shop.people"]}),
    node("unit_test.shop.orders.doubled", depends_on={"nodes": ["model.shop.orders"]}),
)


def _timing(second: int) -> list[dict[str, Any]]:
    at = f"2026-05-28T07:00:{second:02}.000000Z"
    return [{"name": "execute", "started_at": at, "completed_at": at}]


def _events(*results: dict[str, Any], which: str = "build", **files: Any) -> list[NodeEvent]:
    contents = {
        (4, "run_results.json"): results_of(which, *results),
        (4, "manifest.json"): manifest_of(*_NODES),
        **{(4, f"{name}.json"): content for name, content in files.items()},
    }
    run = Run.from_payload(
        {**run_of(f"dbt {which}").payload, "href": "https://cloud.example.com/runs/7"}
    )
    return list(node_events(run, collect_node_results(run, MemoryFiles(contents))))


def _said(event: NodeEvent) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


def test_what_was_built_is_materialized() -> None:
    """With dagster-dbt's names: where it is, and how many rows it has where docs count them."""
    catalog = {
        "nodes": {
            "model.shop.orders": {
                "columns": {},
                "stats": {"row_count": {"id": "row_count", "value": 12, "include": True}},
            }
        }
    }
    (event,) = _events(
        result("model.shop.orders", timing=_timing(5), execution_time=1.5), catalog=catalog
    )
    assert isinstance(event, dg.AssetMaterialization)
    assert event.asset_key == dg.AssetKey("orders")
    assert _said(event) == {
        "unique_id": "model.shop.orders",
        "invocation_id": "invocation of build",
        "execution_duration": 1.5,
        "run_url": "https://cloud.example.com/runs/7",
        "status": "success",
        "dagster_dbt/completed_at_timestamp": 1779951605.0,
        "dagster/table_name": "db.main.orders",
        "dagster/row_count": 12,
    }


def test_what_a_command_that_is_not_known_did_is_told() -> None:
    """It counts as one that executes nodes, as in the checks and the views."""
    (event,) = _events(result("model.shop.orders"), which="novelty")
    assert isinstance(event, dg.AssetMaterialization)


@pytest.mark.parametrize("status", ["error", "skipped", "partial success", "no-op", "reused"])
def test_what_was_not_built_is_observed(status: str) -> None:
    """With dbt's word for it and what it said; nothing downstream takes it for a build."""
    (event,) = _events(result("model.shop.orders", status, message="no such column"))
    assert isinstance(event, dg.AssetObservation)
    assert event.asset_key == dg.AssetKey("orders")
    assert (_said(event)["status"], event.description) == (status, "no such column")


@pytest.mark.parametrize(
    ("status", "passed", "severity"),
    [
        ("pass", True, "ERROR"),
        ("warn", False, "WARN"),
        ("fail", False, "ERROR"),
        ("error", False, "ERROR"),
    ],
)
@pytest.mark.parametrize(
    ("test", "name"), [(_TEST, "unique_orders"), ("unit_test.shop.orders.doubled", "doubled")]
)
def test_a_test_that_ran_is_evaluated(
    status: str, severity: str, test: str, name: str, *, passed: bool
) -> None:
    """Data tests and unit tests, with the rows that failed."""
    (event,) = _events(result(test, status, failures=2, message="Got 2 results"))
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.asset_key, event.check_name) == (dg.AssetKey("orders"), name)
    assert (event.passed, event.severity.name) == (passed, severity)
    assert (_said(event)["dagster_dbt/failed_row_count"], event.description) == (2, "Got 2 results")


def test_a_skipped_test_has_said_nothing() -> None:
    """So its check stays as it was."""
    assert _events(result(_TEST, "skipped"), result(_OF_TWO, "skipped")) == []


def test_a_test_of_several_models_is_told_to_each() -> None:
    """It is no check of either; what it found is not lost."""
    events = _events(result(_OF_TWO, "fail", failures=1))
    assert [(type(event), event.asset_key) for event in events] == [
        (dg.AssetObservation, dg.AssetKey("orders")),
        (dg.AssetObservation, dg.AssetKey("people")),
    ]
    assert {_said(event)["dagster_dbt/failed_row_count"] for event in events} == {1}


@pytest.mark.parametrize("which", ["compile", "docs generate", "show"])
def test_what_was_only_compiled_has_no_event(which: str) -> None:
    """Its results say success, and nothing was built."""
    assert _events(result("model.shop.orders"), result(_TEST), which=which) == []


@pytest.mark.slow
def test_events_come_in_the_order_in_which_nodes_ended() -> None:
    """Whatever the order of files and runs: an asset's newest event is of its newest build."""
    events = [
        *_events(result("model.shop.orders", timing=_timing(8))),
        *_events(
            result(_TEST, "pass", timing=_timing(9)),
            result("model.shop.people", timing=_timing(6)),
            result("model.shop.orders", timing=_timing(7)),
        ),
    ]
    with an_instance() as instance:
        told = [_said(event) for event in unreported(instance, events)]
    assert [(said["unique_id"], said[COMPLETED_AT] % 60) for said in told] == [
        ("model.shop.people", 6),
        ("model.shop.orders", 7),
        ("model.shop.orders", 8),
        (_TEST, 9),
    ]


def test_without_the_manifest_there_is_nothing_to_report_of() -> None:
    """Keys are the manifest's; guessed ones would be other assets."""
    assert _events(result("model.shop.orders"), manifest="{") == []


@pytest.mark.slow
def test_what_was_reported_is_not_reported_again() -> None:
    """A run may be landed twice, and after runs that came later: only what is newer is news."""

    def run(second: int) -> list[NodeEvent]:
        return _events(
            result("model.shop.orders", timing=_timing(second)),
            result(_TEST, "fail", timing=_timing(second)),
        )

    with an_instance() as instance:
        for second, news in ((20, 2), (20, 0), (10, 0), (30, 2)):
            found = list(unreported(instance, run(second)))
            assert len(found) == news
            for event in found:
                instance.report_runless_asset_event(event)


@pytest.mark.slow
def test_an_observation_is_told_each_time() -> None:
    """It is nobody's state."""
    event = dg.AssetObservation("orders")
    with an_instance() as instance:
        instance.report_runless_asset_event(event)
        assert list(unreported(instance, [event])) == [event]
