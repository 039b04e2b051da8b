"""What happened to nodes: from files in any state, and from logs where there are none."""

import json
from dataclasses import replace
from typing import Any

import pytest

from dbt_trigger_dagster.artifacts.node_results import NodeResults, collect_node_results
from dbt_trigger_dagster.storage.node_tables import NODE, NODE_RESULT, RUN_STEP, SOURCE_FRESHNESS
from dbt_trigger_dagster_tests.artifacts.files import MemoryFiles, result, results_of, run_of
from dbt_trigger_dagster_tests.artifacts.telemetry_files import node as span
from dbt_trigger_dagster_tests.artifacts.telemetry_files import telemetry

_ORDERS = {
    "name": "orders",
    "resource_type": "model",
    "schema": "main",
    "alias": "orders",
    "config": {"materialized": "table", "meta": {"owner": "ann"}},
    "tags": ["nightly"],
    "compiled_path": "target/compiled/shop/models/orders.sql",
}
_MANIFEST = {"nodes": {"model.shop.orders": _ORDERS}}
_LOG = "06:58:58  1 of 1 OK created sql table model main.orders .. [OK in 0.30s]"


def _collect(run, contents) -> NodeResults:
    return collect_node_results(run, MemoryFiles(contents))


def _rows(found) -> list[tuple[int, str, str, bool | None, str]]:
    names = ("step", "unique_id", "status", "executed", "source")
    return [tuple(row[name] for name in names) for row in found.results.values()]


def test_each_command_is_told_from_its_own_file() -> None:
    """A build that failed stays a failure, though docs were generated after it."""
    build = results_of("build", result("model.shop.orders", "error"))
    docs = results_of("generate", result("model.shop.orders", "success"))
    found = _collect(
        run_of("dbt build", "dbt docs generate"),
        {(4, "run_results.json"): build, (5, "run_results.json"): docs},
    )
    assert _rows(found) == [
        (4, "model.shop.orders", "error", True, "run_results"),
        (5, "model.shop.orders", "success", False, "run_results"),
    ]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"index": None, "name": "dbt docs\ngenerate"}, "2 ('dbt docs generate')"),
        ({"index": "five", "name": None}, "2 (without a name)"),
        ({}, "2 (without a name)"),
        (None, "2 (without a name)"),
        ("nonsense", "2 ('nonsense')"),
        ({"index": 2**63, "name": "too far"}, "2 ('too far')"),
        ({"index": True}, "2 (without a name)"),
    ],
)
def test_a_step_that_cannot_be_read_costs_itself_and_one_warning(step, told) -> None:
    """It names the run and where the step stands; the others are kept."""
    run = run_of("dbt build")
    steps = run.payload["run_steps"]
    odd = replace(run, payload={**run.payload, "run_steps": [*steps, step]})
    found = _collect(odd, {})
    assert [row["step"] for row in found.steps] == [4]
    (warning,) = found.warnings
    assert warning == (
        f"Steps of dbt Cloud run {run.run_id} are left out, for they have no number. "
        f"Their places in its list: {told}."
    )


def test_a_commands_file_is_its_own_whatever_options_it_has() -> None:
    """The level of a log is named as a command is that leaves nothing."""
    build = results_of("build", result("model.shop.orders", "error"))
    found = _collect(run_of("dbt --log-level debug build"), {(4, "run_results.json"): build})
    assert _rows(found) == [(4, "model.shop.orders", "error", True, "run_results")]


def test_what_an_earlier_step_left_is_not_told_again() -> None:
    """The target folder keeps files; a step that wrote none has none."""
    build = results_of("build", result("model.shop.orders"))
    found = _collect(
        run_of("dbt build", "dbt run", "dbt list"),
        {(step, "run_results.json"): build for step in (4, 5, 6)},
    )
    assert _rows(found) == [(4, "model.shop.orders", "success", True, "run_results")]


