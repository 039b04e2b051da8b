"""Everything that can go wrong, as one tree.

::

    DbtCloudError
    ├── DbtCloudRequestError          no answer came (``may_have_been_sent``)
    ├── DbtCloudResponseError         the answer is a refusal: 3xx, 4xx, 5xx
    │   ├── DbtCloudAuthError         401, 403
    │   ├── DbtCloudNotFoundError     404
    │   └── DbtCloudRateLimitError    429
    ├── DbtCloudPayloadError          a 2xx that cannot be read
    ├── DbtCloudJobNameError          no job, or more than one, has the name
    ├── DbtCloudCancelledError    a pause was cancelled, with the step that made it
    ├── DbtCloudSupersededError   another attempt has taken this one's place
    └── DbtCloudRunError              about one run, which it carries (``run``)
        ├── DbtCloudRunFailedError    the run ended in error
        ├── DbtCloudRunCancelledError the run was cancelled
        ├── DbtCloudRunTimeoutError   dbt Cloud stopped the run at its own time limit
        └── DbtCloudWaitTimeoutError  we stopped waiting; the run goes on

Beside it stands ``SettingError``, a ``ValueError``: a setting that cannot be used.

Every message is a sentence or two for the person who reads the log: what happened, what to do.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbt_trigger_dagster.dbt_cloud.models import Run


class SettingError(ValueError):
    """A setting cannot be used; no request was made.

    Args:
        field: The setting's name.
        problem: What is wrong with it and what to do: the rest of a sentence that begins with the
            name.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class DbtCloudError(Exception):
    """Base of all errors about dbt Cloud."""


class DbtCloudRequestError(DbtCloudError):
    """No answer came back.

    Args:
        message: What happened.
        may_have_been_sent: False only when the connection was never made, so that dbt Cloud
            cannot have acted on the request.
    """

    def __init__(self, message: str, *, may_have_been_sent: bool) -> None:
        super().__init__(message)
        self.may_have_been_sent = may_have_been_sent


class DbtCloudResponseError(DbtCloudError):
    """dbt Cloud, or something in front of it, refused the request.

    Args:
        message: What was asked and what was answered.
        status_code: The HTTP status.
        retry_after: Seconds that the answer asks to wait before the next request, if it does.
        is_dbt_clouds: Whether the answer is in dbt Cloud's own form, and so not of something in
            front of it.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        retry_after: float | None = None,
        is_dbt_clouds: bool = False,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after
        self.is_dbt_clouds = is_dbt_clouds


class DbtCloudAuthError(DbtCloudResponseError):
    """401 or 403: the token is wrong, or the host, or the account."""


class DbtCloudNotFoundError(DbtCloudResponseError):
    """404: the id is unknown, or the token may not see it."""


class DbtCloudRateLimitError(DbtCloudResponseError):
    """429: too many requests for the account."""


class DbtCloudPayloadError(DbtCloudError):
    """The answer has a good status and a body that is not dbt Cloud's."""


class DbtCloudJobNameError(DbtCloudError):
    """No job has the name, or more than one has; the message lists candidates."""


class DbtCloudSupersededError(DbtCloudError):
    """Nothing was sent, because another attempt may have taken the place of this one."""


class DbtCloudCancelledError(DbtCloudError):
    """A pause between two requests was cancelled, because the step that makes them ends."""


class DbtCloudRunError(DbtCloudError):
    """About one dbt Cloud run.

    Args:
        message: What happened to the run.
        run: The run as last seen.
    """

    def __init__(self, message: str, *, run: "Run") -> None:
        super().__init__(message)
        self.run = run


class DbtCloudRunFailedError(DbtCloudRunError):
    """The run ended in error (status 20)."""


class DbtCloudRunCancelledError(DbtCloudRunError):
    """The run was cancelled (status 30)."""


class DbtCloudRunTimeoutError(DbtCloudRunError):
    """dbt Cloud cancelled the run at the job's or the account's time limit (also status 30)."""


class DbtCloudWaitTimeoutError(DbtCloudRunError):
    """``max_wait_time`` is over and the run is not; the run itself goes on."""
