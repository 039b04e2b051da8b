"""The job that deletes old artifacts, as a file describes it."""

from functools import cached_property
from typing import Literal

import dagster as dg
from pydantic import Field, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.assets.retention import build_dbt_cloud_retention
from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section


class RetentionSettings(Section):
    """The job that deletes the artifacts of old runs, and its schedule."""

    name: str = Field(
        default="dbt_cloud_retention",
        description="The job's name; its op is called <name>_delete, the schedule <name>_schedule",
    )
    older_than_days: int = Field(
        default=90, description="Only artifacts that were stored more days ago are deleted"
    )
    keep_last_runs: int = Field(
        default=10, description="How many of each job's newest runs keep theirs all the same"
    )
    dry_run: bool = Field(
        default=True, description="Whether nothing is deleted, and what would be is told"
    )
    cron: str = Field(
        default="0 5 * * *", description="When the schedule runs it: five fields, as 0 5 * * *"
    )
    timezone: str | None = Field(
        default=None, description="The time zone of cron, as Europe/Prague; UTC without"
    )
    schedule_status: Literal["stopped", "running"] = Field(
        default="stopped", description="Whether the schedule starts with the deployment"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.schedule
        return self

    @cached_property
    def schedule(self) -> dg.ScheduleDefinition:
        """The schedule, which brings the job.

        Raises:
            SettingError: A setting cannot be used.
            ProblemError: Another setting cannot be used.
        """
        try:
            return build_dbt_cloud_retention(
                name=self.name,
                older_than_days=self.older_than_days,
                keep_last_runs=self.keep_last_runs,
                dry_run=self.dry_run,
                cron_schedule=self.cron,
                execution_timezone=self.timezone,
                default_status=dg.DefaultScheduleStatus[self.schedule_status.upper()],
            )
        except dg.DagsterError as error:
            fields = [name for name in ("timezone", "cron") if name in str(error)]
            raise ProblemError(str(error), *(fields or ["name"])[:1]) from error