def test_the_runs_listed_file_is_the_last_steps_where_that_step_has_none_of_its_own() -> None:
    """And is not taken for that of a step whose command did not write it."""
    build = results_of("build", result("model.shop.orders"))
    listed = {(0, "run_results.json"): build}
    assert len(_collect(run_of("dbt deps", "dbt build"), listed).results) == 1
    assert _collect(run_of("dbt build", "dbt docs generate"), listed).results == {}


def test_a_result_has_what_the_manifest_knows() -> None:
    """And where its compiled code is stored."""
    (row,) = _collect(
        run_of("dbt build"),
        {
            (4, "run_results.json"): results_of("build", result("model.shop.orders")),
            (0, "manifest.json"): _MANIFEST,
            (0, "compiled/shop/models/orders.sql"): "select 1",
        },
    ).results.values()
    expected = {
        "account_id": 1,
        "run_id": 7,
        "job_id": 3,
        "materialization": "table",
        "owner": "ann",
        "tags": ["nightly"],
        "compiled_code_path": "/files/0/compiled/shop/models/orders.sql",
        "invocation_id": "invocation of build",
    }
    assert {name: row[name] for name in expected} == expected


def test_a_missing_manifest_costs_no_row() -> None:
    """Where the relation is stands in the result itself, from dbt 1.7 on."""
    element = result("model.shop.orders", relation_name='"db"."main"."orders"')
    found = _collect(run_of("dbt run"), {(4, "run_results.json"): results_of("run", element)})
    (row,) = found.results.values()
    assert (row["database"], row["schema"], row["alias"]) == ("db", "main", "orders")
    assert found.warnings == []


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"<html>",
        json.dumps(_MANIFEST).encode()[:-40],
        {"nodes": {"model.other.a": {"name": "a"}}},
    ],
    ids=["no bytes", "no JSON", "torn", "of another project"],
)
def test_a_manifest_that_is_of_no_use_costs_one_warning(manifest) -> None:
    """It names the file; the rows are there, and the project's nodes are left as they were."""
    found = _collect(
        run_of("dbt run"),
        {
            (4, "run_results.json"): results_of("run", result("model.shop.orders")),
            (0, "manifest.json"): manifest,
        },
    )
    assert len(found.results) == 1
    assert found.nodes == {}
    (warning,) = found.warnings
    assert "manifest.json of dbt Cloud run 7" in warning


def test_half_a_file_is_filled_up_from_the_log() -> None:
    """What stands in both is told from the file."""
    element = result("model.shop.orders", "error", relation_name='"db"."main"."orders"')
    whole = json.dumps(results_of("run", element, result("model.shop.b")))
    log = _LOG + "\n06:58:59  2 of 2 OK created sql table model main.b [OK in 1s]"
    found = _collect(
        run_of("dbt run", status=20, logs=log),
        {(4, "run_results.json"): whole[: whole.index('"model.shop.b"')]},
    )
    assert _rows(found) == [
        (4, "model.shop.orders", "error", True, "run_results"),
        (4, "model.?.b", "success", True, "log"),
    ]
    assert len(found.warnings) == 1


def test_no_file_at_all_is_told_from_the_log() -> None:
    """With the ids that a manifest gives."""
    found = _collect(run_of("dbt run", status=20, logs=_LOG), {(0, "manifest.json"): _MANIFEST})
    assert _rows(found) == [(4, "model.shop.orders", "success", True, "log")]


