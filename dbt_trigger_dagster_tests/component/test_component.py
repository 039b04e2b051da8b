"""The component: from YAML to definitions that run, for one job or hundreds."""

import re
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import responses
import yaml
from dagster.components.testing.utils import create_defs_folder_sandbox

from dbt_trigger_dagster import DbtCloudJobsComponent
from dbt_trigger_dagster.component.component import DbtCloudJobsScaffolder, ScaffoldParams
from dbt_trigger_dagster.component.storage import Storage
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import LANDED, Project, a_project, failure_of

TYPE = "dbt_trigger_dagster.DbtCloudJobsComponent"
MANY = 300

# Dagster's own: how it reads every defs.yaml, and notes where it stands.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated"),
    pytest.mark.filterwarnings("ignore:Class `.*CodeReference.*` is currently in beta"),
    pytest.mark.filterwarnings("ignore:Parameter `owners` of initializer `SensorDefinition"),
]


def component(**attributes: Any) -> DbtCloudJobsComponent:
    """The component that these attributes describe."""
    return DbtCloudJobsComponent.from_attributes_dict(attributes=attributes)


def load(*attributes: dict[str, Any]) -> dg.Definitions:
    """The definitions of a dg project with a file for each of these."""
    with create_defs_folder_sandbox() as sandbox:
        for each in attributes:
            sandbox.scaffold_component(
                component_cls=DbtCloudJobsComponent,
                defs_yaml_contents={"type": TYPE, "attributes": each},
            )
        with sandbox.build_all_defs() as definitions:
            return definitions


def why_it_does_not_load(*attributes: dict[str, Any]) -> str:
    """All that is said when a project with such files is loaded."""
    with pytest.raises(Exception, match="Error while") as caught:
        load(*attributes)
    return "".join(traceback.format_exception(caught.value))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose account is in the environment."""
    with a_project(tmp_path) as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def job(**settings: Any) -> dict[str, Any]:
    """A job that is found by its name, and whose run is polled often."""
    return {"job_name": "nightly", "poll_interval": 0.05, **settings}


def test_a_file_of_a_dg_project_is_assets_that_run(project: Project) -> None:
    """Account and storage come from the environment when the run starts."""
    definitions = load({"workspace": {}, "storage": {}, "jobs": [job(key="a", cause="Mine")]})
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process()
    assert result.success
    (dbt_run,) = project.dbt_runs()
    assert dbt_run["trigger"]["cause"].startswith("Mine [dagster")
    assert project.run_ids() == [dbt_run["id"]]
    assert len(project.files()) == 2


def test_it_loads_where_no_variable_is_set_and_the_run_names_those_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code location must load; what it lacks is told by the first step, as its own failure."""
    monkeypatch.chdir(tmp_path)
    workspace = {"token_env": "MY_TOKEN", "access_url": "x.dbt.com"}
    definitions = load({"workspace": workspace, "storage": {}, "jobs": [{"job_id_env": "MY_JOB"}]})
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(raise_on_error=False)
    said = str(failure_of(result, "trigger_response").description)
    assert "MY_TOKEN" in said
    assert "DBT_CLOUD_ACCOUNT_ID" in said
    assert "DBT_CLOUD_ACCESS_URL" not in said


def test_without_workspace_and_storage_the_projects_own_resources_count(project: Project) -> None:
    """A project that has them already says nothing twice."""
    mine = component(jobs=[job()]).build_definitions()
    assert mine.resources == {}
    both = dg.Definitions.merge(mine, dg.Definitions(resources=project.resources()))
    assert both.resolve_implicit_global_asset_job_def().execute_in_process().success
    assert len(project.run_ids()) == 1


