"""What every test starts from: a clean environment, and a client whose clock is the test's."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from typing import Any

import dagster as dg
import pytest
import responses
from hypothesis import HealthCheck, settings

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.instances import an_instance
from dbt_trigger_dagster_tests.payloads import ACCESS_URL, ACCOUNT_ID, TOKEN

gc.disable()  # until all tests are collected: nothing that is imported is garbage

# A busy machine is no reason to fail.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# A shell starts what runs in its background with SIGINT ignored; our own commands inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

_WORKERS_FOR_EACH_CORE = 2  # some tests wait for a server or another process
_STARTS = {"subprocess.Popen", "sqlite3.connect"}  # what Dagster opens for each of its instances
_SLOW = (
    "dbt_trigger_dagster_tests.databases",
    "dbt_trigger_dagster_tests.graphs",
    "dbt_trigger_dagster_tests.monitors",
    "dbt_trigger_dagster_tests.processes",
    "faults.",
)
_LONGEST = ".sandbox.test_dbt"  # a minute and more, which nobody waits for who has begun with it
_started: list[str] = []

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


@pytest.hookimpl(optionalhook=True)  # test-oldest has no xdist
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as `-n auto` starts."""
    return _WORKERS_FOR_EACH_CORE * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what starts Dagster or processes, by what its module imports; longest first."""
    items.sort(key=lambda item: not item.module.__name__.endswith(_LONGEST))  # type: ignore[attr-defined]  # likewise
    for item in items:
        names = vars(item.module).values()  # type: ignore[attr-defined]  # all of ours are functions
        if any(
            each is subprocess or str(getattr(each, "__module__", "")).startswith(_SLOW)
            for each in names
        ):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is there in the end stays, and need not be looked through again."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _note(event: str, _: object) -> None:
    if _STARTS and event in _STARTS:  # a process that ends has no names left
        _started.append(event)


sys.addaudithook(_note)


@pytest.fixture(autouse=True)
def fast_unless_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """What starts something is marked, so that the other tests stay fast."""
    _started.clear()
    yield
    if request.node.get_closest_marker("slow") is None:
        assert not _started, "it starts Dagster or a process: mark it with pytest.mark.slow"


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
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's memory, empty."""
    with an_instance() as made:
        yield made


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    """Dbt Cloud, as far as a test scripts it; anything else is a connection error."""
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def an_end_to_waiting() -> Iterator[None]:
    """Ends what would hang; nothing else lasts so long."""

    def give_up(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 60)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
