"""The recipes: what stands in the document is loaded and run as it stands there."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing.utils import create_defs_folder_sandbox

from dbt_trigger_dagster import DbtCloudJobsComponent, DbtCloudResource
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster.sandbox import SandboxJob, Script
from dbt_trigger_dagster_tests.assets.scripts import FAILED, FINE
from dbt_trigger_dagster_tests.documentation import ROOT, code_blocks
from dbt_trigger_dagster_tests.graphs import BROKEN, GOOD, LANDED, Project, a_project, materialized

RECIPES = ROOT / "docs" / "recipes.md"
BLOCKS = list(code_blocks(RECIPES))
LOCATION = ROOT / "dbt_trigger_dagster" / "definitions.py"
RAW = ("raw_orders", "raw_customers")
JOB = [f"shop/{name}" for name in ("trigger_response", *LANDED)]

# Dagster's own: how it reads every defs.yaml, and notes where it stands.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated"),
    pytest.mark.filterwarnings("ignore:Class `.*CodeReference.*` is currently in beta"),
    pytest.mark.filterwarnings("ignore:Parameter `include_sources` of function"),
]


def block(language: str, part: str) -> str:
    """The one block that has this in it."""
    [found] = [content for kind, content in BLOCKS if kind == language and part in content]
    return found


def names_of(part: str, **given: Any) -> dict[str, Any]:
    """What a block of Python defines."""
    scope = dict(given)
    exec(compile(block("python", part), str(RECIPES), "exec"), scope)  # noqa: S102  # our own document
    return scope


@pytest.fixture
def account(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """An account in the environment, whose job follows the scripts that a test names."""
    scripts: tuple[Script, ...] = request.param
    job = SandboxJob(name="Shop nightly build", script=scripts)
    with a_project(tmp_path, jobs=[job]) as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def loaded(definitions: str | None = None, **modules: str) -> dg.Definitions:
    """The definitions of a dg project with a file of jobs and modules."""
    with create_defs_folder_sandbox() as project:
        if definitions is not None:
            project.scaffold_component(
                component_cls=DbtCloudJobsComponent, defs_yaml_contents=yaml.safe_load(definitions)
            )
        for name, content in modules.items():
            (project.defs_folder_path / f"{name}.py").write_text(content)
        with project.build_all_defs() as found:
            return found


def raw_assets() -> list[dg.AssetsDefinition]:
    """What the job transforms."""

    def one(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name)
        def raw() -> None:
            """Loads it."""

        return raw

    return [one(name) for name in RAW]


class Automation:
    """Dagster's automation, tick by tick; what it requests is run."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self._definitions = definitions
        self._instance = instance
        self._job = definitions.resolve_implicit_global_asset_job_def()
        self._cursor: Any = None

    def run(self, *names: str) -> dg.ExecuteInProcessResult:
        """Materialize these assets in one run; one that fails does not raise."""
        ops = {"shop__dbt_cloud_run": {"config": {"poll_interval": 0.05}}}
        return self._job.execute_in_process(
            asset_selection=[dg.AssetKey.from_user_string(name) for name in names],
            run_config={"ops": ops} if set(names) & set(JOB) else None,
            instance=self._instance,
            raise_on_error=False,
        )

    def tick(self) -> list[str]:
        """What one tick requests."""
        result = dg.evaluate_automation_conditions(
            self._definitions, self._instance, cursor=self._cursor
        )
        self._cursor = result.cursor
        keys = self._definitions.resolve_asset_graph().get_all_asset_keys()
        return sorted(key.to_user_string() for key in keys if result.get_num_requested(key))


def in_yaml() -> dg.Definitions:
    """The first recipe's file, in a project with the raw data."""
    found = loaded(block("yaml", "post_processing:"))
    return dg.Definitions.merge(found, dg.Definitions(assets=raw_assets()))


def in_python(account: Project) -> dg.Definitions:
    """The same of its Python, with the assets that come after it."""
    shop = names_of("map_asset_specs")["shop"]
    dashboards = names_of("def dashboards")["dashboards"]
    return dg.Definitions(assets=[*shop, *raw_assets(), dashboards], resources=account.resources())


@pytest.mark.parametrize("account", [(GOOD, BROKEN, GOOD)], indirect=True)
@pytest.mark.parametrize("language", ["yaml", "python"])
def test_a_job_runs_once_when_its_raw_data_is_new(account: Project, language: str) -> None:
    """One Dagster run of all its assets; nothing more happens by itself, after a failure too."""
    definitions = in_yaml() if language == "yaml" else in_python(account)
    automation = Automation(definitions, account.instance)
    automation.tick()
    automation.run(*RAW)
    for ends_well in (True, False, True):
        automation.run("raw_orders")
        requested = automation.tick()
        assert [name for name in requested if name != "dashboards"] == sorted(JOB)
        assert automation.run(*JOB).success is ends_well
        assert [name for name in automation.tick() if name in JOB] == []
        assert [name for name in automation.tick() if name in JOB] == []
    assert len(account.dbt_runs()) == 3


@pytest.mark.parametrize("account", [(BROKEN, GOOD)], indirect=True)
def test_nothing_comes_after_a_failed_run(account: Project) -> None:
    """Neither in the same run nor by automation; after a good one it does."""
    automation = Automation(in_python(account), account.instance)
    automation.run(*RAW, "dashboards")
    automation.tick()
    assert "dashboards" not in materialized(automation.run(*JOB, "dashboards"))
    assert "dashboards" not in automation.tick()
    assert "dashboards" in materialized(automation.run(*JOB, "dashboards"))