def test_two_files_may_name_the_same_account_and_storage() -> None:
    """A project may have a file for each team; what they say alike is one resource."""
    account = {"workspace": {"token_env": "MY_TOKEN"}, "storage": {"database": "a.duckdb"}}
    definitions = load(
        {**account, "jobs": [job(key="a")]},
        {**account, "jobs": [job(key="b")]},
        {"jobs": [job(key="c")]},
    )
    assert len(definitions.get_repository_def().assets_defs_by_key) == 12


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            {"workspace": {"token_env": "A"}, "jobs": [job(key="a")]},
            {"workspace": {"token_env": "B"}, "jobs": [job(key="b")]},
            (
                r"workspace: is not that of {file}; a code location has one account: say the same "
                r"in both, or only in one\. Another account needs another code location\."
            ),
        ),
        (
            {"storage": {"database": "a.duckdb"}, "jobs": [job(key="a")]},
            {"storage": {"database": "b.duckdb"}, "jobs": [job(key="b")]},
            r"storage: is not that of {file}; a code location has one storage",
        ),
        (
            {"jobs": [job(key="a"), job(key="b")]},
            {"jobs": [job(key="c"), job(key="b")]},
            r"jobs\.1\.key: the job at {file} has the same key: give each a key of its own\.",
        ),
        (
            {"jobs": [job(key="a")], "retention": {}},
            {"jobs": [job(key="b")], "retention": {"older_than_days": 7}},
            r"retention: there is one at {file}, which serves all jobs of the code location",
        ),
        (
            {"jobs": [job(key="a")], "monitor": {}},
            {"jobs": [job(key="b")], "monitor": {"name": "mine"}},
            (
                r"monitor: there is one at {file}, which serves all jobs of the code location: "
                r"leave one of them out\."
            ),
        ),
    ],
    ids=["workspace", "storage", "key", "monitor", "retention"],
)
def test_two_files_that_do_not_go_together_are_both_named(one, other, said: str) -> None:
    """Each with its line."""
    file = r"\S+/defs\.yaml:(?!1\b)\d+"  # not the first line, which says the type
    pattern = f"{file}: {said.format(file=file)}"
    found = re.search(pattern, why_it_does_not_load(one, other))
    assert found
    assert len(set(re.findall(file, found[0]))) == 2


def test_a_monitor_in_one_file_serves_the_jobs_of_all() -> None:
    """Those of files in which nothing is said of it, above all; whichever is read first."""
    files = [
        {"workspace": {}, "storage": {}, "jobs": [job(key="a")]},
        {"jobs": [job(key="b")], "monitor": {}},
        {"jobs": [job(key="c", node_results=False)]},
    ]
    for order in (files, files[::-1]):
        landing = load(*order).resolve_job_def("dbt_cloud_monitor_landing")
        landed = {key.to_user_string() for key in landing.asset_layer.executable_asset_keys}
        whole = {f"{key}/{name}" for key in "ab" for name in LANDED}
        assert landed == whole | {"c/run_result", "c/artifacts"}


@pytest.mark.parametrize(
    "database", ["postgresql://u:sesame@host/db", "host=h password=sesame", "md:?token=sesame"]
)
def test_what_may_have_a_password_is_in_no_description(database: str) -> None:
    """The UI shows them to everybody."""
    assert "sesame" not in Storage(database=database).tables_description


def test_a_path_is_shown_as_short_as_it_can_be() -> None:
    """Without the way up and down again."""
    assert Storage(database="/a/b/../c.duckdb").tables_description.endswith(" in /a/c.duckdb.")


def test_relative_paths_begin_in_the_project(project: Project, tmp_path: Path, monkeypatch) -> None:
    """Not where somebody stands: those of the file and the variables, and the defaults."""
    stands = tmp_path / "elsewhere"
    stands.mkdir()
    monkeypatch.chdir(stands)
    monkeypatch.delenv("DBT_TRIGGER_DATABASE")
    monkeypatch.setenv("DBT_TRIGGER_ARTIFACTS", "files/of/artifacts")
    with create_defs_folder_sandbox() as sandbox:
        attributes = {"workspace": {}, "storage": {}, "jobs": [job(key="a")]}
        sandbox.scaffold_component(
            component_cls=DbtCloudJobsComponent,
            defs_yaml_contents={"type": TYPE, "attributes": attributes},
        )
        with sandbox.build_all_defs() as definitions:
            run = definitions.resolve_implicit_global_asset_job_def().execute_in_process
            assert run().success
            root = sandbox.project_root
            assert (root / "data/dbt_cloud.duckdb").is_file()
            assert len(list((root / "files/of/artifacts").rglob("*.json"))) == 2
            said = definitions.get_repository_def().get_top_level_resources()
    assert str(root / "data/dbt_cloud.duckdb") in str(said["dbt_cloud_tables"].description)
    assert str(root / "data/artifacts") in str(said["dbt_cloud_artifacts"].description)
    assert list(stands.iterdir()) == []


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([], "jobs: there is no job: give at least one."),
        ([job(), job()], "jobs.1: jobs.0 has the same key: give each job a key of its own."),
        ([job(key="a"), job(key="b"), job(key="a")], "jobs.2.key: jobs.0 has the same key"),
        ([job(key="a/b"), job(key="a__b")], "jobs.1.key: jobs.0 has the same key"),
        ([job(key="a"), job(key="b", cron="0 99 * * *")], "jobs.1.cron: Found invalid cron"),
        ([job(key="a"), {"key": "b"}], "jobs.1: no job is named"),
    ],
)
def test_jobs_that_cannot_be_are_refused_with_their_place(
    jobs: list[dict[str, Any]], said: str
) -> None:
    """Two jobs of one key would have the same assets."""
    with pytest.raises(Exception, match=r".") as caught:
        component(jobs=jobs)
    assert said in str(caught.value)


