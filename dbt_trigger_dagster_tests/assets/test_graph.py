"""The graph of one job: its shape, which job it runs, and that it starts it exactly once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import responses

from dbt_trigger_dagster import (
    DbtCloudRunConfig,
    DbtCloudTableIOManager,
    TriggerResponseConfig,
    build_dbt_cloud_job_assets,
)
from dbt_trigger_dagster.assets.io_manager import TABLE_KEY
from dbt_trigger_dagster.assets.table_metadata import column_schema
from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN, TRIGGER
from dbt_trigger_dagster_tests.assets.test_config import OVERRIDES, TOGETHER
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import (
    ARTIFACTS,
    BROKEN,
    GOOD,
    LONG,
    SLOW,
    Project,
    a_project,
    code_location_job,
    ended,
    failed_ops,
    failure_of,
    materialized,
    multiprocess_job,
    sent,
    triggers,
)
from dbt_trigger_dagster_tests.instances import an_instance

SLOW_JOB = SandboxJob(name="b", script=SLOW)
RESOURCES = {"dbt_cloud", "dbt_cloud_tables", "dbt_cloud_artifacts"}


def keys_of(assets: list[dg.AssetsDefinition]) -> list[str]:
    """The keys of all assets."""
    return sorted(key.to_user_string() for each in assets for key in each.keys)


# Shape


def test_the_graph_is_four_assets_of_two_ops() -> None:
    """All but the first are outputs of one op, each of which can be left out."""
    trigger, run = build_dbt_cloud_job_assets(job_id=1)
    assert (trigger.op.name, keys_of([trigger])) == ("trigger_response", ["trigger_response"])
    assert (run.op.name, keys_of([run])) == (
        "dbt_cloud_run",
        ["artifacts", "node_results", "run_result"],
    )
    assert run.can_subset
    assert trigger.asset_deps[dg.AssetKey("trigger_response")] == set()
    assert run.asset_deps[dg.AssetKey("run_result")] == {dg.AssetKey("trigger_response")}
    assert run.asset_deps[dg.AssetKey("artifacts")] == {dg.AssetKey("run_result")}
    assert run.asset_deps[dg.AssetKey("node_results")] == {dg.AssetKey("artifacts")}


def test_the_graph_can_do_without_node_results() -> None:
    """Then the asset is not there."""
    _, run = build_dbt_cloud_job_assets(job_id=1, node_results=False)
    assert keys_of([run]) == ["artifacts", "run_result"]


def test_the_graph_needs_three_resources_and_shadows_none_of_the_users() -> None:
    """Their keys all begin with dbt_cloud; the user's own io_manager is not asked for."""
    for each in build_dbt_cloud_job_assets(job_id=1):
        assert set(each.required_resource_keys) | {"io_manager"} >= {"dbt_cloud"}
        assert each.required_resource_keys - {"io_manager"} <= RESOURCES


def test_a_prefix_stands_in_the_keys_and_in_the_ops_names() -> None:
    """So that many jobs fit into one code location, and each can be configured."""
    assets = build_dbt_cloud_job_assets(job_id=1, key_prefix="nightly")
    assert keys_of(assets) == [
        "nightly/artifacts",
        "nightly/node_results",
        "nightly/run_result",
        "nightly/trigger_response",
    ]
    assert [each.op.name for each in assets] == [
        "nightly__trigger_response",
        "nightly__dbt_cloud_run",
    ]
    assert assets[1].asset_deps[dg.AssetKey(["nightly", "artifacts"])] == {
        dg.AssetKey(["nightly", "run_result"])
    }


def test_a_prefix_may_have_several_parts() -> None:
    """As anywhere in Dagster."""
    assets = build_dbt_cloud_job_assets(job_id=1, key_prefix=["emea", "nightly"])
    assert "emea/nightly/run_result" in keys_of(assets)
    assert assets[0].op.name == "emea__nightly__trigger_response"


def test_group_and_pool_reach_every_asset_and_op() -> None:
    """A pool limits how many dbt Cloud runs are waited for at once."""
    for each in build_dbt_cloud_job_assets(job_id=1, group_name="nightly", pool="dbt_slots"):
        assert set(each.group_names_by_key.values()) == {"nightly"}
        assert each.op.pool == "dbt_slots"


