"""A run's artifacts are stored as they arrive: what dbt Cloud does not list is not yet "none".

Right after a run's end its list may be empty, or lack some. So a list is believed when the next one
says the same, and an empty one when the time for late artifacts is over.
"""

import itertools
from dataclasses import dataclass

from dbt_trigger_dagster.artifacts.download import DownloadReport, download_artifacts
from dbt_trigger_dagster.artifacts.listing import Lag, Wanted, list_artifacts
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.artifacts.run_steps import dbt_steps_of
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore


@dataclass(frozen=True)
class Arrival:
    """Stores the artifacts of runs.

    Args:
        client: The account's client.
        wanted: Which artifacts.
        files: Where they are kept.
        max_parallel: How many are downloaded at the same time, each on a connection of its own.
    """

    client: DbtCloudClient
    wanted: Wanted
    files: FileStore
    max_parallel: int

    def store(self, run: Run, folder: str, lag: Lag) -> DownloadReport:
        """Store what there is of a run, and what arrives in time; what cannot be had is reported.

        Args:
            run: The run, when it is over, with its steps.
            folder: The run's own folder.
            lag: Until when artifacts may still arrive.
        """
        report, listed = DownloadReport(), None
        try:
            for attempt in itertools.count():
                found = list_artifacts(self.client, run)
                if found and found == listed:
                    break
                report += self._download(run, found, report, folder, lag)
                if found and not lag.saw_end:
                    break
                is_first_list = found and not listed  # the download was the pause
                if not is_first_list and not lag.pause(attempt, self.client.cancellation):
                    break
                listed = found
            return report if found else report + _missing(run)
        except (DbtCloudError, StorageError) as error:
            return report + _nothing(run, error)

    def _download(
        self, run: Run, listed: list[str], report: DownloadReport, folder: str, lag: Lag
    ) -> DownloadReport:
        """Store what has come since the last look."""
        before = dict.fromkeys(report.artifacts)  # there may be tens of thousands
        return download_artifacts(
            self.client,
            [each for each in self.wanted.among(run, listed) if each not in before],
            self.files,
            folder,
            max_parallel=self.max_parallel,
            lag=lag,
            beside=list(before),
        )


def _missing(run: Run) -> DownloadReport:
    """An error where a run that ended well must have left something, and nothing is listed."""
    if not run.is_success or not dbt_steps_of(run) or run.payload.get("artifacts_saved") is False:
        return DownloadReport()
    return _nothing(
        run,
        DbtCloudError(
            f"dbt Cloud lists no artifacts of run {run.run_id}, although it ran dbt and ended well."
            " Materialize the artifacts again with run_ids when they are there."
        ),
    )


def _nothing(run: Run, error: DbtCloudError | StorageError) -> DownloadReport:
    return DownloadReport((), ((Artifact(run.run_id, OF_THE_RUN, ""), error),))