def test_what_is_wrong_in_a_dg_project_is_told_with_file_and_line() -> None:
    """As Dagster loads the file; a token that stands there is not repeated."""
    said = why_it_does_not_load({"workspace": {"token": "dbtc_S3cret"}, "jobs": [job()]})
    assert "defs.yaml:6: attributes.workspace.token: a token stands in no file" in said
    assert "S3cret" not in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("      max_wait_tim: s3cret", "jobs.0.max_wait_tim: is unknown; did you mean max_wait_t"),
        ("      token: s3cret", "jobs.0.token: is unknown."),
        ("      max_wait_time: s3cret", "jobs.0.max_wait_time: Input should be a valid number"),
    ],
)
def test_a_dg_project_is_told_as_much_as_a_file_of_jobs(wrong: str, said: str) -> None:
    """What is wrong, where, and what may be meant; never the value."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=DbtCloudJobsComponent)
        text = f"type: {TYPE}\nattributes:\n  jobs:\n    - job_id: 1\n{wrong}\n"
        (path / "defs.yaml").write_text(text)
        with pytest.raises(Exception, match="Error while") as caught, sandbox.build_all_defs():
            pass
    told = "".join(traceback.format_exception(caught.value))
    assert f"defs.yaml:5: attributes.{said}" in told
    assert "s3cret" not in told


def test_a_key_that_is_given_twice_is_refused_in_a_dg_project_too() -> None:
    """Dagster itself would take the last."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=DbtCloudJobsComponent)
        text = f"type: {TYPE}\nattributes:\n  jobs:\n    - job_id: 1\n      job_id: 2\n"
        (path / "defs.yaml").write_text(text)
        with pytest.raises(Exception, match="Error while") as caught, sandbox.build_all_defs():
            pass
    told = "".join(traceback.format_exception(caught.value))
    assert "defs.yaml:5: job_id is given twice, first on line 4: give it once." in told


def test_a_monitor_is_there_where_the_file_has_one() -> None:
    """Of all its jobs; with none, there is no sensor."""
    jobs = [job(key="a"), job(key="b")]
    monitored = component(workspace={}, storage={}, jobs=jobs, monitor={})
    assert component(jobs=jobs).sensors == []
    (sensor,) = monitored.sensors
    definitions = monitored.build_definitions()
    landing = definitions.resolve_job_def(sensor.job_name)
    assert {key.path[0] for key in landing.asset_layer.executable_asset_keys} == {"a", "b"}


def test_a_retention_is_there_where_the_file_has_one() -> None:
    """With the file's own stores; what is wrong with it has its place."""
    assert component(jobs=[job()]).schedules == []
    definitions = component(
        workspace={}, storage={}, jobs=[job()], retention={}
    ).build_definitions()
    retention = definitions.resolve_job_def("dbt_cloud_retention")
    assert {"dbt_cloud_tables", "dbt_cloud_artifacts"} <= retention.required_resource_keys
    said = r"retention\.older_than_days: older_than_days is 0: give 1 or more\."
    with pytest.raises(Exception, match=said):
        component(jobs=[job()], retention={"older_than_days": 0})


def test_what_is_wrong_with_the_monitor_has_its_place() -> None:
    """The builder's own sentences, at the field that they name."""
    with pytest.raises(Exception, match=r".") as caught:
        component(jobs=[job()], monitor={"batch_size": 0})
    assert "monitor.batch_size: batch_size is 0: give 1 or more." in str(caught.value)


def test_the_monitor_lands_what_a_job_of_the_file_leaves(project: Project) -> None:
    """A run that nobody waits for, with the file's artifact policy."""
    attributes = {
        "workspace": {},
        "storage": {},
        "jobs": [job(key="a", wait_for_result=False, include_artifacts=["manifest.json"])],
        "monitor": {"settle_seconds": 0, "start": "2020-01-01T00:00:00Z"},
    }
    definitions = component(**attributes).build_definitions()
    instance = project.instance
    everything = definitions.resolve_implicit_global_asset_job_def()
    assert everything.execute_in_process(instance=instance).success
    assert project.run_ids() == []
    until(lambda: project.dbt_runs()[0]["status_humanized"] == "Success", "the dbt run is over")
    sensor = definitions.resolve_sensor_def("dbt_cloud_monitor")
    with dg.build_sensor_context(
        instance=instance,
        definitions=definitions,
        resources=project.resources(),
        sensor_name=sensor.name,
    ) as context:
        (request,) = sensor.evaluate_tick(context).run_requests or ()
    landing = definitions.resolve_job_def(sensor.job_name)
    assert landing.execute_in_process(
        run_config=request.run_config,
        asset_selection=request.asset_selection,
        tags=request.tags,
        instance=instance,
    ).success
    assert project.run_ids() == [project.dbt_runs()[0]["id"]]
    assert [Path(name).name for name in project.files()] == ["manifest.json"]


