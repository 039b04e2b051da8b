"""The asset graph of one dbt Cloud job: trigger_response, run_result, artifacts, node_results.

``trigger_response`` starts the job; the others are outputs of one op, because a failed run must
leave them all before it fails the step.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.checks import check_specs
from dbt_trigger_dagster.assets.config import (
    DbtCloudRunConfig,
    TriggerResponseConfig,
    as_run_config,
    check_is_followed,
)
from dbt_trigger_dagster.assets.config_class import configured_by, with_defaults
from dbt_trigger_dagster.assets.dagster_run import config_of
from dbt_trigger_dagster.assets.failures import as_failure
from dbt_trigger_dagster.assets.io_manager import (
    ROWS_IF_ANY,
    ROWS_KEY,
    TABLE_KEY,
    DbtCloudTableIOManager,
)
from dbt_trigger_dagster.assets.job import (
    ARTIFACTS,
    NODE_RESULTS,
    RUN_RESULT,
    TRIGGER_RESPONSE,
    JobGraph,
    JobReference,
    check_key,
)
from dbt_trigger_dagster.assets.keeping import TABLE_OF, Keeping
from dbt_trigger_dagster.assets.land_step import follow_and_land
from dbt_trigger_dagster.assets.metadata import run_metadata
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore, DbtCloudResource
from dbt_trigger_dagster.assets.resumption import intention_of
from dbt_trigger_dagster.assets.step import Step
from dbt_trigger_dagster.assets.table_metadata import column_schema
from dbt_trigger_dagster.assets.trigger_step import announce, trigger
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.tables import TRIGGER, run_rows

_TABLES_RESOURCE = "dbt_cloud_tables"
_KINDS = {"dbtcloud"}
_DESCRIPTIONS = {
    RUN_RESULT: "How the run of the dbt Cloud job {job} ended",
    ARTIFACTS: "The artifacts of the run of the dbt Cloud job {job}, stored as files",
    NODE_RESULTS: "What happened to each node of each step of the run of the dbt Cloud job {job}",
}


def build_dbt_cloud_job_assets(
    *,
    job_id: "int | dg.EnvVar | None" = None,
    job_name: str | None = None,
    key_prefix: str | Sequence[str] | None = None,
    group_name: str | None = None,
    pool: str | None = None,
    deps: Iterable[Any] | None = None,
    trigger_defaults: TriggerResponseConfig | None = None,
    run_defaults: DbtCloudRunConfig | None = None,
    tags: Mapping[str, str] | None = None,
    owners: Sequence[str] | None = None,
    node_results: bool = True,
) -> list[dg.AssetsDefinition]:
    """The assets that run one dbt Cloud job: trigger_response, run_result, artifacts, node_results.

    They need three resources: ``dbt_cloud`` (`DbtCloudResource`), ``dbt_cloud_tables``
    (`DbtCloudTableIOManager`) and ``dbt_cloud_artifacts`` (`DbtCloudArtifactStore`). Nothing is
    read or asked before a run.

    Args:
        job_id: The job's id; ``dg.EnvVar.int(…)`` is read in the run.
        job_name: The job's exact name, looked up in the run; instead of ``job_id``.
        key_prefix: Goes before the asset keys and into the op names: with ``nightly`` there is an
            asset ``nightly/trigger_response`` of an op ``nightly__trigger_response``.
        group_name: The assets' group.
        pool: The concurrency pool of both ops.
        deps: Assets that come before the trigger.
        trigger_defaults: What the config of the op ``trigger_response`` starts from; the launchpad
            shows it, and a run's config changes it.
        run_defaults: The same for the op ``dbt_cloud_run``.
        tags: The assets' tags.
        owners: The assets' owners: e-mail addresses, or teams as ``team:data``.
        node_results: Whether there is an asset of what happened to each node.

    Raises:
        ValueError: Both ``job_id`` and ``job_name`` are given; defaults name a job or runs, or want
            events of nodes without their results.
        TypeError: ``job_id`` is text.
    """
    if job_id is not None and job_name is not None:
        raise ValueError("job_id and job_name are both given: give one of them.")
    if isinstance(job_id, str) and not isinstance(job_id, dg.EnvVar):
        raise TypeError(f"job_id {job_id!r} is text: give the job's id as a number, or job_name.")
    _check_defaults(trigger_defaults, run_defaults, node_results=node_results)
    graph = JobGraph(
        job=JobReference(job_id, job_name),
        prefix=(key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix or ()),
        landed=(RUN_RESULT, ARTIFACTS, *((NODE_RESULTS,) if node_results else ())),
        cancels_on_termination=run_defaults is None or run_defaults.cancel_on_termination,
    )
    builder = _Builder(
        graph=graph,
        trigger_config=with_defaults(TriggerResponseConfig, trigger_defaults),
        run_config=with_defaults(DbtCloudRunConfig, run_defaults),
        pool=pool,
        group_name=group_name,
        tags=tags,
        owners=owners,
    )
    return [builder.trigger_response(deps), builder.dbt_cloud_run()]


def _check_defaults(
    trigger: TriggerResponseConfig | None, run: DbtCloudRunConfig | None, *, node_results: bool
) -> None:
    if trigger is not None and (trigger.job_id is not None or trigger.job_name is not None):
        raise ValueError(
            "trigger_defaults names a job: give job_id or job_name to build_dbt_cloud_job_assets."
        )
    if run is not None and run.emit_node_events and not node_results:
        raise ValueError("run_defaults has emit_node_events, which needs node_results.")
    if run is not None and run.run_ids:
        raise ValueError("run_defaults has run_ids: give them in the config of a run.")


@dataclass(frozen=True)
class _Builder:
    """Builds the definitions of one job's graph."""

    graph: JobGraph
    trigger_config: type[TriggerResponseConfig]
    run_config: type[DbtCloudRunConfig]
    pool: str | None
    group_name: str | None
    tags: Mapping[str, str] | None
    owners: Sequence[str] | None

    def trigger_response(self, deps: Iterable[Any] | None) -> dg.AssetsDefinition:
        """The asset that triggers the job."""

        @dg.asset(
            key=self.graph.key(TRIGGER_RESPONSE),
            description=f"Triggers the dbt Cloud job {self.graph.job.in_words()} and keeps the "
            f"answer as a row of `{TRIGGER.name}`.",
            metadata={**_table_metadata(TRIGGER), **self.graph.metadata()},
            io_manager_key=_TABLES_RESOURCE,
            group_name=self.group_name,
            pool=self.pool,
            kinds=_KINDS,
            tags=self.tags,
            owners=self.owners,
            deps=deps,
        )
        @configured_by(self.trigger_config)
        def trigger_response(
            context: dg.AssetExecutionContext,
            config: TriggerResponseConfig,
            dbt_cloud: DbtCloudResource,
            dbt_cloud_artifacts: DbtCloudArtifactStore,
        ) -> dg.Output[Any]:
            try:
                check_key(self.graph, context.asset_key, TRIGGER_RESPONSE)
                request = config.as_request()
                waiting = as_run_config(config_of(context, self.graph.op_name), self.run_config)
                check_is_followed(waiting)
                with dbt_cloud.build_client(context.log) as client:
                    intention = intention_of(context, self.graph.prefix)
                    step = Step.of(context, client, waiting, is_repeated=intention.is_repeated)
                    job_id = self.graph.job.resolve(client, config)
                    if waiting.store_artifacts:
                        dbt_cloud_artifacts.check(client.account_id, job_id)
                    tell = partial(announce, context)
                    triggered = trigger(step, job_id, request, intention, tell)
            except (DbtCloudError, StorageError, ValueError) as error:
                raise as_failure(error) from error
            run = triggered.run
            context.log.info("dbt Cloud run %s of job %s: %s", run.run_id, job_id, run.href)
            return dg.Output(
                run_rows(TRIGGER, [run]).filled(adopted=triggered.adopted),
                metadata={**run_metadata(run), "adopted": triggered.adopted},
            )

        return trigger_response

    def dbt_cloud_run(self) -> dg.AssetsDefinition:
        """The op that waits for the run, with its assets."""
        trigger_key = self.graph.key(TRIGGER_RESPONSE)
        before = [TRIGGER_RESPONSE, *self.graph.landed]

        @dg.multi_asset(
            name=self.graph.op_name,
            description="Waits for the dbt Cloud run; keeps its outcome, its artifacts and what "
            "happened to its nodes, then fails if it failed.",
            ins={TRIGGER_RESPONSE: dg.AssetIn(key=trigger_key, metadata={ROWS_KEY: ROWS_IF_ANY})},
            outs={name: self._out(name) for name in self.graph.landed},
            internal_asset_deps={
                name: {self.graph.key(previous)}
                for previous, name in zip(before, self.graph.landed, strict=False)
            },
            can_subset=True,
            check_specs=check_specs(self.graph),
            group_name=self.group_name,
            pool=self.pool,
        )
        @configured_by(self.run_config)
        def dbt_cloud_run(
            context: dg.AssetExecutionContext,
            config: DbtCloudRunConfig,
            trigger_response: Rows,
            *,
            dbt_cloud: DbtCloudResource,
            dbt_cloud_tables: dg.ResourceParam[DbtCloudTableIOManager],
            dbt_cloud_artifacts: DbtCloudArtifactStore,
        ) -> Iterator[Any]:
            keeping = Keeping(
                self.graph,
                context.op_execution_context.selected_output_names,
                context.selected_asset_check_keys,
                dbt_cloud_tables,
                dbt_cloud_artifacts,
                context.instance,
                context.run.run_id,
            )
            failure = yield from follow_and_land(
                context, config, trigger_response, dbt_cloud, keeping
            )
            if failure is not None:
                raise failure  # which says it all: no cause is told beside it

        return dbt_cloud_run

    def _out(self, name: str) -> dg.AssetOut:
        table = TABLE_OF[name]
        described = _DESCRIPTIONS[name].format(job=self.graph.job.in_words())
        return dg.AssetOut(
            key=self.graph.key(name),
            description=f"{described}, as rows of `{table.name}`.",
            metadata={**_table_metadata(table), **self.graph.metadata()},
            io_manager_key=_TABLES_RESOURCE,
            kinds=_KINDS,
            tags=self.tags,
            owners=self.owners,
            is_required=False,
        )


def _table_metadata(table: Table) -> dict[str, Any]:
    return {TABLE_KEY: table.name, "dagster/column_schema": column_schema(table)}
