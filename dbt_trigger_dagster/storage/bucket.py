"""A bucket or container, as its URL, obstore's options and the environment describe it."""

import importlib
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore.store import ObjectStore, from_url

from dbt_trigger_dagster.storage.errors import StorageError

_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")

_CLIENT_OPTIONS = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "randomize_addresses",
        "read_timeout",
        "root_certificate",
        "timeout",
        "user_agent",
    }
)
_RETRIES = 5


def check_root(root: str) -> None:
    """Refuse a URL whose parts would be ignored, secrets among them.

    Raises:
        StorageError: It has such parts; they are not quoted.
    """
    parts = urlsplit(root)
    before_host = parts.netloc.rpartition("@")[0]
    if parts.scheme not in _SCHEMES or not parts.netloc:
        raise StorageError(
            f"The artifacts' root {parts.scheme}://{parts.netloc.rpartition('@')[2]} is not "
            "supported: give the path of a folder, or a URL such as s3://bucket/prefix, "
            "gs://bucket/prefix or az://container/prefix."
        )
    is_container = parts.scheme.startswith("abfs") and ":" not in before_host
    if parts.query or parts.fragment or (before_host and not is_container):
        raise StorageError(
            f"The artifacts' root {parts.scheme}://… has more than a bucket and a prefix: "
            "give keys, tokens and settings as options, or in the environment."
        )


def open_bucket(root: str, options: Mapping[str, Any], patience: float) -> ObjectStore:
    """The store of a URL, as obstore has it.

    Args:
        root: The URL.
        options: Of obstore, under its names.
        patience: Seconds for which one request is repeated on transient errors.

    Raises:
        StorageError: A profile is to be used and boto3 is not there.
    """
    config = {name: value for name, value in options.items() if name not in _CLIENT_OPTIONS}
    client = {name: value for name, value in options.items() if name in _CLIENT_OPTIONS}
    arguments: dict[str, Any] = {"config": config}
    if client:  # none at all would do away with what the environment says
        arguments["client_options"] = client
    if root.startswith("s3") and _wants_profile(options):
        arguments["credential_provider"] = _profile_credentials()
    retries: Any = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=patience)}
    store: ObjectStore = from_url(root, retry_config=retries, **arguments)
    return store


def _wants_profile(options: Mapping[str, Any]) -> bool:
    """Whether a profile of the AWS command line is to be used, which obstore does not know."""
    has_keys = any(name.lower().endswith("access_key_id") for name in options)
    return bool(os.environ.get("AWS_PROFILE")) and not has_keys


def _profile_credentials() -> Any:
    try:
        auth = importlib.import_module("obstore.auth.boto3")
    except ImportError as error:
        raise StorageError(
            "AWS_PROFILE is set, which needs boto3: pip install boto3, or unset it and give keys "
            "in the environment."
        ) from error
    return auth.Boto3CredentialProvider()