@pytest.mark.parametrize("account", [(FINE,)], indirect=True)
def test_the_manifest_of_the_run_is_read(account: Project) -> None:
    """The one that the run left: two models and a test."""
    size = names_of("load_artifact")["project_size"]
    shop = account.assets(key_prefix="shop")
    definitions = dg.Definitions(assets=[*shop, size], resources=account.resources())
    result = Automation(definitions, account.instance).run(*JOB, "project_size")
    [made] = result.asset_materializations_for_node("project_size")
    assert made.metadata["nodes"].value == 3


@pytest.mark.parametrize("account", [(FAILED, FINE)], indirect=True)
def test_what_is_downstream_of_a_model_comes_after_it(account: Project, tmp_path: Path) -> None:
    """When the model was built, and not where it failed; the models are those of the first run."""
    file = tmp_path / "jobs.yaml"
    file.write_text(block("yaml", "emit_node_events"))
    report = dg.Definitions(
        assets=[names_of("def orders_report")["orders_report"]],
        resources={"dbt_cloud": account.account()},
    )

    def automation() -> Automation:
        jobs = read_section(DbtCloudJobsComponent, file).build_definitions()
        return Automation(dg.Definitions.merge(jobs, report), account.instance)

    assert not automation().run(*JOB).success
    reloaded = automation()
    assert reloaded.tick() == []
    assert reloaded.run(*JOB).success
    assert reloaded.tick() == ["orders_report"]


def test_the_job_that_deletes_artifacts_is_the_same_in_both_languages(tmp_path: Path) -> None:
    """Stopped, and a dry run."""
    file = tmp_path / "jobs.yaml"
    file.write_text(block("yaml", "retention:"))
    in_a_file = read_section(DbtCloudJobsComponent, file).build_definitions()
    of_python = names_of("build_dbt_cloud_retention")["defs"]
    dg.Definitions.validate_loadable(of_python)
    for definitions in (in_a_file, of_python):
        [schedule] = definitions.schedules
        assert schedule.job_name == "dbt_cloud_retention"
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
        op = schedule.job.get_node_named("dbt_cloud_retention_delete").definition
        settings = op.config_schema.config_type.fields
        assert {name: field.default_value for name, field in settings.items()} == {
            "older_than_days": 90,
            "keep_last_runs": 10,
            "dry_run": True,
        }


def test_the_steps_of_a_project_run_in_one_process() -> None:
    """In a dg project, as a module beside the jobs."""
    executor = block("python", "Definitions(executor")
    found = loaded(block("yaml", "post_processing:"), executor=executor)
    assert found.resolve_implicit_global_asset_job_def().executor_def is dg.in_process_executor
    job = names_of("shop_job =")["shop_job"]
    alone = dg.Definitions.merge(
        loaded(block("yaml", "post_processing:")), dg.Definitions(jobs=[job])
    )
    assert alone.resolve_job_def("shop_job").executor_def is dg.in_process_executor
    shared = alone.resolve_implicit_global_asset_job_def()
    assert shared.executor_def is not dg.in_process_executor


def test_each_account_is_a_code_location() -> None:
    """With variables of its own, which nobody reads when it is loaded."""
    definitions = names_of("EAST_TOKEN")["defs"]
    dg.Definitions.validate_loadable(definitions)
    account = definitions.resources["dbt_cloud"]
    assert isinstance(account, DbtCloudResource)
    files = [
        each["python_file"] for each in yaml.safe_load(block("yaml", "load_from"))["load_from"]
    ]
    assert {each["relative_path"] for each in files} == {"accounts/east.py", "accounts/west.py"}


def test_one_code_location_cannot_have_two_accounts(tmp_path: Path) -> None:
    """Dagster refuses it, as the document says; if it ever does not, the document is old."""
    with a_project(tmp_path) as project:
        bound = [
            asset
            for key, account in (("east", 1), ("west", 2))
            for asset in dg.with_resources(
                project.assets(key_prefix=key), project.resources(account_id=account)
            )
        ]
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"[Cc]onflicting"):
            dg.Definitions.validate_loadable(dg.Definitions(assets=bound))


def test_the_file_for_those_who_come_from_keboola_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fields are those of every run, and tables and artifacts stand beside it."""
    [content] = [text for kind, text in code_blocks(ROOT / "docs" / "keboola.md") if kind == "yaml"]
    (tmp_path / "jobs.yaml").write_text(content.replace("nightly", "nightly\n    poll_interval: 1"))
    with a_project(tmp_path, jobs=[SandboxJob(id=67890, name="any", script=GOOD)]) as project:
        for name in ("DBT_CLOUD_ACCESS_URL", "DBT_CLOUD_ACCOUNT_ID", "DBT_CLOUD_TOKEN"):
            monkeypatch.setenv(name, project.environment()[name])
        monkeypatch.setenv("DBT_TRIGGER_JOBS", str(tmp_path / "jobs.yaml"))
        defs: dg.Definitions = runpy.run_path(str(LOCATION))["defs"]
        assert defs.resolve_implicit_global_asset_job_def().execute_in_process().success
        [dbt_run] = project.dbt_runs()
        assert dbt_run["trigger"]["cause"].startswith("Month-end close [dagster ")
        folder = tmp_path / "data" / "artifacts" / str(dbt_run["account_id"]) / "67890"
        assert [path.name for path in folder.iterdir()] == [str(dbt_run["id"])]
    assert (tmp_path / "data" / "dbt_cloud.duckdb").is_file()
