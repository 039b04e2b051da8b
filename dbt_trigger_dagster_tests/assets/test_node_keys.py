"""What nodes are called in Dagster; the corpus's are compared with dagster-dbt's own names."""

from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster.artifacts.manifest import as_manifest
from dbt_trigger_dagster.assets.node_keys import Nodes, asset_key, check_key, parents, table_name
from dbt_trigger_dagster_tests.artifacts.projects import manifest_of, node

_ORDERS = node("model.shop.orders", schema="main", alias="orders", database="db")
_TEST = "test.shop.unique_orders.1"


def _nodes(*nodes: Any) -> Nodes:
    return as_manifest(manifest_of(*nodes)).nodes


def _named(*keys: Any) -> dict[str, Any]:
    return {"dagster": {"asset_key": [*keys]}}


@pytest.mark.parametrize(
    ("of", "key"),
    [
        (node("model.shop.orders"), ["orders"]),
        (node("seed.shop.raw"), ["raw"]),
        (node("snapshot.shop.history", config={"schema": "snapshots"}), ["snapshots", "history"]),
        (node("source.shop.erp.orders", source_name="erp"), ["erp", "orders"]),
        (node("model.shop.people.v2", version=2, alias="people_v2"), ["people_v2"]),
        (node("model.shop.people.v2", version=2, alias="persons"), ["persons"]),
        (node("model.shop.orders", config={"meta": _named("a", "b")}), ["a", "b"]),
        (node("model.shop.orders", meta=_named("a", "b")), ["a", "b"]),
        (node("source.shop.erp.orders", source_name="erp", meta=_named("x")), ["x"]),
    ],
)
def test_a_key_is_dagster_dbts(of: dict[str, Any], key: list[str]) -> None:
    """By what the project says to Dagster; else by source, version or configured schema."""
    (found,) = _nodes(of).values()
    assert asset_key(found) == dg.AssetKey(key)


@pytest.mark.parametrize(
    ("test", "key"),
    [
        (
            {"attached_node": "model.shop.orders", "depends_on": {"nodes": ["model.shop.orders"]}},
            "orders",
        ),
        ({"depends_on": {"nodes": ["model.shop.orders"]}}, "orders"),
        (
            {
                "attached_node": "model.shop.people",
                "depends_on": {"nodes": ["model.shop.orders", "model.shop.people"]},
            },
            "people",
        ),
        (
            {
                "depends_on": {"nodes": ["model.shop.orders", "model.shop.people"]},
                "config": {"meta": {"dagster": {"ref": {"name": "people"}}}},
            },
            "people",
        ),
        ({"depends_on": {"nodes": ["model.shop.orders", "model.shop.people"]}}, None),
        ({"depends_on": {"nodes": []}}, None),
        ({"attached_node": "model.shop.gone", "depends_on": {"nodes": []}}, None),
    ],
)
def test_a_test_is_a_check_of_what_it_tests(test: dict[str, Any], key: str | None) -> None:
    """Of several nodes, the one that it is attached to or names; else it is no check."""
    nodes = _nodes(_ORDERS, node("model.shop.people"), node(_TEST, **test))
    found = check_key(nodes[_TEST], nodes)
    assert found == (dg.AssetCheckKey(dg.AssetKey(key), "unique_orders") if key else None)


def test_a_unit_test_is_a_check_of_its_model() -> None:
    """People give it a sentence for a name, and Dagster takes letters, digits and underscores."""
    unit_test = node(
        "unit_test.shop.orders.amounts",
        name="amounts are doubled!",
        depends_on={"nodes": ["model.shop.orders"]},
    )
    nodes = _nodes(_ORDERS, unit_test)
    found = check_key(nodes["unit_test.shop.orders.amounts"], nodes)
    assert found == dg.AssetCheckKey(dg.AssetKey("orders"), "amounts_are_doubled_")


def test_what_is_in_no_warehouse_stands_for_its_parents() -> None:
    """An ephemeral model is written into those that use it, at any depth."""
    ephemeral = {"config": {"materialized": "ephemeral"}}
    nodes = _nodes(
        node("source.shop.erp.a", source_name="erp"),
        node("model.shop.b", depends_on={"nodes": ["source.shop.erp.a"]}, **ephemeral),
        node("model.shop.c", depends_on={"nodes": ["model.shop.b", "seed.shop.s"]}, **ephemeral),
        node("seed.shop.s"),
        node("model.shop.d", depends_on={"nodes": ["model.shop.c", "model.shop.b", "macro.x"]}),
    )
    assert set(parents(nodes["model.shop.d"], nodes)) == {
        dg.AssetKey(["erp", "a"]),
        dg.AssetKey("s"),
    }


def test_a_table_is_named_as_the_warehouse_is_asked_for_it() -> None:
    """A source by its identifier, where it has one; what has no place has no name."""
    source = node("source.shop.erp.a", source_name="erp", schema="raw", identifier="A_1")
    nodes = _nodes(_ORDERS, source, node("model.shop.b"))
    assert [table_name(each) for each in nodes.values()] == ["db.main.orders", None, "raw.A_1"]