@pytest.mark.parametrize("command", ["dbt compile", "dbt docs generate", "dbt list"])
def test_the_log_of_a_command_that_executes_nothing_is_not_asked(command) -> None:
    """Whatever it says."""
    assert _collect(run_of(command, status=20, logs=_LOG), {}).results == {}


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"results": [{"unique_id": "model.a.b", "status": "success"}]}',
        b'{"results": [{"unique_id": "model.a.b", "status": "success", "execution_time": NaN}]}',
        b'{"results": [{"unique_id": "model.a.b", "status": "success", "message": "\\ud800"}]}',
        b'{"results": [{"unique_id": "model.a.b", "status": "success", "failures": 1e400}]}',
    ],
    ids=["byte order mark", "NaN", "half a surrogate", "1e400"],
)
def test_what_strict_json_forbids_costs_no_row(content) -> None:
    """And the row can be stored."""
    found = _collect(run_of("dbt run"), {(4, "run_results.json"): content})
    (row,) = NODE_RESULT.rows(found.results.values())
    assert (row["unique_id"], row["status"]) == ("model.a.b", "success")


@pytest.mark.parametrize("status", ["no-op", "reused", "warn", "partial success", "brand new", ""])
def test_statuses_stay_as_dbt_says_them(status) -> None:
    """Unknown ones too."""
    content = results_of("build", result("model.a.b", status))
    (row,) = _collect(run_of("dbt build"), {(4, "run_results.json"): content}).results.values()
    assert row["status"] == status


def test_names_that_look_like_markup_are_kept_as_they_are() -> None:
    """What shows them has to see to it."""
    message = "<script>alert(1)</script> | **bold** \x1b[31mred"
    element = result("model.a.<b>|c", "error", message=message)
    content = {(4, "run_results.json"): results_of("run", element)}
    (row,) = NODE_RESULT.rows(_collect(run_of("dbt run"), content).results.values())
    assert row["message"] == message
    assert row["name"] == "<b>|c"


def test_telemetry_adds_what_results_lack() -> None:
    """Kinds of errors, and nodes of which nothing else tells."""
    content = {
        (4, "run_results.json"): results_of("build", result("model.a.b", "error", message="no")),
        (0, "metadata/telemetry-4-otel.parquet"): telemetry(
            span("model.a.b", "NODE_OUTCOME_ERROR", node_error_type="NODE_ERROR_TYPE_USER"),
            span("model.a.c", "NODE_OUTCOME_SUCCESS"),
        ),
    }
    known, only_told = _collect(run_of("dbt build"), content).results.values()
    assert (known["source"], known["message"], known["error_kind"]) == ("run_results", "no", "user")
    assert (only_told["unique_id"], only_told["source"]) == ("model.a.c", "telemetry")


def test_30_000_elements_are_30_000_rows() -> None:
    """In one file."""
    elements = [result(f"model.a.m{n}") for n in range(30_000)]
    content = {(4, "run_results.json"): results_of("run", *elements)}
    assert len(_collect(run_of("dbt run"), content).results) == 30_000


def test_sources_are_told_by_the_step_that_looked() -> None:
    """Core leaves out what it could not look at; the log tells."""
    sources: dict[str, Any] = {
        "metadata": {"invocation_id": "f"},
        "results": [{"unique_id": "source.a.raw.b", "status": "warn"}],
    }
    log = "06:58:58  2 of 2 ERROR freshness of raw.c .. [ERROR in 0.1s]"
    manifest = {"sources": {"source.a.raw.c": {"name": "c", "source_name": "raw",
                                              "resource_type": "source"}}}  # fmt: skip
    found = _collect(
        run_of("dbt source freshness", logs=log),
        {(4, "sources.json"): sources, (0, "manifest.json"): manifest},
    )
    assert [(row["unique_id"], row["status"]) for row in found.freshness.values()] == [
        ("source.a.raw.b", "warn"),
        ("source.a.raw.c", "runtime error"),
    ]
    assert found.results == {}
    assert found.steps[0]["invocation_id"] == "f"


