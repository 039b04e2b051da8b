"""A job as a file describes it: what is triggered, how its run is waited for, and when."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import ConfigDict, Field, ValidationError, create_model, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.assets.config import DbtCloudRunConfig, TriggerResponseConfig, as_sentence
from dbt_trigger_dagster.assets.graph import build_dbt_cloud_job_assets
from dbt_trigger_dagster.assets.job import JobReference
from dbt_trigger_dagster.assets.schedule import build_dbt_cloud_schedule
from dbt_trigger_dagster.component.variables import check_variables
from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import SettingError

_KEY = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_JOB = ("job_id", "job_name", "job_id_env")
_NAMED: list[Any] = [{"required": [name]} for name in _JOB]
_ONE_OF_THEM = "give one of job_id, job_name and job_id_env"


def _fields_of(config: type[dg.Config], *without: str) -> dict[str, Any]:
    return {
        name: (field.annotation, field)
        for name, field in config.model_fields.items()
        if name not in without
    }


_TRIGGER = _fields_of(TriggerResponseConfig, "job_id", "job_name")
_RUN = _fields_of(DbtCloudRunConfig, "run_ids")

if TYPE_CHECKING:
    _Defaults = Section
else:
    _Defaults = create_model("_Defaults", __base__=Section, **_TRIGGER, **_RUN)


class JobSettings(_Defaults):
    """A dbt Cloud job, and what its assets' config starts from.

    Beside the fields that say which job it is and what its assets are called, there is every field
    of the config of the ops `trigger_response` and `dbt_cloud_run`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"anyOf": _NAMED},
            "then": {"oneOf": _NAMED},
            "else": {"required": ["job_id"]},
        }
    )

    job_id: int | None = Field(default=None, description="The job's id")
    job_name: str | None = Field(
        default=None, description="The job's exact name, looked up when a run starts"
    )
    job_id_env: str | None = Field(
        default=None, description="The environment variable with the job's id"
    )
    key: str | None = Field(
        default=None,
        description="Goes before the asset keys and into the op names; its parts are divided by "
        "slashes",
    )
    group: str | None = Field(default=None, description="The assets' group")
    pool: str | None = Field(default=None, description="The concurrency pool of both ops")
    deps: Sequence[str] = Field(
        default=[], description="Keys of the assets that come before the trigger"
    )
    tags: Mapping[str, str] = Field(default={}, description="The assets' tags")
    owners: Sequence[str] = Field(
        default=[], description="The assets' owners: e-mail addresses, or teams as team:data"
    )
    cron: str | None = Field(
        default=None, description="When a schedule runs the job: five fields, as 0 6 * * *"
    )
    timezone: str | None = Field(
        default=None, description="The time zone of cron, as Europe/Prague; UTC without"
    )
    schedule_status: Literal["stopped", "running"] = Field(
        default="stopped", description="Whether the schedule starts with the deployment"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_job()
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise ProblemError(
                "a key has letters, digits, _, - and ., and slashes between its parts.", "key"
            )
        for name in ("timezone", "schedule_status"):
            if self.cron is None and name in self.model_fields_set:
                raise ProblemError("there is no cron, so there is no schedule.", name)
        self._check_definitions()
        return self

    def _check_job(self) -> None:
        given = [name for name in _JOB if getattr(self, name) is not None]
        if not given:
            raise ProblemError(f"no job is named: {_ONE_OF_THEM}.")
        if len(given) > 1:
            raise ProblemError(f"the job is named twice: {_ONE_OF_THEM}.", given[1])
        check_variables(self, "job_id_env")

    def _check_definitions(self) -> None:
        """Let everybody judge what they are given, while it is known where that stands."""
        try:
            self._check_request()
            _ = self.assets
        except ValidationError as error:  # of an op's config
            cause = error.errors()[0].get("ctx", {}).get("error")
            keys = [cause.field] if isinstance(cause, SettingError) else []
            raise ProblemError(as_sentence(error), *keys) from error
        except dg.DagsterError as error:
            raise ProblemError(str(error), *self._refused()) from error
        try:
            _ = self.schedule
        except dg.DagsterError as error:
            name = "timezone" if "timezone" in str(error) else "cron"
            raise ProblemError(str(error), name) from error

    def _refused(self) -> Iterator[str]:
        """The first field that Dagster refuses alone, for its sentences name none."""
        for name in ("group", "pool", "deps", "tags", "owners"):
            value = {name: getattr(self, name)}
            try:
                _ = JobSettings.model_construct(job_id=1, key=self.key, **value).assets
            except dg.DagsterError:
                yield name
                return

    def _check_request(self) -> None:
        """Cause and overrides are judged when they are about to be sent; so do it once here."""
        trigger = self._defaults(TriggerResponseConfig, _TRIGGER)
        if trigger is not None:
            trigger.as_request()

    @cached_property
    def assets(self) -> list[dg.AssetsDefinition]:
        """The job's graph."""
        run = self._defaults(DbtCloudRunConfig, _RUN)
        return build_dbt_cloud_job_assets(
            job_id=self._job_id,
            job_name=self.job_name,
            key_prefix=self.prefix,
            group_name=self.group,
            pool=self.pool,
            deps=[dg.AssetKey.from_user_string(key) for key in self.deps],
            trigger_defaults=self._defaults(TriggerResponseConfig, _TRIGGER),
            run_defaults=run,
            tags=self.tags,
            owners=self.owners,
            node_results=run is None or run.node_results,
        )

    @cached_property
    def schedule(self) -> dg.ScheduleDefinition | None:
        """The job's schedule, if it has one."""
        if self.cron is None:
            return None
        return build_dbt_cloud_schedule(
            self.assets,
            cron_schedule=self.cron,
            execution_timezone=self.timezone,
            default_status=dg.DefaultScheduleStatus[self.schedule_status.upper()],
        )

    def resolve(self, client: DbtCloudClient) -> int:
        """The job's id, once the environment or dbt Cloud has been asked.

        Raises:
            ValueError: A variable should hold the id and does not.
            DbtCloudError: The name cannot be looked up.
        """
        named = JobReference(self._job_id, self.job_name)
        return named.resolve(client, TriggerResponseConfig())

    @property
    def _job_id(self) -> "int | dg.EnvVar | None":
        return self.job_id if self.job_id_env is None else dg.EnvVar.int(self.job_id_env)

    @property
    def prefix(self) -> list[str]:
        """The parts of the key."""
        return self.key.split("/") if self.key else []

    def _defaults(self, config: type[Any], fields: Mapping[str, Any]) -> Any:
        """What is set of an op's config; None where nothing is."""
        values = {name: getattr(self, name) for name in fields if name in self.model_fields_set}
        return config(**values) if values else None
