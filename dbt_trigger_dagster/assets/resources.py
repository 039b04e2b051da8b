"""The Dagster resources: an account of dbt Cloud, and a place for artifacts.

They hold settings, and build what does the work. Settings are judged when they are used, in a
run, because an ``EnvVar`` has no value before.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import dagster as dg
from pydantic import BeforeValidator, Field, PrivateAttr

from dbt_trigger_dagster.artifacts.download import DownloadReport
from dbt_trigger_dagster.artifacts.latest import NAMES, publish_latest
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.artifacts.stored_files import open_stored
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Clock
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore, open_file_store


def _as_text(value: Any) -> str:
    """A number as text; an ``EnvVar`` is text already, and is not to be read here."""
    return value if isinstance(value, str) else str(value)


if TYPE_CHECKING:
    Seconds = float
    Options = Mapping[str, Any]
    Secret = str
else:
    # Dagster takes EnvVar for text and whole numbers only; so seconds travel as text.
    Seconds = Annotated[str, BeforeValidator(_as_text)]
    # No config of Dagster's: that would stand in the repository's snapshot, secrets and all.
    Options = dg.ResourceDependency[Mapping[str, Any]]
    Secret = dg.ResourceDependency[str]


def _seconds(default: float, description: str) -> Any:
    return Field(default=str(default), description=description)


class DbtCloudResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # it is no factory
    """An account of dbt Cloud. Every field takes a ``dg.EnvVar``."""

    account_id: int = Field(description="The account's id, as in the address of its pages")
    token: str = Field(
        repr=False,
        description="A service token (or a personal access token) that may run the account's jobs; "
        "give it as a dg.EnvVar, so that it stands in no definition",
    )
    access_url: str = Field(
        description="The account's own host, from Account settings, Account information, "
        "Access URL; for example ab123.us1.dbt.com"
    )
    request_timeout: Seconds = _seconds(
        30, "Seconds to wait for a connection, and for each piece of an answer"
    )
    request_max_retries: int = Field(
        default=5, description="How often a request is repeated at most, where that is safe"
    )
    request_retry_delay: Seconds = _seconds(
        0.5, "Longest pause in seconds before the first repetition; doubles with each"
    )

    def build_client(
        self, log: logging.Logger | None = None, clock: Clock | None = None
    ) -> DbtCloudClient:
        """A client for the account, to be closed after use.

        Args:
            log: Where the client tells of repeated requests.
            clock: What its pauses are slept on.

        Raises:
            SettingError: A setting cannot be used; the message says which and why.
        """
        return DbtCloudClient(
            account_id=self.account_id,
            token=self.token,
            access_url=self.access_url,
            request_timeout=_as_seconds("request_timeout", self.request_timeout),
            request_max_retries=self.request_max_retries,
            request_retry_delay=_as_seconds("request_retry_delay", self.request_retry_delay),
            log=log,
            clock=clock,
        )


def _as_seconds(name: str, value: float | str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise SettingError(name, f"{value!r} is no number of seconds.") from error


class DbtCloudArtifactStore(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """Where artifacts are kept: ``<root>/<account_id>/<job_id>/<run_id>/<path>``."""

    root: str = Field(
        default="data/artifacts",
        description="A folder, made when missing, or a URL: s3://bucket/prefix, "
        "gs://bucket/prefix, az://container/prefix or "
        "abfss://container@account.dfs.core.windows.net/prefix",
    )
    options: Options = Field(
        default={},
        repr=False,
        description="For a URL: obstore's options by name, such as endpoint, region, "
        "access_key_id, secret_access_key; a value may be a dg.EnvVar. By default the cloud's own "
        "ways to credentials are taken",
    )

    publish_latest: bool = Field(
        default=False,
        description="After a good run, its manifest.json, run_results.json, catalog.json and "
        "sources.json stand at latest/<account_id>/<job_id> too, and at "
        "latest/<account_id>/environment-<id>, for catalogs and for dbt's --defer and --state; "
        "never those of an older run than the ones that stand there, of a pull request, or of a "
        "run with another schema, target or commit",
    )

    _files: FileStore | None = PrivateAttr(default=None)

    def check(self, account_id: int | None = None, job_id: int | None = None) -> None:
        """Make sure that artifacts can be stored.

        Args:
            account_id: The account, where a job's own folder is to be tried.
            job_id: The job.

        Raises:
            StorageError: They cannot; the message says why.
        """
        folder = "" if account_id is None or job_id is None else f"{account_id}/{job_id}"
        self.files().check(folder)

    def files(self) -> FileStore:
        """What keeps the files; opened once, for in a bucket it is a client with connections.

        Raises:
            StorageError: The settings name no place; the message says why.
        """
        if self._files is None:
            self._files = open_file_store(self.root, values_of(self.options))
        return self._files

    def open_artifact(self, run_id: int, path: str, *, step: int = OF_THE_RUN) -> BinaryIO:
        """A stored artifact as a binary stream, to be closed after use; it can seek.

        Args:
            run_id: dbt Cloud's id of the run.
            path: The artifact's path in dbt Cloud, such as ``manifest.json``.
            step: Number of the step, for what a single step has left.

        Raises:
            FileNotFoundError: It is not stored.
            StorageError: It cannot be read.
        """
        return open_stored(self.files(), Artifact(run_id, step, path))

    def load_artifact(self, run_id: int, path: str, *, step: int = OF_THE_RUN) -> Any:
        """What a stored artifact says that is JSON, as most of dbt's are.

        Args:
            run_id: dbt Cloud's id of the run.
            path: The artifact's path in dbt Cloud, such as ``manifest.json``.
            step: Number of the step, for what a single step has left.

        Raises:
            FileNotFoundError: It is not stored.
            StorageError: It cannot be read, or is not JSON.
        """
        with self.open_artifact(run_id, path, step=step) as file:
            try:
                return json.load(file)
            except ValueError as error:
                raise StorageError(
                    f"{path} of the run {run_id} is not JSON: {error}. Read it with open_artifact."
                ) from error

    def publish(self, reports: Iterable[tuple[Run, DownloadReport]]) -> list[StorageError]:
        """Keep the artifacts of good runs as the latest ones, too, where that is wanted.

        Args:
            reports: The runs, each with what became of its artifacts.

        Returns:
            What could not be kept.
        """
        errors = []
        for run, report in reports if self.publish_latest else ():
            stored = {each.artifact.path for each in report.stored if each.artifact.step == 0}
            names = [name for name in NAMES if name in stored]
            if run.is_success and names:
                try:
                    publish_latest(self.files(), run, self.folder_of(run), names)
                except (StorageError, OSError) as error:
                    errors.append(StorageError(f"The latest artifacts cannot be kept: {error}"))
        return errors

    def folder_of(self, run: Run) -> str:
        """The folder of one run's artifacts, below the root."""
        return f"{run.account_id}/{run.job_id}/{run.run_id}"


def values_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with what the environment says now in place of each ``EnvVar``."""
    return {name: value_of(value) for name, value in options.items()}


def value_of(setting: Any) -> Any:
    """A setting, or what the environment says now where it is an ``EnvVar``."""
    return setting.get_value() if isinstance(setting, dg.EnvVar) else setting
