"""The account and the storage, as a file names them or the environment does.

Secrets are named, never written: a section has the *name* of an environment variable, which is
read when a run starts. So the code location loads where the variables are not set.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NoReturn

import dagster as dg
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.api import check_account, check_requests
from dbt_trigger_dagster.io_managers import DbtCloudTableIOManager
from dbt_trigger_dagster.resources import DbtCloudArtifactStore, DbtCloudResource
from dbt_trigger_dagster.sections import ProblemError, Section
from dbt_trigger_dagster.transport import normalize_access_url

PLACES = {
    "access_url": "your account's own host: Account settings, Account information, Access URL",
    "account_id": "the number in the address of your dbt Cloud account's pages, after /accounts/ "
    "or /deploy/",
    "token": "a service token with the permission Job Runner or Job Admin: Account settings, "
    "Service tokens",
    "job_id": "the number of the job, after /jobs/ in the address of its page",
}
"""What names an account and a job, and where the values are found."""

_TOKEN = re.compile(r"dbt[cu]_.*|[0-9A-Fa-f]{32,}", re.DOTALL)
_DATABASE = DbtCloudTableIOManager.model_fields["database"].default
_SCHEMA = DbtCloudTableIOManager.model_fields["schema_"].default
_ARTIFACTS = DbtCloudArtifactStore.model_fields["root"].default


class Workspace(Section):
    """The dbt Cloud account that runs the jobs.

    Fields that end in `_env` name environment variables; they are read when a run starts.
    """

    # A checker tells this with the name alone; whatever it says of a value shows the value.
    yaml_schema: ClassVar = {"propertyNames": {"not": {"const": "token"}}}
    model_config = ConfigDict(frozen=True)

    account_id: int | None = Field(
        default=None, description="The account's number, instead of account_id_env"
    )
    account_id_env: str = Field(
        default="DBT_CLOUD_ACCOUNT_ID", description="The variable with the account's number"
    )
    token_env: str = Field(
        default="DBT_CLOUD_TOKEN", description="The variable with the token; never the token itself"
    )
    access_url: str | None = Field(
        default=None, description="The account's own host, instead of access_url_env"
    )
    access_url_env: str = Field(
        default="DBT_CLOUD_ACCESS_URL", description="The variable with the account's own host"
    )
    request_timeout: float = Field(
        default=30,
        description="Seconds to wait for a connection, and for each piece of an answer",
    )
    request_max_retries: int = Field(
        default=5, description="How often a request is repeated at most, where that is safe"
    )
    request_retry_delay: float = Field(
        default=0.5,
        description="Longest pause in seconds before the first repetition; doubles with each",
    )
    token: Any = Field(
        default=None, description="Refused: a token stands in no file; set token_env"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.token is not None:
            raise ProblemError(
                "a token stands in no file: give token_env, the name of the environment variable "
                "that has it.",
                "token",
            )
        check_variables(self, "account_id_env", "token_env", "access_url_env")
        for name in ("account_id", "access_url"):
            if getattr(self, name) is not None and f"{name}_env" in self.model_fields_set:
                raise ProblemError(f"{name} and {name}_env are both given: give one.", name)
        try:
            self._check_values()
        except ValueError as error:
            name = str(error).partition(" ")[0]  # the client says first which setting it means
            raise ProblemError(str(error), name) from error
        return self

    def _check_values(self) -> None:
        """What the client will refuse, as far as it stands here."""
        if self.account_id is not None:
            check_account(self.account_id)
        if self.access_url is not None:
            normalize_access_url(self.access_url)
        check_requests(self.request_timeout, self.request_max_retries, self.request_retry_delay)

    def build_account(self, job_id_env: str | None = None) -> DbtCloudResource:
        """The account, with what the environment says now.

        Args:
            job_id_env: A variable for the job, to be named where others are missing too.

        Raises:
            ValueError: Variables are not set; the message names all of them, and says where to
                find each value.
        """
        named = {
            what: getattr(self, f"{what}_env")
            for what in ("access_url", "account_id", "token")
            if getattr(self, what) is None
        }
        missing = {variable: what for what, variable in named.items() if not _value_of(variable)}
        if missing and job_id_env is not None and not _value_of(job_id_env):
            missing[job_id_env] = "job_id"
        if missing:
            lines = [f"{variable}: {PLACES[what]}" for variable, what in missing.items()]
            raise ValueError("\n".join(["These environment variables are not set.", *lines]))
        return DbtCloudResource(
            account_id=self._account_id(),
            token=_value_of(self.token_env),
            access_url=self.access_url or _value_of(self.access_url_env),
            request_timeout=self.request_timeout,
            request_max_retries=self.request_max_retries,
            request_retry_delay=self.request_retry_delay,
        )

    def _account_id(self) -> int:
        if self.account_id is not None:
            return self.account_id
        value = _value_of(self.account_id_env)
        if not value.isdecimal():
            raise ValueError(
                f"{self.account_id_env} {value!r} is not a number: it is {PLACES['account_id']}."
            )
        return int(value)


class Storage(Section):
    """Where the tables and the artifacts are kept.

    Fields that end in `_env` name environment variables; they are read when a run starts.
    """

    model_config = ConfigDict(frozen=True)

    database: str | None = Field(
        default=None,
        description="The database of the tables, where database_env is not set; without both, "
        f"{_DATABASE}",
    )
    database_env: str = Field(
        default="DBT_TRIGGER_DATABASE",
        description="The variable with the database; it comes before database",
    )
    schema_: str = Field(default=_SCHEMA, alias="schema", description="Schema of the tables")
    artifacts: str | None = Field(
        default=None,
        description="The folder of the artifacts, where artifacts_env is not set; without both, "
        f"{_ARTIFACTS}",
    )
    artifacts_env: str = Field(
        default="DBT_TRIGGER_ARTIFACTS",
        description="The variable with that folder; it comes before artifacts",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_variables(self, "database_env", "artifacts_env")
        return self

    def build_tables(self) -> DbtCloudTableIOManager:
        """The tables' IO manager, with what the environment says now."""
        database = _value_of(self.database_env) or self.database or _DATABASE
        return DbtCloudTableIOManager(database=database, schema=self.schema_)

    def build_artifacts(self) -> DbtCloudArtifactStore:
        """The artifacts' store, likewise."""
        root = _value_of(self.artifacts_env) or self.artifacts or _ARTIFACTS
        return DbtCloudArtifactStore(root=root)


