"""What every test starts from: a clean environment, and a client whose clock is the test's."""

import os
from collections.abc import Iterator

import pytest
import responses

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.payloads import ACCESS_URL, ACCOUNT_ID, TOKEN

_OURS = ("DBT_CLOUD_", "DBT_TRIGGER_")
_FOREIGN = {
    "DAGSTER_HOME",
    "NETRC",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch) -> None:
    """Nothing that the machine's environment says reaches a test, and Dagster tells nobody."""
    for name in os.environ:
        if name.startswith(_OURS) or name.upper() in _FOREIGN:
            monkeypatch.delenv(name)
    # Of all commands that a test starts, with whatever settings.
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test moves."""
    return FakeClock()


@pytest.fixture
def client(clock: FakeClock) -> Iterator[DbtCloudClient]:
    """A client that waits on `clock`."""
    with DbtCloudClient(
        account_id=ACCOUNT_ID, token=TOKEN, access_url=ACCESS_URL, clock=clock
    ) as made:
        yield made


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    """Dbt Cloud, as far as a test scripts it; anything else is a connection error."""
    with responses.RequestsMock() as mock:
        yield mock
