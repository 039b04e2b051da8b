"""Google's driver of BigQuery, and the client that the settings describe."""

from collections.abc import Mapping
from concurrent import futures
from functools import partial
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.storage.database_url import driver, given
from dbt_trigger_dagster.storage.errors import StorageError

if TYPE_CHECKING:
    from google.cloud.bigquery import Client
    from sqlalchemy.engine import URL

EXAMPLE = "bigquery://project/dataset"
"""What a URL looks like."""


def bigquery(module: str = "google.cloud.bigquery") -> Any:
    """The driver.

    Args:
        module: Which part of it, or of what it brings.

    Raises:
        StorageError: It is not installed.
    """
    return driver(module, of="BigQuery", package="google-cloud-bigquery", extra="bigquery")


def arguments(url: "URL", user: str, password: str, others: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver's client is told.

    Args:
        url: What the URL says.
        user: Nobody: BigQuery goes by Google's own credentials.
        password: None, likewise.
        others: The client's own arguments, which count before the URL's.

    Raises:
        StorageError: There is a user or a password.
    """
    if user or password or url.username or url.password:
        raise StorageError(
            "BigQuery takes no user and no password: it goes by Google's application default "
            "credentials, or by the file that credentials_path names (connection)."
        )
    return {**given(project=url.host), **url.query, **others}


def client_of(settings: Mapping[str, Any]) -> "Client":
    """The driver's client.

    Args:
        settings: Its arguments; beside them ``credentials_path`` (of a service account's file) and
            ``api_endpoint``.

    Raises:
        StorageError: It cannot be made of these.
    """
    own = dict(settings)
    path, endpoint = own.pop("credentials_path", ""), own.pop("api_endpoint", "")
    if endpoint:
        own["client_options"] = {**own.get("client_options", {}), "api_endpoint": endpoint}
    client = bigquery().Client
    make = partial(client.from_service_account_json, path) if path else client
    unknown = bigquery("google.auth.exceptions").GoogleAuthError
    try:
        return make(**own)
    except (OSError, TypeError, ValueError, unknown) as error:
        raise StorageError(f"The connection to BigQuery cannot be made: {error}") from error


def errors() -> tuple[type[Exception], ...]:
    """What goes wrong in the driver and on the way; not what goes wrong with files."""
    return (
        bigquery("google.api_core.exceptions").GoogleAPIError,
        bigquery("google.auth.exceptions").GoogleAuthError,
        bigquery("requests.exceptions").RequestException,
        ConnectionError,
        TimeoutError,
        futures.TimeoutError,  # the driver's own; the same from Python 3.11 on
    )
