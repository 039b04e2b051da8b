"""The monitor as a file describes it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import dagster as dg
from pydantic import Field, TypeAdapter, model_validator
from pydantic import ValidationError as PydanticError
from typing_extensions import Self

from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster.monitor.sensor import build_dbt_cloud_monitor

_AS_A_TIME = "write one with its zone, as 2026-01-31T00:00:00Z."


class MonitorSettings(Section):
    """The sensor that lands the runs of all jobs of the code location that nobody waits for."""

    name: str = Field(default="dbt_cloud_monitor", description="The sensor's name")
    include_external_runs: bool = Field(
        default=False,
        description="Whether runs that dbt Cloud's own scheduler, CI or people started are landed "
        "too",
    )
    settle_seconds: float = Field(default=60, description="How long after its end a run is due")
    lookback: float = Field(
        default=3600, description="Seconds after its end at which a run is looked at once more"
    )
    batch_size: int = Field(
        default=50, description="How many runs of a job one Dagster run lands at most"
    )
    raise_on_failed_run: bool | None = Field(
        default=None,
        description="Whether a dbt run that ended badly fails the Dagster run that lands it; "
        "without it, each job's own raise_on_failed_run counts",
    )
    start: str | None = Field(
        default=None,
        description="Runs that finished before are left alone; a time with its zone, as "
        "2026-01-31T00:00:00Z",
    )
    minimum_interval_seconds: int = Field(
        default=30, description="Seconds between two ticks, at least"
    )
    default_status: Literal["stopped", "running"] = Field(
        default="stopped", description="Whether the monitor starts with the deployment"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            start = self._start()
        except PydanticError as error:
            raise ProblemError(f"this is no time: {_AS_A_TIME}", "start") from error
        if start is not None and start.tzinfo is None:
            raise ProblemError(f"this time has no zone: {_AS_A_TIME}", "start")
        return self

    def build(self, assets: Iterable[dg.AssetsDefinition]) -> dg.SensorDefinition:
        """The sensor for these assets.

        Raises:
            ProblemError: A setting cannot be used.
        """
        settings = self.model_dump(exclude={"start", "default_status"})
        try:
            return build_dbt_cloud_monitor(
                assets,
                start=self._start(),
                default_status=dg.DefaultSensorStatus[self.default_status.upper()],
                **settings,
            )
        except SettingError as error:
            raise ProblemError(str(error), error.field) from error
        except dg.DagsterError as error:
            raise ProblemError(str(error), "name") from error  # Dagster judges nothing else

    def _start(self) -> datetime | None:
        return TypeAdapter(datetime | None).validate_python(self.start)