def test_the_trigger_comes_after_what_it_depends_on() -> None:
    """Load first, then transform."""
    trigger, run = build_dbt_cloud_job_assets(job_id=1, deps=["raw_orders", dg.AssetKey("raw")])
    assert trigger.asset_deps[dg.AssetKey("trigger_response")] == {
        dg.AssetKey("raw_orders"),
        dg.AssetKey("raw"),
    }
    assert run.asset_deps[dg.AssetKey("run_result")] == {dg.AssetKey("trigger_response")}


def test_every_asset_names_its_table_and_its_columns_before_it_has_ever_run() -> None:
    """The UI shows the columns, and what they mean, from the definition alone."""
    specs = {
        spec.key.to_user_string(): spec
        for each in build_dbt_cloud_job_assets(job_id=1)
        for spec in each.specs
    }
    for name, table in (
        ("trigger_response", TRIGGER),
        ("run_result", RUN),
        ("artifacts", ARTIFACT),
        ("node_results", NODE_RESULT),
    ):
        assert specs[name].metadata[TABLE_KEY] == table.name
        assert specs[name].metadata["dagster/column_schema"] == column_schema(table)
        assert specs[name].description
        assert table.name in specs[name].description
        assert "dbtcloud" in specs[name].kinds


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"job_name": "Shop `nightly`\nbuild"}, "the dbt Cloud job `Shop 'nightly' build`"),
        ({"job_id": 67890}, "the dbt Cloud job `67890`"),
        ({"job_id": dg.EnvVar.int("SHOP_JOB")}, "the dbt Cloud job that `SHOP_JOB` names"),
        ({}, "the dbt Cloud job that the run's config names"),
    ],
)
def test_every_description_names_the_job(named: dict[str, Any], words: str) -> None:
    """Nobody has to guess it from a key; what a job is called is shown as text."""
    assets = build_dbt_cloud_job_assets(**named)
    descriptions = [spec.description or "" for each in assets for spec in each.specs]
    assert len(descriptions) == 4
    assert [each for each in descriptions if words not in each] == []


def test_the_kind_of_the_database_can_be_a_tag() -> None:
    """As the documents say: nobody but the user knows it before a run."""
    assets = build_dbt_cloud_job_assets(job_id=1, tags={"dagster/kind/postgres": ""})
    kinds = {frozenset(spec.kinds) for each in assets for spec in each.specs}
    assert kinds == {frozenset({"dbtcloud", "postgres"})}


def test_tags_and_owners_reach_every_asset() -> None:
    """So that they can be found, and somebody be asked."""
    assets = build_dbt_cloud_job_assets(job_id=1, tags={"tier": "1"}, owners=["team:data"])
    specs = [spec for each in assets for spec in each.specs]
    assert len(specs) == 4
    for spec in specs:
        assert spec.tags["tier"] == "1"
        assert list(spec.owners) == ["team:data"]


def test_every_asset_names_its_job() -> None:
    """In the UI; a variable by its name, because it is not read here."""
    for arguments, said in (
        ({"job_id": 7}, "7"),
        ({"job_name": "Nightly"}, "Nightly"),
        ({"job_id": dg.EnvVar.int("JOB")}, "the one that JOB names"),
        ({}, "the one that the run's config names"),
    ):
        for each in build_dbt_cloud_job_assets(**arguments):  # type: ignore[arg-type]
            for spec in each.specs:
                assert spec.metadata["dbt_cloud/job"].value == said


def test_a_job_by_number_and_by_name_is_refused() -> None:
    """One of them would be ignored."""
    with pytest.raises(ValueError, match="give one of them"):
        build_dbt_cloud_job_assets(job_id=1, job_name="nightly")


