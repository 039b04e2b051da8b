"""Manifests and catalogs: what rows are made of, whatever stands there."""

import io
import json

import pytest

from dbt_trigger_dagster.artifacts.catalog import read_catalog, with_types
from dbt_trigger_dagster.artifacts.manifest import Manifest, read_manifest


def _read(content) -> Manifest:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_manifest(lambda: io.BytesIO(raw))


def test_a_node_becomes_a_record() -> None:
    """Names, place, tags, parents, columns."""
    node = {
        "resource_type": "model",
        "name": "orders",
        "package_name": "shop",
        "database": "db",
        "schema": "main",
        "alias": "orders_v2",
        "relation_name": '"db"."main"."orders_v2"',
        "original_file_path": "models/orders.sql",
        "config": {"materialized": "table", "tags": ["nightly"]},
        "depends_on": {"nodes": ["seed.shop.raw"], "macros": ["macro.dbt.x"]},
        "columns": {"id": {"name": "id", "description": "The id", "data_type": None}},
        "checksum": {"name": "sha256", "checksum": "abc"},
        "compiled_path": "target/compiled/shop/models/orders.sql",
    }
    record = _read({"nodes": {"model.shop.orders": node}}).nodes["model.shop.orders"]
    expected = {
        "unique_id": "model.shop.orders",
        "alias": "orders_v2",
        "materialization": "table",
        "tags": ["nightly"],
        "depends_on": ["seed.shop.raw"],
        "columns": [{"name": "id", "description": "The id"}],
        "checksum": "abc",
        "owner": None,
    }
    assert {name: record[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("node", "owner"),
    [
        ({"config": {"meta": {"owner": "ann@example.com"}}}, "ann@example.com"),
        ({"meta": {"owner": ["ann", {"name": "Bob", "email": None}]}}, "ann, Bob"),
        ({"config": {"group": "finance"}}, "finance@example.com"),
        ({"group": "finance", "meta": {"owner": "ann"}}, "ann"),
        ({"group": "unknown"}, None),
        ({"meta": "text", "config": []}, None),
    ],
)
def test_an_owner_is_what_people_wrote_else_the_groups(node, owner) -> None:
    """Groups stand behind the nodes in the file."""
    group = {"name": "finance", "owner": {"email": "finance@example.com", "name": "Finance"}}
    content = {"nodes": {"model.a.b": node}, "groups": {"group.a.finance": group}}
    assert _read(content).nodes["model.a.b"]["owner"] == owner


@pytest.mark.parametrize("field", ["config", "meta", "tags", "depends_on", "columns", "checksum"])
@pytest.mark.parametrize("value", [None, 5, "text", [None, 5], {"nodes": 5, "a": {"b": []}}])
def test_fields_of_any_shape_are_no_error(field, value) -> None:
    """A field that cannot be read costs itself alone."""
    content = {"nodes": {"model.a.b": {field: value, "name": "b"}, "model.a.c": None}}
    assert _read(content).nodes["model.a.b"]["name"] == "b"


def test_a_torn_manifest_gives_what_it_has_and_says_so() -> None:
    """The nodes before the tear."""
    whole = json.dumps({"nodes": {f"model.a.m{n}": {"name": f"m{n}"} for n in range(9)}}).encode()
    manifest = _read(whole[: len(whole) // 2])
    assert 0 < len(manifest.nodes) < 9
    assert manifest.error
    assert not _read(whole).error


def test_a_unit_test_is_attached_to_the_model_that_it_tests() -> None:
    """Manifests name the model first among what it depends on; other nodes have no such place."""
    content = {
        "unit_tests": {"unit_test.a.m.t": {"depends_on": {"nodes": ["model.a.m", "model.a.n"]}}},
        "nodes": {"test.a.t.1": {"attached_node": "model.a.n", "column_name": "id"}},
    }
    nodes = _read(content).nodes
    assert nodes["unit_test.a.m.t"]["attached_node"] == "model.a.m"
    assert nodes["test.a.t.1"]["attached_node"] == "model.a.n"
    assert nodes["test.a.t.1"]["column_name"] == "id"


@pytest.mark.parametrize(
    ("stats", "rows", "size"),
    [
        ({"row_count": {"value": 3}, "bytes": {"value": 1024.0}}, 3, 1024),
        ({"num_rows": {"value": 5}, "num_bytes": {"value": 7}}, 5, 7),
        ({"has_stats": {"value": False}}, None, None),
        ({"row_count": {"value": "many"}, "bytes": None}, None, None),
    ],
)
def test_a_catalog_counts_as_its_adapter_does(stats, rows, size) -> None:
    """Snowflake, BigQuery, none."""
    content = {"nodes": {"model.a.b": {"columns": {}, "stats": stats}, "model.a.c": None}}
    (relation,) = read_catalog(lambda: io.BytesIO(json.dumps(content).encode()))
    assert (relation.row_count, relation.size_bytes) == (rows, size)


def test_columns_have_the_catalogs_types_and_the_manifests_words() -> None:
    """In the catalog's order; where there is no catalog, as the manifest has them."""
    columns = [{"name": "id", "description": "The id"}, {"name": "gone"}]
    assert with_types(columns, {"NAME": "text", "ID": "bigint"}) == [
        {"name": "NAME", "data_type": "text"},
        {"name": "ID", "description": "The id", "data_type": "bigint"},
    ]
    assert with_types(columns, {}) == columns
