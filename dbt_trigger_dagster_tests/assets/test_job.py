"""What a graph is: made once, carried in its assets' metadata, and read there."""

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from dbt_trigger_dagster.assets.config import DbtCloudRunConfig
from dbt_trigger_dagster.assets.graph import build_dbt_cloud_job_assets
from dbt_trigger_dagster.assets.job import (
    RUN_RESULT,
    TRIGGER_RESPONSE,
    JobGraph,
    JobReference,
    graphs_in,
)


def test_a_graph_is_found_in_its_assets() -> None:
    """With everything that the builder was told of it."""
    assets = build_dbt_cloud_job_assets(
        job_id=7,
        key_prefix=["eu", "nightly"],
        run_defaults=DbtCloudRunConfig(cancel_on_termination=False),
    )
    expected = JobGraph(JobReference(7), ("eu", "nightly"), cancels_on_termination=False)
    assert graphs_in(assets, RUN_RESULT) == graphs_in(assets, TRIGGER_RESPONSE) == [expected]
    assert expected.op_name == "eu__nightly__dbt_cloud_run"
    assert expected.trigger_response == "eu/nightly/trigger_response"
    assert expected.landed_keys == [
        dg.AssetKey(["eu", "nightly", "run_result"]),
        dg.AssetKey(["eu", "nightly", "artifacts"]),
        dg.AssetKey(["eu", "nightly", "node_results"]),
    ]


def test_whatever_is_no_graph_of_ours_is_left_out() -> None:
    """People hand over all the assets that they have."""

    @dg.asset
    def stranger() -> None:
        """Nothing of ours."""

    assets = build_dbt_cloud_job_assets(job_name="Nightly")
    given = [stranger, dg.AssetSpec("outside"), *assets]
    assert graphs_in(given, RUN_RESULT) == [JobGraph(JobReference(None, "Nightly"))]
    assert graphs_in([stranger, assets[0]], RUN_RESULT) == []


def test_a_graph_survives_what_projects_do_to_specs() -> None:
    """Components and people add metadata, tags and automation conditions to what they are given."""
    assets = [
        each.map_asset_specs(lambda spec: spec.merge_attributes(metadata={"tier": "1"}))
        for each in build_dbt_cloud_job_assets(job_id=7)
    ]
    assert graphs_in(assets, RUN_RESULT) == [JobGraph(JobReference(7))]


def test_assets_that_were_renamed_are_told() -> None:
    """A monitor would request assets that are not there."""
    (_, landing) = build_dbt_cloud_job_assets(job_id=7)
    renamed = landing.with_attributes(  # as dg.load_assets_from_modules(key_prefix=…) does
        asset_key_replacements={key: key.with_prefix("other") for key in landing.keys}
    )
    with pytest.raises(ValueError, match="was renamed to other/run_result: give key_prefix"):
        graphs_in([renamed], RUN_RESULT)


def test_what_dagster_serializes_names_the_job_and_nothing_else(monkeypatch) -> None:
    """The repository's snapshot goes to the UI and to the daemon."""
    monkeypatch.setenv("THE_JOB", "70403")
    assets = build_dbt_cloud_job_assets(job_id=dg.EnvVar.int("THE_JOB"))
    repository = dg.Definitions(
        assets=assets,
        resources={
            "dbt_cloud": dg.ResourceDefinition.hardcoded_resource(None),
            "dbt_cloud_tables": dg.mem_io_manager,
            "dbt_cloud_artifacts": dg.ResourceDefinition.hardcoded_resource(None),
        },
    ).get_repository_def()
    text = serialize_value(RepositorySnap.from_def(repository))
    assert "the one that THE_JOB names" in text
    assert "70403" not in text
    assert "JobGraph" not in text


def test_a_job_is_known_as_far_as_its_variables_are_set(monkeypatch) -> None:
    """A variable counts as it is now."""
    assert JobReference(7).known() == JobReference(7)
    assert JobReference(None, "Nightly").known() == JobReference(None, "Nightly")
    variable = JobReference(dg.EnvVar.int("THE_JOB"))
    for value in (None, "", " "):
        if value is not None:
            monkeypatch.setenv("THE_JOB", value)
        assert variable.known() == JobReference()
    monkeypatch.setenv("THE_JOB", "12")
    assert variable.known() == JobReference(12)
    monkeypatch.setenv("THE_NAME", "Nightly")
    assert JobReference(None, dg.EnvVar("THE_NAME")).known() == JobReference(None, "Nightly")


def test_a_variable_that_holds_no_id_is_named(monkeypatch) -> None:
    """With what it should hold, and never with what it holds."""
    monkeypatch.setenv("THE_JOB", "nightly")
    with pytest.raises(ValueError, match=r"^THE_JOB is not the id of a job: give .* digits only"):
        JobReference(dg.EnvVar.int("THE_JOB")).known()