@pytest.mark.parametrize(
    ("defaults", "sentence"),
    [
        ({"trigger_defaults": TriggerResponseConfig(job_id=2)}, "give job_id or job_name to"),
        ({"trigger_defaults": TriggerResponseConfig(job_name="b")}, "give job_id or job_name to"),
        ({"run_defaults": DbtCloudRunConfig(run_ids=[3])}, "in the config of a run"),
    ],
)
def test_defaults_that_name_a_job_or_runs_are_refused(
    defaults: dict[str, Any], sentence: str
) -> None:
    """They would win over the graph's own job, or keep every run from being followed."""
    with pytest.raises(ValueError, match=sentence):
        build_dbt_cloud_job_assets(job_id=1, **defaults)


def test_events_of_nodes_without_their_results_are_refused() -> None:
    """There would be none, and nobody would say why."""
    with pytest.raises(ValueError, match="emit_node_events, which needs node_results"):
        build_dbt_cloud_job_assets(
            job_id=1, node_results=False, run_defaults=DbtCloudRunConfig(emit_node_events=True)
        )


# Defaults


def config_fields(assets: list[dg.AssetsDefinition], position: int) -> dict[str, Any]:
    """The fields of an op's config that have a default that is set, as the launchpad shows them."""
    fields = assets[position].op.config_schema.config_type.fields  # type: ignore[union-attr]
    return {name: field.default_value for name, field in fields.items() if field.default_provided}


def test_the_launchpad_shows_a_graphs_own_defaults() -> None:
    """Every field has its default, be it a text, a list, a choice or null; another graph's not."""
    mine = build_dbt_cloud_job_assets(
        job_id=1,
        trigger_defaults=TriggerResponseConfig(cause="Nightly", steps_override=["dbt run"]),
        run_defaults=DbtCloudRunConfig(max_wait_time=None, on_timeout="leave", poll_interval=3),
    )
    others = build_dbt_cloud_job_assets(job_id=2)
    changed = {"cause": "Nightly", "steps_override": ["dbt run"]}
    assert config_fields(mine, 0) == {**config_fields(others, 0), **changed}
    policy = {"max_wait_time": None, "on_timeout": "leave", "poll_interval": 3}
    assert config_fields(mine, 1) == {**config_fields(others, 1), **policy}
    assert config_fields(others, 0)["cause"] == "Triggered from Dagster"


def test_defaults_arrive_and_the_runs_config_changes_them(project: Project) -> None:
    """One by one: what a run does not set stays as the graph has it."""
    graph = project.assets(
        trigger_defaults=TriggerResponseConfig(cause="Nightly", git_branch="main"),
        run_defaults=DbtCloudRunConfig(store_artifacts=False, poll_interval=0.05),
    )
    assert project.materialize(assets=graph).success
    assert project.materialize(assets=graph, trigger={"cause": "By hand"}).success
    first, second = (run["trigger"] for run in project.dbt_runs()[-2:])
    assert first["cause"].startswith("Nightly [dagster")
    assert second["cause"].startswith("By hand [dagster")
    assert (first["git_branch"], second["git_branch"]) == ("main", "main")
    assert len(project.run_ids()) == 2
    assert project.files() == {}


def test_the_trigger_reads_the_waits_defaults(project: Project) -> None:
    """Artifacts that nobody wants need no folder; those that are wanted are checked for first."""
    project.artifacts.parent.mkdir(parents=True)
    project.artifacts.write_text("in the way")
    wanted, unwanted = (
        project.assets(run_defaults=DbtCloudRunConfig(store_artifacts=wanted))
        for wanted in (True, False)
    )
    assert not project.materialize(assets=wanted, selection=["trigger_response"]).success
    assert triggers(project.sandbox) == 0
    assert project.materialize(assets=unwanted, selection=["trigger_response"]).success
    config = {"dbt_cloud_run": {"config": {"store_artifacts": False, "poll_interval": 0.05}}}
    assert dg.materialize(wanted, resources=project.resources(), run_config={"ops": config}).success