def test_all_records_are_rows_of_their_tables() -> None:
    """Every key column has a value."""
    found = _collect(
        run_of("dbt build"),
        {
            (4, "run_results.json"): results_of("build", result("model.shop.orders")),
            (4, "sources.json"): {"results": [{"unique_id": "source.a.raw.b"}],
                                  "metadata": {"invocation_id": "s"}},
            (0, "manifest.json"): _MANIFEST,
            (0, "catalog.json"): {"nodes": {"model.shop.orders": {
                "columns": {"ID": {"type": "BIGINT", "index": 1}},
                "stats": {"row_count": {"value": 5}}}}},
        },
    )  # fmt: skip
    for table, records in (
        (RUN_STEP, found.steps),
        (NODE_RESULT, list(found.results.values())),
        (SOURCE_FRESHNESS, list(found.freshness.values())),
        (NODE, list(found.nodes.values())),
    ):
        (row,) = table.rows(records)
        assert None not in [row[name] for name in table.primary_key]
        assert not set(records[0]) - {column.name for column in table.columns} - _BESIDE
    (node,) = NODE.rows(found.nodes.values())
    assert node["row_count"] == 5
    assert json.loads(node["columns"]) == [{"name": "ID", "data_type": "BIGINT"}]


_TIMES = ("2026-05-28T06:58:01Z", "2026-05-28T06:58:02Z")
_RESULT = {
    "status": "success",
    "timing": [
        {"name": name, "started_at": _TIMES[0], "completed_at": _TIMES[1]}
        for name in ("compile", "execute")
    ],
    "adapter_response": {"rows_affected": 5},
}
_FILES = {
    (4, "run_results.json"): results_of(
        "build",
        {"unique_id": "model.shop.raw", **_RESULT},
        {"unique_id": "model.shop.b", **_RESULT},
    ),
    (4, "sources.json"): {
        "metadata": {"invocation_id": "s"},
        "results": [{"unique_id": "source.a.raw.b", "criteria": {"warn_after": {"count": 1}}}],
    },
    (0, "manifest.json"): {
        "nodes": {
            "model.shop.b": {
                **_ORDERS,
                "depends_on": {"nodes": ["model.shop.raw", "model.shop.raw2"]},
                "columns": {"id": {"name": "id"}},
                "group": "finance",
            }
        },
        "groups": {"group.shop.finance": {"name": "finance", "owner": {"email": "a@b.c"}}},
    },
    (0, "catalog.json"): {
        "nodes": {
            "model.shop.b": {
                "columns": {"id": {"type": "INT", "index": 1}, "n": {"type": "INT", "index": 2}},
                "stats": {"row_count": {"value": 5}},
            }
        }
    },
}
_ODD: list[Any] = [None, True, -1, 2**70, 1e300, "", "{", [], [None], ["a", ["b"]], {}, {"": None}]


def _places(value, place=()) -> list[tuple[Any, ...]]:
    """Where in JSON values stand."""
    if not isinstance(value, dict | list):
        return [place]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [place, *(each for key, part in inner for each in _places(part, (*place, key)))]


def _with(value, place, odd) -> Any:
    """The same JSON with another value in one place."""
    if not place:
        return odd
    key, *rest = place
    if isinstance(value, dict):
        return {**value, key: _with(value[key], rest, odd)}
    return [_with(each, rest, odd) if n == key else each for n, each in enumerate(value)]


@pytest.mark.parametrize("file", _FILES, ids=str)
def test_a_value_of_any_shape_costs_no_row_of_others(file) -> None:
    """Wherever it stands in a file: the other files' rows are there, and a file's own others."""
    run = run_of("dbt build")
    for place in _places(_FILES[file]):
        for odd in _ODD:
            found = _collect(run, {**_FILES, file: _with(_FILES[file], place, odd)})
            rows = NODE_RESULT.rows(found.results.values())
            assert file == (4, "run_results.json") or len(rows) == 2, (place, odd)
            assert [row["step"] for row in RUN_STEP.rows(found.steps)] == [4]


_BESIDE = {
    "attached_node",
    "column_name",
    "compiled_path",
    "severity",
    "source_name",
    "version",
}
"""What the manifest's records have for others than `NODE`."""
