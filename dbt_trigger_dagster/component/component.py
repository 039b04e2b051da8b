"""The component for ``dg`` projects: dbt Cloud jobs in a ``defs.yaml``.

The file that ``DBT_TRIGGER_JOBS`` names has the same attributes.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import dagster as dg
import yaml
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, Field, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.component.account import Workspace, account_resources
from dbt_trigger_dagster.component.job import JobSettings
from dbt_trigger_dagster.component.models import ModelSettings
from dbt_trigger_dagster.component.monitor import MonitorSettings
from dbt_trigger_dagster.component.retention import RetentionSettings
from dbt_trigger_dagster.component.storage import Storage, storage_resources
from dbt_trigger_dagster.component.together import check_together
from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section

_SCAFFOLD = """\
type: {type_name}

attributes:
  # These are names of environment variables. They are read when a run starts.
  workspace:
    account_id_env: DBT_CLOUD_ACCOUNT_ID
    access_url_env: DBT_CLOUD_ACCESS_URL
    token_env: DBT_CLOUD_TOKEN

  # Where tables and artifacts are kept, where DBT_TRIGGER_DATABASE and DBT_TRIGGER_ARTIFACTS are
  # not set.
  storage:
    database: data/dbt_cloud.duckdb
    artifacts: data/artifacts

  jobs:
    - {job}
      {key}
      group: dbt_cloud
      # max_wait_time: 7200        # seconds; any field of the ops' config stands here
      # cron: "0 6 * * *"          # a schedule, stopped until it is switched on

  # A sensor for runs that nobody waits for (wait_for_result: false), stopped as well.
  # monitor: {{}}
"""


class ScaffoldParams(BaseModel):
    """What ``dg scaffold defs`` asks for the first job; without it, DBT_CLOUD_JOB_ID names it."""

    job_id: int | None = Field(default=None, description="The job's id")
    job_name: str | None = Field(default=None, description="The job's exact name")
    key: str = Field(default="dbt_cloud", description="Goes before the keys of its assets")


class DbtCloudJobsScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes a ``defs.yaml`` that works as it is."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """What can be asked for."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the file, or append to one."""
        if request.scaffold_format != "yaml":
            scaffold_component(request)
            return
        text = _SCAFFOLD.format(
            type_name=request.type_name,
            job=_job_of(request.params),
            key=yaml.safe_dump({"key": request.params.key}).rstrip(),
        )
        if request.append:
            with request.target_path.open("a", encoding="utf-8") as file:
                file.write(f"---\n{text}")
        else:
            (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")


def _job_of(params: ScaffoldParams) -> str:
    if params.job_name is not None:
        return f"job_name: {json.dumps(params.job_name)}"
    return "job_id_env: DBT_CLOUD_JOB_ID" if params.job_id is None else f"job_id: {params.job_id}"


@dg.scaffold_with(DbtCloudJobsScaffolder)
class DbtCloudJobsComponent(dg.Component, Section):
    """Runs dbt Cloud jobs that exist already, as assets.

    Each job has four: `trigger_response` starts it, exactly once; `run_result` is how its run
    ended; `artifacts` are the files that it left; `node_results` is what happened to each node.
    A job with a `cron` has a schedule. With `monitor`, a sensor lands the runs that no step waits
    for.

    Nothing is asked over the network when the project is loaded, and no variable is read: the
    account is named by environment variables that count when a run starts.
    """

    workspace: Workspace | None = Field(
        default=None,
        description="The dbt Cloud account; without it, the project's own resource dbt_cloud",
    )
    storage: Storage | None = Field(
        default=None,
        description="The tables and the artifacts; without it, the project's own resources "
        "dbt_cloud_tables and dbt_cloud_artifacts",
    )
    jobs: Sequence[JobSettings] = Field(description="The jobs")
    monitor: MonitorSettings | None = Field(
        default=None,
        description="The sensor that lands the runs that nobody waits for, of all jobs of the "
        "project; one file has it",
    )
    models: ModelSettings | None = Field(
        default=None,
        description="The dbt project's models, seeds, snapshots and sources as assets; without it, "
        "there are none",
    )
    retention: RetentionSettings | None = Field(
        default=None,
        description="The job that deletes old artifacts; without it, there is none, and all stay. "
        "One file of the project has it",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.jobs:
            raise ProblemError("there is no job: give at least one.", "jobs")
        seen: dict[str, int] = {}
        for position, job in enumerate(self.jobs):
            first = seen.setdefault(job.assets[0].op.name, position)
            if first != position:
                keys: list[str | int] = ["jobs", position, *(["key"] if job.key else [])]
                raise ProblemError(
                    f"jobs.{first} has the same key: give each job a key of its own.", *keys
                )
        for section, made in (("monitor", "sensors"), ("models", "model_assets")):
            try:
                getattr(self, made)
            except ProblemError as error:
                raise ProblemError(str(error), section, *error.keys) from error
        return self

    @cached_property
    def assets(self) -> list[dg.AssetsDefinition]:
        """The graphs of all jobs."""
        return [asset for job in self.jobs for asset in job.assets]

    @cached_property
    def sensors(self) -> list[dg.SensorDefinition]:
        """The monitor, if there is one."""
        return [] if self.monitor is None else [self.monitor.build(self.assets)]

    @cached_property
    def schedules(self) -> list[dg.ScheduleDefinition]:
        """Those of the jobs that have one, and that of the retention, if there is one."""
        of_jobs = [job.schedule for job in self.jobs if job.schedule is not None]
        return of_jobs if self.retention is None else [*of_jobs, self.retention.schedule]

    @cached_property
    def model_assets(self) -> list[dg.AssetSpec | dg.AssetsDefinition]:
        """The dbt project's own assets, if they are wanted."""
        return [] if self.models is None else self.models.build(self.storage)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The jobs' definitions; the monitor serves those of the project's other files, too.

        Raises:
            DagsterInvalidDefinitionError: Two files do not go together.
        """
        if self.place_of() is None:
            return self.build_definitions()
        components = context.component_tree.get_all_components(DbtCloudJobsComponent)
        check_together(components)
        return self.build_definitions([asset for each in components for asset in each.assets])

    def build_definitions(
        self, monitored: Sequence[dg.AssetsDefinition] | None = None
    ) -> dg.Definitions:
        """Assets and schedules of all jobs, the monitor, and the resources that are named here.

        Args:
            monitored: The assets that the monitor serves; without them, those of these jobs.
        """
        sensors = self.sensors
        if self.monitor is not None and monitored is not None:
            sensors = [self.monitor.build(monitored)]
        resources: dict[str, Any] = {}
        if self.workspace is not None:
            resources.update(account_resources(self.workspace))
        if self.storage is not None:
            resources.update(storage_resources(self.storage))
        return dg.Definitions(
            assets=[*self.assets, *self.model_assets],
            sensors=sensors,
            schedules=self.schedules,
            resources=resources,
        )