def test_defining_a_graph_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor the network: a code location must load where neither is."""
    with responses.RequestsMock() as wire:
        build_dbt_cloud_job_assets(job_id=dg.EnvVar.int("TEST_NOT_SET"))
        build_dbt_cloud_job_assets(job_name="nightly", key_prefix="by_name")
        assert len(wire.calls) == 0


# Which job


@pytest.fixture(scope="module")
def account() -> Iterator[Sandbox]:
    """An account with several jobs, two of the same name."""
    names = ("nightly", "hourly", "twice", "twice", "Nightly")
    with Sandbox(jobs=[SandboxJob(name=name, script=GOOD) for name in names]) as sandbox:
        yield sandbox


@pytest.fixture
def project(account: Sandbox, tmp_path: Path) -> Iterator[Project]:
    """A project that uses the account, with no requests of others to be counted."""
    account._board._requests.clear()
    with an_instance() as instance:
        yield Project(tmp_path, account, instance)


def id_of(project: Project, name: str) -> int:
    """The number of a job."""
    return next(job.id for job in project.sandbox.jobs if job.name == name)


def triggered_job(project: Project, trigger: dict[str, Any] | None = None, **job: Any) -> Any:
    """The number of the job that a graph triggers, or why it triggers none."""
    result = project.materialize(
        assets=build_dbt_cloud_job_assets(**job), selection=["trigger_response"], trigger=trigger
    )
    if result.success:
        return project.rows("dbt_cloud_trigger")[0]["job_definition_id"]
    assert triggers(project.sandbox) == 0
    assert project.rows("dbt_cloud_trigger") == []
    return failure_of(result, "trigger_response").description


def test_the_job_is_named_by_number(project: Project) -> None:
    """Then the trigger is the only request."""
    job_id = id_of(project, "hourly")
    assert triggered_job(project, job_id=job_id) == job_id
    assert len(project.sandbox.requests) == 1


def test_the_job_is_named_by_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in the run; both kinds of EnvVar will do."""
    monkeypatch.setenv("TEST_JOB_ID", str(id_of(project, "hourly")))
    for variable in (dg.EnvVar.int("TEST_JOB_ID"), dg.EnvVar("TEST_JOB_ID")):
        assert triggered_job(project, job_id=variable) == id_of(project, "hourly")


def test_the_job_is_named_by_its_exact_name(project: Project) -> None:
    """Case counts: "nightly" is not "Nightly", although dbt Cloud's search finds both."""
    assert triggered_job(project, job_name="nightly") == id_of(project, "nightly")


@pytest.mark.parametrize("definition", [{"job_id": 4711}, {"job_name": "twice"}, {}])
@pytest.mark.parametrize("by", ["job_id", "job_name"])
def test_the_runs_config_comes_before_the_definition(
    project: Project, definition: dict[str, Any], by: str
) -> None:
    """For one run, another job, by number or by name."""
    wanted = id_of(project, "hourly")
    config = {"job_id": wanted} if by == "job_id" else {"job_name": "hourly"}
    assert triggered_job(project, config, **definition) == wanted


def test_an_ambiguous_name_is_refused_with_the_numbers(project: Project) -> None:
    """Whoever reads it can go on with job_id."""
    numbers = ", ".join(str(job.id) for job in project.sandbox.jobs if job.name == "twice")
    assert triggered_job(project, job_name="twice") == (
        f"2 jobs are named 'twice': give job_id, one of {numbers}."
    )


def test_an_unknown_name_is_refused_with_the_nearest(project: Project) -> None:
    """Most unknown names are typing errors."""
    said = triggered_job(project, job_name="nigthly")
    assert said.startswith("No job is named 'nigthly'. The nearest names: 'nightly' (")
    assert str(id_of(project, "nightly")) in said


def test_no_job_at_all_is_refused_with_the_places_to_name_one(project: Project) -> None:
    """Before any request."""
    said = triggered_job(project)
    assert said.startswith("No job is named: set job_id or job_name")
    assert "build_dbt_cloud_job_assets" in said
    assert project.sandbox.requests == []


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("kind", [dg.EnvVar.int, dg.EnvVar], ids=["number", "text"])
def test_a_variable_that_is_not_set_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, kind: Any, value: str | None
) -> None:
    """With the place where the number is found."""
    if value is not None:
        monkeypatch.setenv("TEST_JOB_ID", value)
    said = triggered_job(project, job_id=kind("TEST_JOB_ID"))
    assert said.startswith("TEST_JOB_ID is not set")
    assert "/jobs/" in said
    assert project.sandbox.requests == []


