"""The account, as a file names it or the environment does.

Secrets are named, never written: a section has the *name* of an environment variable, which is
read when a run starts. So the code location loads where the variables are not set.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import dagster as dg
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from dbt_trigger_dagster.assets.job import JOB_ID_PLACE
from dbt_trigger_dagster.assets.resources import DbtCloudResource
from dbt_trigger_dagster.component.variables import check_variables, value_of
from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section
from dbt_trigger_dagster.dbt_cloud.address import normalize_access_url
from dbt_trigger_dagster.dbt_cloud.api import check_account, check_requests
from dbt_trigger_dagster.dbt_cloud.errors import SettingError

PLACES = {
    "access_url": "your account's own host: Account settings, Account information, Access URL",
    "account_id": "the number in the address of your dbt Cloud account's pages, after /accounts/ "
    "or /deploy/",
    "token": "a service token with the permission Job Runner or Job Admin: Account settings, "
    "Service tokens",
    "job_id": JOB_ID_PLACE,
}
"""What names an account and a job, and where the values are found."""


class Workspace(Section):
    """The dbt Cloud account that runs the jobs.

    Fields that end in `_env` name environment variables; they are read when a run starts.
    """

    model_config = ConfigDict(
        frozen=True,
        # A checker tells this with the name alone; whatever it says of a value shows the value.
        json_schema_extra={"propertyNames": {"not": {"const": "token"}}},
    )

    account_id: int | None = Field(
        default=None, description="The account's id, instead of account_id_env"
    )
    account_id_env: str = Field(
        default="DBT_CLOUD_ACCOUNT_ID", description="The variable with the account's id"
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
        default=None,
        exclude=True,
        description="Refused: a token stands in no file; set token_env",
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
        self._check_values()
        return self

    def _check_values(self) -> None:
        """What the client will refuse, as far as it stands here."""
        if self.account_id is not None:
            check_account(self.account_id)
        if self.access_url is not None:
            normalize_access_url(self.access_url)
        check_requests(self.request_timeout, self.request_max_retries, self.request_retry_delay)

    @property
    def description(self) -> str:
        """What the UI shows of the account; of variables only the names."""
        account = self.account_id or f"that {self.account_id_env} names"
        host = self.access_url or f"the host that {self.access_url_env} names"
        return f"The dbt Cloud account {account}, at {host}; its token is in {self.token_env}."

    def build_account(self, job_id_env: str | None = None) -> DbtCloudResource:
        """The account, with what the environment says now.

        Args:
            job_id_env: A variable for the job, to be named where others are missing too.

        Raises:
            ValueError: Variables are not set, or hold what cannot be used; the message names
                them, and says where to find each value.
        """
        named = {
            what: getattr(self, f"{what}_env")
            for what in ("access_url", "account_id", "token")
            if getattr(self, what) is None
        }
        missing = {variable: what for what, variable in named.items() if not value_of(variable)}
        if missing and job_id_env is not None and not value_of(job_id_env):
            missing[job_id_env] = "job_id"
        if missing:
            lines = [f"{variable}: {PLACES[what]}" for variable, what in missing.items()]
            raise ValueError("\n".join(["These environment variables are not set.", *lines]))
        account = DbtCloudResource(
            account_id=self._account_id(),
            token=value_of(self.token_env),
            access_url=self.access_url or value_of(self.access_url_env),
            request_timeout=self.request_timeout,
            request_max_retries=self.request_max_retries,
            request_retry_delay=self.request_retry_delay,
        )
        try:
            account.build_client().close()
        except SettingError as error:
            raise SettingError(named.get(error.field, error.field), error.problem) from error
        return account

    def _account_id(self) -> int:
        if self.account_id is not None:
            return self.account_id
        value = value_of(self.account_id_env)
        if not value.isdecimal():
            raise ValueError(
                f"{self.account_id_env} {value!r} is not a number: it is {PLACES['account_id']}."
            )
        return int(value)


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


@cache
def account_resources(
    workspace: Workspace, job_id_env: str | None = None
) -> Mapping[str, dg.ResourceDefinition]:
    """The resource `dbt_cloud`; the environment is read when a run starts.

    Args:
        workspace: The account.
        job_id_env: A variable for the job, to be named where others are missing too.
    """

    @dg.resource(description=workspace.description)
    def dbt_cloud(_context: dg.InitResourceContext) -> DbtCloudResource | NoAccount:
        try:
            return workspace.build_account(job_id_env)
        except ValueError as error:
            return NoAccount(str(error))

    return {"dbt_cloud": dbt_cloud}
