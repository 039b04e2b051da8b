"""A Dagster project of many jobs with a monitor, against a sandbox in another process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from benchmarks.interpreters import ServedSandbox
from dbt_trigger_dagster import build_dbt_cloud_job_assets, build_dbt_cloud_monitor
from dbt_trigger_dagster_tests.harness import Place, account_of

_MONITOR = "dbt_cloud_monitor"
_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
_LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)


@dataclass
class MonitoredProject:
    """A project whose jobs are those of a sandbox.

    Attributes:
        server: The sandbox.
        place: Where its tables, files and Dagster's instance are.
        instance: Dagster's instance.
        from_the_beginning: Whether the monitor lands what finished before its first tick, too.
    """

    server: ServedSandbox
    place: Place
    instance: dg.DagsterInstance
    from_the_beginning: bool
    _cursor: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        assets = [
            definition
            for job_id in self.server.job_ids
            for definition in build_dbt_cloud_job_assets(job_id=job_id, key_prefix=f"job_{job_id}")
        ]
        self._sensor = build_dbt_cloud_monitor(
            assets,
            name=_MONITOR,
            include_external_runs=True,
            settle_seconds=0,
            start=_LONG_AGO if self.from_the_beginning else None,
        )
        self._resources = self.place.resources_for(account_of(self.server))
        self._definitions = dg.Definitions(
            assets=assets, sensors=[self._sensor], resources=self._resources
        )

    def tick(self) -> Sequence[dg.RunRequest]:
        """Evaluate the sensor as its daemon does, and return what it asks for."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self._cursor,
            definitions=self._definitions,
            resources=self._resources,
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self._cursor = data.cursor
        return data.run_requests or []

    def land(self, request: dg.RunRequest) -> None:
        """Execute, in this process, a Dagster run that the sensor asked for.

        Raises:
            RuntimeError: It failed.
        """
        self._execute(request.run_config, request.asset_selection or (), request.tags)

    def land_alone(self, run_id: int, job_id: int) -> None:
        """Land one dbt run by a Dagster run of its own."""
        op_name = f"job_{job_id}__dbt_cloud_run"
        config = {"ops": {op_name: {"config": {"run_ids": [run_id]}}}}
        keys = [dg.AssetKey([f"job_{job_id}", name]) for name in ("run_result", "artifacts")]
        self._execute(config, keys, {})

    def _execute(
        self, config: Mapping[str, Any], keys: Sequence[Any], tags: Mapping[str, str]
    ) -> None:
        done = self._definitions.resolve_job_def(f"{_MONITOR}_landing").execute_in_process(
            run_config={**config, **_QUIET},
            asset_selection=list(keys),
            tags=dict(tags),
            instance=self.instance,
            raise_on_error=False,
        )
        if not done.success:
            raise RuntimeError(f"The Dagster run {done.run_id} failed.")


def requested_run_ids(request: dg.RunRequest) -> list[int]:
    """The dbt runs that a Dagster run is to land."""
    (op,) = request.run_config["ops"].values()
    return list(op["config"]["run_ids"])


@contextmanager
def monitored_project(
    server: ServedSandbox, *, from_the_beginning: bool
) -> Iterator[MonitoredProject]:
    """A project in a folder of its own, with an instance as a laptop has it."""
    with TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        yield MonitoredProject(server, Place(Path(folder)), instance, from_the_beginning)