@pytest.mark.parametrize("kind", [dg.EnvVar.int, dg.EnvVar], ids=["number", "text"])
def test_a_variable_that_is_no_number_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    """It may be the job's name."""
    monkeypatch.setenv("TEST_JOB_ID", "nightly")
    assert triggered_job(project, job_id=kind("TEST_JOB_ID")) == (
        "TEST_JOB_ID is not the id of a job: give the number after /jobs/ in the address of the "
        "job's page in dbt Cloud, digits only."
    )
    assert project.sandbox.requests == []


# Side by side


def test_dbt_cloud_itself_runs_one_run_of_a_job_at_a_time(tmp_path: Path) -> None:
    """Two jobs run side by side; of one job's two runs the second is queued, with no pool."""
    with a_project(tmp_path, jobs=[SandboxJob(name="a", script=SLOW), SLOW_JOB]) as project:
        for name in ("a", "b", "a"):
            graph = build_dbt_cloud_job_assets(job_name=name, key_prefix=name)
            assert dg.materialize(
                [graph[0]], resources=project.resources(), instance=project.instance
            ).success
        first, second, third = until(
            lambda: [
                run["status_humanized"]
                for run in project.dbt_runs()
                if [each["status_humanized"] for each in project.dbt_runs()].count("Running") == 2
            ],
            "two dbt runs are under way",
        )
        assert (first, second, third) == ("Running", "Running", "Queued")


# What is sent