def test_hundreds_of_jobs_load_from_one_file_and_nobody_is_asked(tmp_path: Path) -> None:
    """Each with assets, ops, a job and a schedule of its own name."""
    jobs = [
        {"job_name": f"Job {number}", "key": f"team_{number % 7}/job_{number}", "cron": "0 6 * * *"}
        for number in range(MANY)
    ]
    file = tmp_path / "jobs.yaml"
    file.write_text(yaml.safe_dump({"workspace": {}, "storage": {}, "jobs": jobs}))
    with responses.RequestsMock() as wire:
        definitions = read_section(DbtCloudJobsComponent, file).build_definitions()
        repository = definitions.get_repository_def()
        assert len(wire.calls) == 0
    assert len(repository.assets_defs_by_key) == 4 * MANY
    assert len(repository.schedule_defs) == MANY
    names = Counter(
        [each.name for each in repository.schedule_defs]
        + [each.name for each in repository.get_all_jobs()]
        + [each.op.name for each in set(repository.assets_defs_by_key.values())]
    )
    assert set(names.values()) == {1}
    assert len(names) == 4 * MANY + 1  # a schedule, a job and two ops for each; all assets' job


# What dg offers


def request(folder: Path, **settings: Any) -> dg.ScaffoldRequest[ScaffoldParams]:
    """What ``dg scaffold defs`` asks of the scaffolder."""
    usual = {"scaffold_format": "yaml", "params": ScaffoldParams(), "append": False}
    return dg.ScaffoldRequest(
        type_name=TYPE, target_path=folder, project_root=None, **{**usual, **settings}
    )


def attributes_of(file: Path) -> list[Any]:
    """The attributes of each document of a file."""
    documents = list(yaml.safe_load_all(file.read_text()))
    assert {document["type"] for document in documents} == {TYPE}
    return [document["attributes"] for document in documents]


def test_the_scaffold_runs_as_it_is(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the account's variables set, and nothing changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DBT_TRIGGER_DATABASE")
    monkeypatch.delenv("DBT_TRIGGER_ARTIFACTS")
    DbtCloudJobsScaffolder().scaffold(request(tmp_path))
    (attributes,) = attributes_of(tmp_path / "defs.yaml")
    definitions = component(**attributes).build_definitions()
    assert definitions.resolve_implicit_global_asset_job_def().execute_in_process().success
    assert len(project.dbt_runs()) == 1
    assert (tmp_path / "data" / "dbt_cloud.duckdb").is_file()


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, {"job_id_env": "DBT_CLOUD_JOB_ID", "key": "dbt_cloud"}),
        ({"job_id": 12, "key": "a"}, {"job_id": 12, "key": "a"}),
        ({"job_id": 12, "key": "2024"}, {"job_id": 12, "key": "2024"}),
        ({"job_name": 'The "best": #1'}, {"job_name": 'The "best": #1', "key": "dbt_cloud"}),
    ],
)
def test_the_scaffold_names_the_job_that_is_asked_for(
    tmp_path: Path, params: dict[str, Any], named: dict[str, Any]
) -> None:
    """By number, or by a name with whatever in it."""
    DbtCloudJobsScaffolder().scaffold(request(tmp_path, params=ScaffoldParams(**params)))
    (attributes,) = attributes_of(tmp_path / "defs.yaml")
    assert attributes["jobs"] == [{**named, "group": "dbt_cloud"}]


def test_the_scaffold_appends_to_a_file_that_is_there(tmp_path: Path) -> None:
    """As a document of its own."""
    DbtCloudJobsScaffolder().scaffold(request(tmp_path))
    file = tmp_path / "defs.yaml"
    params = ScaffoldParams(key="second")
    DbtCloudJobsScaffolder().scaffold(request(file, append=True, params=params))
    first, second = attributes_of(file)
    assert (first["jobs"][0]["key"], second["jobs"][0]["key"]) == ("dbt_cloud", "second")


def test_the_scaffold_can_be_python(tmp_path: Path) -> None:
    """As Dagster writes it for every component."""
    DbtCloudJobsScaffolder().scaffold(request(tmp_path, scaffold_format="python"))
    assert (
        "from dbt_trigger_dagster import DbtCloudJobsComponent"
        in (tmp_path / "component.py").read_text()
    )