@dataclass(frozen=True)
class NoAccount:
    """In the place of an account whose settings are missing.

    The first step says so, with a failure of its own: what a resource raises while it is made is
    buried in a trace.

    Attributes:
        reason: Which settings, and where they are found.
    """

    reason: str

    def build_client(self, log: logging.Logger | None = None) -> NoReturn:  # noqa: ARG002  # as DbtCloudResource's
        """Say why there is none.

        Raises:
            ValueError: Always.
        """
        raise ValueError(self.reason)


# Two files that say the same are given the same resources, for Dagster takes no two of one name.


@cache
def account_resources(
    workspace: Workspace, job_id_env: str | None = None
) -> Mapping[str, dg.ResourceDefinition]:
    """The resource `dbt_cloud`; the environment is read when a run starts.

    Args:
        workspace: The account.
        job_id_env: A variable for the job, to be named where others are missing too.
    """

    @dg.resource(description="The dbt Cloud account")
    def dbt_cloud(_context: dg.InitResourceContext) -> DbtCloudResource | NoAccount:
        try:
            return workspace.build_account(job_id_env)
        except ValueError as error:
            return NoAccount(str(error))

    return {"dbt_cloud": dbt_cloud}


@cache
def storage_resources(storage: Storage) -> Mapping[str, dg.ResourceDefinition]:
    """The resources `dbt_cloud_tables` and `dbt_cloud_artifacts`, likewise."""

    @dg.io_manager(description="The tables of the dbt Cloud runs")
    def dbt_cloud_tables(context: dg.InitResourceContext) -> DbtCloudTableIOManager:
        tables = storage.build_tables()
        tables.setup_for_execution(context)
        return tables

    @dg.resource(description="The artifacts of the dbt Cloud runs")
    def dbt_cloud_artifacts(_context: dg.InitResourceContext) -> DbtCloudArtifactStore:
        return storage.build_artifacts()

    return {"dbt_cloud_tables": dbt_cloud_tables, "dbt_cloud_artifacts": dbt_cloud_artifacts}


def check_variables(section: Section, *names: str) -> None:
    """Refuse what cannot be the name of an environment variable, above all a token.

    Args:
        section: What has the fields.
        names: The fields; None is fine.

    Raises:
        ProblemError: It cannot. The value is not told: it may be a token.
    """
    for name in names:
        variable = getattr(section, name)
        if variable is not None and _TOKEN.fullmatch(variable):
            raise ProblemError("this looks like a token: give the name of a variable.", name)
        if variable is not None and not variable.isidentifier():
            raise ProblemError("this is not the name of an environment variable.", name)


def _value_of(variable: str) -> str:
    return os.environ.get(variable, "")