def body_sent(project: Project, trigger: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of the trigger's request, its cause without the marker."""
    with responses.RequestsMock() as wire:
        wire.post(
            f"{project.sandbox.access_url}/api/v2/accounts/{project.sandbox.account_id}"
            f"/jobs/{project.job_id}/run/",
            json={"data": {"id": 1, "status": 1}},
        )
        assert project.materialize(selection=["trigger_response"], trigger=trigger).success
        body: dict[str, Any] = json.loads(wire.calls[0].request.body or "")
        body["cause"], _, key = body["cause"].rpartition(" [dagster ")
        assert project.instance.has_run(key.rstrip("]"))
        return body


def test_without_config_only_a_cause_is_sent(project: Project) -> None:
    """An override that is not set is not sent, not even as null."""
    assert body_sent(project) == {"cause": "Triggered from Dagster"}


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_is_sent_under_the_apis_own_name(project: Project, name: str) -> None:
    """And it alone."""
    override = {name: OVERRIDES[name]}
    assert body_sent(project, {"cause": "by hand", **override}) == {"cause": "by hand", **override}


def test_all_overrides_arrive_in_dbt_cloud(project: Project) -> None:
    """The sandbox refuses a field that the API does not know."""
    assert project.materialize(selection=["trigger_response"], trigger=TOGETHER).success
    sent = project.dbt_runs()[-1]["trigger"]
    assert {name: sent[name] for name in TOGETHER} == TOGETHER


def test_the_trigger_tells_the_runs_number_and_page_at_once(project: Project) -> None:
    """In the log of the step that triggers, before anybody waits."""
    result = project.materialize(selection=["trigger_response"])
    dbt_run = project.dbt_runs()[-1]
    told = f"dbt Cloud run {dbt_run['id']} of job {project.job_id}: {dbt_run['href']}"
    entries = project.instance.all_logs(result.run_id)
    assert [entry.step_key for entry in entries if entry.user_message == told] == [
        "trigger_response"
    ]


# Subsets


@pytest.mark.parametrize("name", ["trigger_response", "run_result", "artifacts"])
def test_each_asset_can_be_materialized_alone(tmp_path: Path, name: str) -> None:
    """run_result and artifacts then follow the run that was triggered last."""
    with a_project(tmp_path, GOOD) as project:
        assert project.materialize(selection=["trigger_response"]).success
        result = project.materialize(selection=[name])
        assert result.success
        assert materialized(result) == [name]
        assert triggers(project.sandbox) == (2 if name == "trigger_response" else 1)
        assert bool(project.run_ids()) == (name == "run_result")
        assert bool(project.rows("dbt_cloud_artifact")) == (name == "artifacts")
        assert bool(project.files()) == (name == "artifacts")


def test_a_run_can_be_landed_once_more(tmp_path: Path) -> None:
    """Landing again replaces what was there; the job is not triggered."""
    with a_project(tmp_path, BROKEN) as project:
        project.materialize()
        before = len(project.rows("dbt_cloud_artifact")), project.run_ids()
        result = project.materialize(selection=["run_result", "artifacts"])
        assert failed_ops(result) == ["dbt_cloud_run"]
        assert (len(project.rows("dbt_cloud_artifact")), project.run_ids()) == before
        assert triggers(project.sandbox) == 1


@pytest.mark.parametrize("renamed", ["trigger_response", "run_result"])
def test_assets_that_were_renamed_are_refused_before_anything_is_sent(
    tmp_path: Path, renamed: str
) -> None:
    """Checks and observations would be of assets that are not there."""
    with a_project(tmp_path, GOOD) as project:
        moved = [
            each.with_attributes(  # as dg.load_assets_from_modules(key_prefix=…) does
                asset_key_replacements={key: key.with_prefix("other") for key in each.keys}
            )
            for each in project.assets()
        ]
        result = project.materialize(assets=moved, selection=[f"other/{renamed}"])
        (failed,) = failed_ops(result)
        said = str(failure_of(result, failed).description)
        assert f"{renamed} was renamed to other/{renamed}: give key_prefix" in said
        assert project.sandbox.requests == []


def test_what_somebody_reports_brings_no_run(tmp_path: Path) -> None:
    """As people can in the UI: the run that was triggered last is followed as before."""
    with a_project(tmp_path, GOOD) as project:
        assert project.materialize(selection=["trigger_response"]).success
        reported = dg.AssetMaterialization("trigger_response")
        project.instance.report_runless_asset_event(reported)
        assert project.materialize(selection=["run_result"]).success
        assert len(project.run_ids()) == 1


def test_a_wait_without_a_trigger_says_what_to_do(tmp_path: Path) -> None:
    """No run was ever triggered, and none is named."""
    with a_project(tmp_path) as project:
        result = project.materialize(selection=["run_result"])
        said = str(failure_of(result, "dbt_cloud_run").description)
        assert said.startswith("There is no dbt Cloud run to wait for: this Dagster instance")
        assert "trigger_response first" in said
        assert "run_ids" in said
        assert project.sandbox.requests == []


# In somebody's project


def test_what_is_downstream_gets_the_rows_and_runs_after_a_good_run(tmp_path: Path) -> None:
    """An asset of the user's own loads ours by name, with the user's own IO manager beside."""
    got: list[Any] = []

    @dg.asset
    def report(run_result: Any, artifacts: Any) -> str:
        """Reads what the run left."""
        got.append((run_result["status"].tolist(), sorted(artifacts["path"])))
        return "kept by the user's own IO manager"

    with a_project(tmp_path, GOOD) as project:
        assert project.materialize(report).success
    assert got == [([10], ["manifest.json", "run_results.json"])]


@pytest.mark.parametrize("step", ["trigger_response", "run_result"])
def test_the_file_of_the_tables_is_free_after_each_step(project: Project, step: str) -> None:
    """DuckDB lets nobody open it read-only while this very process has it open to write."""

    @dg.asset(deps=[step])
    def reader() -> Any:
        with duckdb.connect(project.database, read_only=True):
            return dg.MaterializeResult()

    tables = DbtCloudTableIOManager(database=str(project.database))
    result = project.materialize(reader, resources={"dbt_cloud_tables": tables})
    assert result.success
    assert "reader" in materialized(result)


def test_two_jobs_in_one_dagster_run_follow_their_own_runs(tmp_path: Path) -> None:
    """They share the tables, and neither reads the other's rows."""
    jobs = [
        SandboxJob(name=name, script=Script(seconds=0.1, artifacts=ARTIFACTS))
        for name in ("nightly", "hourly")
    ]
    got: dict[str, list[int]] = {}

    @dg.asset(ins={name: dg.AssetIn(key=[name, "run_result"]) for name in ("nightly", "hourly")})
    def report(nightly: Any, hourly: Any) -> None:
        """Reads what both left."""
        got["nightly"] = nightly["job_definition_id"].tolist()
        got["hourly"] = hourly["job_definition_id"].tolist()

    with a_project(tmp_path, jobs=jobs) as project:
        graph = [
            each
            for job in project.sandbox.jobs
            for each in build_dbt_cloud_job_assets(job_id=job.id, key_prefix=job.name)
        ]
        assert project.materialize(assets=[*graph, report]).success
        assert got == {job.name: [job.id] for job in project.sandbox.jobs}
        assert len(project.run_ids()) == triggers(project.sandbox) == 2


def test_the_wait_policy_of_a_prefixed_graph_is_its_own(tmp_path: Path) -> None:
    """A wait that cannot be kept stops the trigger of the same graph, and of no other."""
    with a_project(tmp_path) as project:
        graphs = {
            name: project.assets(key_prefix=name, job_id=project.job_id) for name in ("a", "b")
        }
        result = dg.materialize(
            [each for graph in graphs.values() for each in graph],
            resources=project.resources(),
            run_config={"ops": {"a__dbt_cloud_run": {"config": {"poll_interval": -1}}}},
            instance=project.instance,
            raise_on_error=False,
        )
        assert failed_ops(result) == ["a__trigger_response"]
        assert triggers(project.sandbox) == 1


def test_the_wait_policy_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any config of Dagster's: the trigger reads it as the step that waits will get it."""
    monkeypatch.setenv("TEST_DOWNLOADS", "3")
    monkeypatch.setenv("TEST_PATTERN", "manifest.*")
    wait = {
        "max_parallel_downloads": {"env": "TEST_DOWNLOADS"},
        "include_artifacts": [{"env": "TEST_PATTERN"}],
    }
    with a_project(tmp_path, GOOD) as project:
        assert project.materialize(run=wait).success
        assert [row["path"] for row in project.rows("dbt_cloud_artifact")] == ["manifest.json"]


# Exactly once

HANG_BEFORE = Fault("hang", method="POST", when="before", seconds=600)


@pytest.mark.parametrize(
    "fault",
    [
        HANG_BEFORE,
        Fault("reset", method="POST", when="after"),
        Fault(method="POST", when="after", status=200, body={"data": {"id": None}}),
    ],
    ids=lambda fault: f"{fault.kind} {fault.when}",
)
def test_a_lost_answer_never_starts_the_job_twice(tmp_path: Path, fault: Fault) -> None:
    """The run that was started is found and adopted; one that was not is started once."""
    was_started = fault != HANG_BEFORE
    with a_project(tmp_path, GOOD) as project:
        project.sandbox.inject(fault)
        result = project.materialize(resources={"dbt_cloud": project.account(request_timeout=1)})
        assert result.success
        assert triggers(project.sandbox) == (1 if was_started else 2)
        (dbt_run,) = project.dbt_runs()
        (row,) = project.rows("dbt_cloud_trigger")
        assert (row["id"], row["adopted"]) == (dbt_run["id"], was_started)
        assert project.run_ids() == [dbt_run["id"]]


def test_a_trigger_that_was_turned_away_is_searched_for_and_sent_again(tmp_path: Path) -> None:
    """Dbt Cloud said that it had no time, and the search agrees."""
    with a_project(tmp_path, GOOD) as project:
        project.sandbox.inject(
            Fault(method="POST", status=429, count=2, headers={"Retry-After": "0"})
        )
        assert project.materialize().success
        assert triggers(project.sandbox) == 3
        assert len(project.dbt_runs()) == 1
        asked = [request.method for request in project.sandbox.requests[:5]]
        assert asked == ["POST", "GET", "POST", "GET", "POST"]


def test_a_trigger_that_was_turned_away_although_it_ran_is_adopted(tmp_path: Path) -> None:
    """Dbt Cloud acted, and something in front of it said that it had no time."""
    with a_project(tmp_path, GOOD) as project:
        turned_away = {"when": "after", "status": 503, "headers": {"Retry-After": "0"}}
        project.sandbox.inject(Fault(method="POST", **turned_away))
        assert project.materialize().success
        assert triggers(project.sandbox) == len(project.dbt_runs()) == 1
        assert [row["adopted"] for row in project.rows("dbt_cloud_trigger")] == [True]


def test_a_refusal_is_final(tmp_path: Path) -> None:
    """One request, what dbt Cloud said, and no retries by Dagster."""
    body = {"status": {"code": 422, "user_message": "Not like this."}, "data": None}
    with a_project(tmp_path, GOOD) as project:
        project.sandbox.inject(Fault(method="POST", status=422, body=body, count=None))
        result = project.materialize()
        said = str(failure_of(result, "trigger_response").description)
        assert "was answered 422: Not like this." in said
        assert "may have been started" not in said
        assert len(project.sandbox.requests) == 1


# Going on


@pytest.fixture
def code_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The package's own code location, with a job whose first run takes long."""
    with a_project(tmp_path, LONG) as project:
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        yield project


def test_a_step_that_timed_out_goes_on_waiting_for_the_same_run(code_location: Project) -> None:
    """Re-executed from its failure: the job is not triggered again, and the run is landed."""
    project = code_location
    job = dg.reconstructable(code_location_job)
    wait = {"poll_interval": 0.05, "max_wait_time": 0.2}
    first = dg.execute_job(
        job,
        instance=project.instance,
        run_config={"ops": {"dbt_cloud_run": {"config": wait}}},
    )
    assert not first.success
    assert project.run_ids() == []
    assert project.end_dbt_runs()
    second = dg.execute_job(
        job,
        instance=project.instance,
        run_config={"ops": {"dbt_cloud_run": {"config": {**wait, "max_wait_time": 600}}}},
        reexecution_options=dg.ReexecutionOptions.from_failure(first.run_id, project.instance),
    )
    assert second.success
    assert triggers(project.sandbox) == 1
    assert project.run_ids() == [run["id"] for run in project.dbt_runs()]
    assert [row["dagster_run_id"] for row in project.rows("dbt_cloud_run")] == [second.run_id]


def test_dagsters_retries_go_on_waiting_for_the_same_run(tmp_path: Path) -> None:
    """A wait that was too short is continued by a retry policy."""
    with a_project(tmp_path, LONG) as project:
        job = dg.Definitions(
            assets=project.assets(),
            resources=project.resources(),
            jobs=[dg.define_asset_job("patient", op_retry_policy=dg.RetryPolicy(max_retries=9999))],
        ).resolve_job_def("patient")
        # More polls than one attempt makes in its time.
        with ended(project, lambda: len(sent(project.sandbox, "GET")) > 20):
            result = job.execute_in_process(
                instance=project.instance,
                run_config={"ops": {"dbt_cloud_run": {"config": {"max_wait_time": 10}}}},
            )
        assert [event.node_name for event in result.all_events if event.is_step_up_for_retry]
        assert triggers(project.sandbox) == 1
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [10]


def test_a_full_re_execution_is_a_new_intention(tmp_path: Path) -> None:
    """Materializing again triggers again, also while the first run goes on."""
    with a_project(tmp_path, SLOW) as project:
        for _ in range(2):
            assert project.materialize(run={"wait_for_result": False}).success
        assert triggers(project.sandbox) == 2
        assert len(project.run_ids("dbt_cloud_trigger")) == 2


def test_the_multiprocess_executor_works_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step in a process of its own: the run is handed over by its row alone."""
    with a_project(tmp_path, GOOD) as project, dg.instance_for_test() as instance:
        for name, value in project.environment().items():
            monkeypatch.setenv(name, value)
        result = dg.execute_job(dg.reconstructable(multiprocess_job), instance=instance)
        assert result.success
        assert triggers(project.sandbox) == 1
        assert project.run_ids() == [run["id"] for run in project.dbt_runs()]
        assert len(project.files()) == 2


def test_the_code_location_is_this_graph() -> None:
    """The tests above that use it speak of the same assets."""
    assert {key.to_user_string() for key in defs.resolve_all_asset_keys()} == {
        "trigger_response",
        "run_result",
        "artifacts",
        "node_results",
    }
