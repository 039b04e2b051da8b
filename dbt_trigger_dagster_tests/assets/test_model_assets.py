"""A dbt project as assets and checks: what they say, and that they can always be loaded."""

import socket
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import build_dbt_cloud_model_assets
from dbt_trigger_dagster_tests.artifacts.projects import manifest_of, node, stored
from dbt_trigger_dagster_tests.instances import an_instance

_TEST = "test.shop.unique_orders_id.1"
_UNIT_TEST = "unit_test.shop.orders.doubled"
_PROJECT = manifest_of(
    node("source.shop.erp.raw", source_name="erp", schema="raw"),
    node(
        "model.shop.orders",
        description="What people bought",
        raw_code="select 'secret'",
        depends_on={"nodes": ["source.shop.erp.raw"]},
        database="db",
        schema="main",
        alias="orders",
        tags=["daily", "not a tag"],
        config={"materialized": "table", "meta": {"owner": "ann@shop.example"}},
        columns={
            "id": {"name": "id", "data_type": "integer", "description": "The order's number"},
            "note": {"name": "note"},
        },
        checksum={"name": "sha256", "checksum": "abc"},
    ),
    node("model.shop.big", depends_on={"nodes": ["model.shop.orders"]}, group="Core team"),
    node("seed.shop.zip_codes"),
    node("snapshot.shop.history", depends_on={"nodes": ["model.shop.orders"]}),
    node("model.shop.unseen", config={"materialized": "ephemeral"}),
    node(
        _TEST,
        attached_node="model.shop.orders",
        description="No order twice",
        depends_on={"nodes": ["model.shop.orders"]},
        config={"severity": "WARN"},
    ),
    node(_UNIT_TEST, depends_on={"nodes": ["model.shop.orders"]}),
    groups={"group.shop.core": {"name": "Core team", "owner": {"name": "Core team"}}},
)


def _assets(folder: Path, *nodes: Any, **arguments: Any) -> dict[str, dg.AssetSpec]:
    """Specs by their keys; the definitions are loaded as Dagster does."""
    file = stored(folder, manifest_of(*nodes) if nodes else _PROJECT)
    assets = build_dbt_cloud_model_assets(manifest=file, **arguments)
    dg.Definitions(assets=assets).get_repository_def()
    return {each.key.to_user_string(): each for each in assets if isinstance(each, dg.AssetSpec)}


def _checks(folder: Path) -> dg.AssetsDefinition:
    found = build_dbt_cloud_model_assets(manifest=stored(folder, _PROJECT))
    (checks,) = [each for each in found if isinstance(each, dg.AssetsDefinition)]
    return checks


def test_everything_in_the_warehouse_is_an_asset(tmp_path: Path) -> None:
    """Models, seeds, snapshots and sources, with what they are built from; no ephemeral model."""
    assets = _assets(tmp_path)
    found = {
        key: {dep.asset_key.to_user_string() for dep in spec.deps} for key, spec in assets.items()
    }
    assert found == {
        "orders": {"erp/raw"},
        "big": {"orders"},
        "zip_codes": set(),
        "history": {"orders"},
        "erp/raw": set(),
    }


def test_an_asset_says_what_the_project_says(tmp_path: Path) -> None:
    """Its description without the SQL, its columns, owner, tags, kinds, place and version."""
    orders = _assets(tmp_path)["orders"]
    assert orders.description == "What people bought"
    assert "secret" not in repr(orders)
    assert list(orders.owners) == ["ann@shop.example"]
    assert orders.kinds == {"dbt", "duckdb"}
    assert {tag for tag in orders.tags if not tag.startswith("dagster/")} == {"daily"}
    assert orders.code_version == "abc"
    schema = orders.metadata["dagster/column_schema"]
    assert [(each.name, each.type, each.description) for each in schema.columns] == [
        ("id", "integer", "The order's number"),
        ("note", "?", None),
    ]
    assert {**orders.metadata, "dagster/column_schema": None} == {
        "dagster_dbt/unique_id": "model.shop.orders",
        "dagster/table_name": "db.main.orders",
        "dagster/storage_kind": "duckdb",
        "dagster-dbt/materialization_type": "table",
        "dagster/column_schema": None,
    }


def test_a_group_is_a_group_and_its_owner_a_team(tmp_path: Path) -> None:
    """In Dagster's own notation, whatever dbt allows."""
    big = _assets(tmp_path)["big"]
    assert (big.group_name, list(big.owners)) == ("Core_team", ["team:Core team"])
    assert big.description == "dbt model big"


