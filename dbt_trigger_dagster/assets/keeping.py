"""Where a step keeps what runs leave, and how it tells of that without materializing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.io_manager import DbtCloudTableIOManager
from dbt_trigger_dagster.assets.job import ARTIFACTS, NODE_RESULTS, RUN_RESULT, JobGraph
from dbt_trigger_dagster.assets.resources import DbtCloudArtifactStore
from dbt_trigger_dagster.storage.batches import Batches
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN

TABLE_OF = {RUN_RESULT: RUN, ARTIFACTS: ARTIFACT, NODE_RESULTS: NODE_RESULT}
"""The table that each output is about; others may come along."""


@dataclass(frozen=True)
class Part:
    """What one asset gets of the runs of a step.

    Attributes:
        name: The output.
        rows: Of its own table and of those that come along, written together.
        metadata: What Dagster shows.
    """

    name: str
    rows: Sequence[Rows | Batches]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Keeping:
    """Where one step keeps what runs leave.

    Attributes:
        graph: Whose assets they are.
        outputs: Those that are wanted, of `RUN_RESULT`, `ARTIFACTS` and `NODE_RESULTS`.
        checks: The checks that Dagster has selected.
        tables: Where rows go.
        artifacts: Where files go.
        instance: Where events are stored.
        dagster_run_id: The Dagster run.
    """

    graph: JobGraph
    outputs: Collection[str]
    checks: Collection[dg.AssetCheckKey]
    tables: DbtCloudTableIOManager
    artifacts: DbtCloudArtifactStore
    instance: dg.DagsterInstance
    dagster_run_id: str

    def observe(self, part: Part) -> dg.AssetObservation:
        """Keep rows as a materialization would, and tell of them as something that was seen.

        Raises:
            StorageError: They cannot be written; see `Store` for what has changed.
        """
        key = self.graph.key(part.name)
        kept = self.tables.store_rows(
            key, self.dagster_run_id, part.rows, table=TABLE_OF[part.name]
        )
        return dg.AssetObservation(key, metadata={**part.metadata, **kept})