def test_tests_are_checks(tmp_path: Path) -> None:
    """Data tests and unit tests; only what fails a dbt run blocks."""
    specs = {spec.name: spec for spec in _checks(tmp_path).check_specs}
    assert {
        name: (
            spec.asset_key.to_user_string(),
            spec.blocking,
            spec.description,
            dict(spec.metadata),
        )
        for name, spec in specs.items()
    } == {
        "unique_orders_id": ("orders", False, "No order twice", {"dagster_dbt/unique_id": _TEST}),
        "doubled": ("orders", True, None, {"dagster_dbt/unique_id": _UNIT_TEST}),
    }


def test_sources_can_be_somebody_elses_assets(tmp_path: Path) -> None:
    """Without them the models still depend on them."""
    assets = _assets(tmp_path, sources=False)
    assert "erp/raw" not in assets
    assert [dep.asset_key for dep in assets["orders"].deps] == [dg.AssetKey(["erp", "raw"])]

    @dg.asset(key=["erp", "raw"])
    def raw() -> None:
        """Loaded by the project itself."""

    mine = build_dbt_cloud_model_assets(manifest=tmp_path, sources=False)
    dg.Definitions(assets=[*mine, raw]).get_repository_def()


def test_two_nodes_of_one_key_do_not_break_the_code_location(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one stays, and the other is told."""
    same = {"meta": {"dagster": {"asset_key": ["orders"]}}}
    assets = _assets(tmp_path, node("model.shop.orders"), node("model.shop.copy", **same))
    assert assets["orders"].metadata["dagster_dbt/unique_id"] == "model.shop.orders"
    assert "model.shop.copy has the asset key orders of model.shop.orders" in caplog.text


def test_a_source_may_be_what_another_project_builds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the model's key on purpose; and two projects may read the same source."""
    raw = node("source.shop.erp.raw", source_name="erp")
    built = {"meta": {"dagster": {"asset_key": ["orders"]}}}
    stored(
        tmp_path / "1/300/9",
        manifest_of(
            node("source.bank.shop.orders", source_name="shop", **built),
            node("source.bank.erp.raw", source_name="erp"),
            node("model.bank.loans", depends_on={"nodes": ["source.bank.shop.orders"]}),
            project="bank",
        ),
    )
    stored(tmp_path / "1/301/8", manifest_of(node("model.shop.orders"), raw))
    assets = build_dbt_cloud_model_assets(manifest=tmp_path)
    found = {each.key.to_user_string(): each for each in assets if isinstance(each, dg.AssetSpec)}
    assert set(found) == {"orders", "loans", "erp/raw"}
    assert found["orders"].metadata["dagster_dbt/unique_id"] == "model.shop.orders"
    assert [dep.asset_key for dep in found["loans"].deps] == [dg.AssetKey("orders")]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "odd",
    [
        {"config": {"meta": {"dagster": {"owners": ["", "team:", 7], "group": "a b/c"}}}},
        {"tags": ["dagster/kind/", "x" * 99, 'ma"ny', 5]},
        {"config": {"meta": {"dagster": "yes"}, "severity": 3}},
        {"name": "so/me näme", "alias": "x", "depends_on": {"nodes": ["model.shop.odd"]}},
        {"columns": {"a": {"name": "a", "data_type": 7}, "b": None}, "checksum": "abc"},
        {"description": None, "meta": None, "config": None, "tags": None},
    ],
)
def test_nothing_in_a_project_breaks_the_code_location(tmp_path: Path, odd: dict[str, Any]) -> None:
    """Names, owners, groups and tags that Dagster does not take are changed or left out."""
    model = node("model.shop.odd", **odd)
    test = node("test.shop.odd.1", **{**odd, "attached_node": "model.shop.odd"})
    assert len(_assets(tmp_path, model, test)) == 1


def test_loading_asks_nobody_and_needs_no_dbt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the network nor dbt nor dagster-dbt."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for module in ("dbt", "dagster_dbt"):
        monkeypatch.setitem(sys.modules, module, None)
    assert len(_assets(tmp_path)) == 5


@pytest.mark.slow
def test_executing_a_check_tells_again_what_the_test_said(tmp_path: Path) -> None:
    """It cannot run the test; what was never told is not made up."""
    checks = _checks(tmp_path)
    with an_instance() as instance:
        for passed in (True, False):
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey("orders"),
                    check_name="unique_orders_id",
                    passed=passed,
                    severity=dg.AssetCheckSeverity.WARN,
                    description="Got 3 results",
                    metadata={"dagster_dbt/failed_row_count": 3},
                )
            )
        outcome = dg.materialize(
            [checks], instance=instance, selection=dg.AssetSelection.checks(checks)
        )
        assert outcome.success
        (told,) = outcome.get_asset_check_evaluations()
        assert (told.check_name, told.passed, told.severity) == (
            "unique_orders_id",
            False,
            dg.AssetCheckSeverity.WARN,
        )
        assert told.description == "Got 3 results"
        assert told.metadata["dagster_dbt/failed_row_count"].value == 3
