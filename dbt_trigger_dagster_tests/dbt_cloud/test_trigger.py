"""The exactly-once protocol, against a sandbox that loses answers, on a clock that is moved."""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudRequestError,
    DbtCloudResponseError,
    DbtCloudSupersededError,
)
from dbt_trigger_dagster.dbt_cloud.marker import marked, marker
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter, TriggerRequest
from dbt_trigger_dagster.dbt_cloud.search import SETTLE_PAUSES
from dbt_trigger_dagster.dbt_cloud.trigger import (
    Intention,
    Triggered,
    find_retry,
    retry_once,
    trigger_once,
)
from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.clocks import FakeClock

KEY = "0e3c6a5e-7f0f-4f0e-9d5b-3f8f2f6f9a11"
LOST = [
    Fault("reset", method="POST", when="after"),
    Fault("truncate", method="POST", when="after"),
    Fault(method="POST", when="after", status=500),
    Fault(method="POST", when="after", status=502, body="<html>Bad Gateway</html>"),
    Fault(method="POST", when="after", status=504),
    Fault(method="POST", when="after", status=200, body="<html>fine</html>"),
]
AFTERWARDS = 1
"""Searches after a request that is not the first of its intention."""

NEVER_ARRIVED = [
    Fault("reset", method="POST"),
    Fault(method="POST", status=500),
    Fault(method="POST", status=502),
]


@dataclass
class Account:
    """A client of a sandbox with one job."""

    sandbox: Sandbox
    client: DbtCloudClient
    clock: FakeClock

    @property
    def job_id(self) -> int:
        """The job."""
        return self.sandbox.jobs[0].id

    def trigger(
        self,
        key: str = KEY,
        *,
        is_repeated: bool = False,
        since: datetime | None = None,
        is_current: Callable[[], bool] = lambda: True,
    ) -> Triggered:
        """Trigger the job for an intention."""
        intention = Intention(key, since or datetime.now(timezone.utc), is_repeated, is_current)
        log = logging.getLogger("test")
        request = TriggerRequest(cause="Nightly")
        return trigger_once(self.client, self.job_id, request, intention, log=log)

    def start_rival(self) -> Run:
        """What another worker starts for the same intention."""
        return self.client.trigger_run(self.job_id, marked(TriggerRequest(cause="Nightly"), KEY))

    def until_cancelled(self, run_id: int) -> Run:
        """A run when it is cancelled."""
        run = self.client.get_run(run_id)
        while not run.is_over:
            run = self.client.get_run(run_id)
        assert run.is_cancelled
        return run

    def start_others(self, number: int) -> None:
        """Start runs that nobody here wants."""
        for other in range(number):
            self.client.trigger_run(self.job_id, TriggerRequest(cause=f"Run {other}"))

    def runs(self) -> list[Run]:
        """All runs of the job."""
        return list(self.client.list_runs(RunFilter(job_definition_id=self.job_id)))

    def asked(self, method: str) -> int:
        """How many requests of a method came."""
        return sum(request.method == method for request in self.sandbox.requests)


@pytest.fixture
def account(clock: FakeClock) -> Iterator[Account]:
    """An account whose job's runs go on until they are cancelled."""
    job = SandboxJob(name="nightly", script=Script(seconds=3600))
    with (
        Sandbox(jobs=[job]) as sandbox,
        DbtCloudClient(
            account_id=sandbox.account_id,
            token=sandbox.token,
            access_url=sandbox.access_url,
            request_max_retries=2,
            clock=clock,
        ) as client,
    ):
        yield Account(sandbox, client, clock)


def test_a_trigger_that_is_answered_is_one_request(account: Account) -> None:
    """Nothing is searched, nothing is waited for."""
    triggered = account.trigger()
    assert not triggered.adopted
    assert [request.method for request in account.sandbox.requests] == ["POST"]
    assert account.clock.pauses == []


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_a_run_whose_answer_was_lost_is_adopted(account: Account, fault: Fault) -> None:
    """It is found by the marker; no second one is started."""
    account.sandbox.inject(fault)
    triggered = account.trigger()
    assert triggered.adopted
    assert [run.run_id for run in account.runs()] == [triggered.run.run_id]
    assert account.asked("POST") == 1


@pytest.mark.parametrize("fault", NEVER_ARRIVED, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_a_request_that_was_lost_is_sent_again_after_the_settle_window(
    account: Account, fault: Fault
) -> None:
    """Ten seconds are long enough for a run that was started to appear."""
    account.sandbox.inject(fault)
    triggered = account.trigger()
    assert not triggered.adopted
    assert len(account.runs()) == 1
    assert account.clock.pauses == list(SETTLE_PAUSES[1:])
    assert sum(SETTLE_PAUSES) == 10


def test_a_run_that_appears_late_is_adopted(account: Account) -> None:
    """The first searches do not show it yet."""
    account.sandbox.inject(LOST[0])
    nothing = {"data": [], "extra": {"pagination": {"count": 0, "total_count": 0}}}
    account.sandbox.inject(Fault(path="*/runs/", status=200, body=nothing, count=3))
    triggered = account.trigger()
    assert triggered.adopted
    assert len(account.runs()) == 1


def test_requests_that_are_lost_again_and_again_end_in_the_error(account: Account) -> None:
    """After as many as request_max_retries allows; nothing was started."""
    account.sandbox.inject(Fault("reset", method="POST", count=None))
    with pytest.raises(DbtCloudRequestError) as caught:
        account.trigger()
    assert caught.value.may_have_been_sent
    assert account.asked("POST") == 3
    assert account.runs() == []


def test_a_refusal_is_not_searched_for(account: Account) -> None:
    """Dbt Cloud said no: there is nothing to find."""
    account.sandbox.inject(Fault(method="POST", status=400))
    with pytest.raises(DbtCloudResponseError):
        account.trigger()
    assert [request.method for request in account.sandbox.requests] == ["POST"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_trigger_that_is_turned_away_is_searched_for_once_before_it_is_sent_again(
    account: Account, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The pause that dbt Cloud asks for comes first, and a search is one request."""
    account.sandbox.inject(Fault(method="POST", status=status, headers={"Retry-After": "9"}))
    assert not account.trigger().adopted
    assert account.clock.pauses == [9]
    assert "Trying again in 9 s, after a search." in caplog.text
    methods = [request.method for request in account.sandbox.requests]
    assert methods == ["POST", "GET", "POST", *["GET"] * AFTERWARDS]


@pytest.mark.parametrize("status", [429, 503])
def test_a_trigger_that_is_turned_away_and_was_acted_on_is_adopted(
    account: Account, status: int
) -> None:
    """A proxy in front of dbt Cloud can say so of a request that went through."""
    lost = Fault(method="POST", when="after", status=status, headers={"Retry-After": "0"})
    account.sandbox.inject(lost)
    assert account.trigger().adopted
    assert account.asked("POST") == len(account.runs()) == 1


def test_a_trigger_that_is_turned_away_for_good_is_the_refusal(account: Account) -> None:
    """After as many repetitions as request_max_retries allows."""
    account.sandbox.inject(Fault(method="POST", status=503, count=None))
    with pytest.raises(DbtCloudResponseError, match="503"):
        account.trigger()
    assert account.asked("POST") == 3


def test_a_trigger_that_is_turned_away_again_and_again_waits_longer_each_time(
    account: Account,
) -> None:
    """An overloaded dbt Cloud is given room to recover; only jitter makes a pause shorter."""
    account.client.retry_policy = dataclasses.replace(
        account.client.retry_policy, jitter=lambda: 1.0
    )
    account.sandbox.inject(Fault(method="POST", status=503, count=2))
    assert not account.trigger().adopted
    assert account.clock.pauses == [0.5, 1.0]


def test_an_outage_of_the_search_leaves_the_question_open(account: Account) -> None:
    """The error comes up, and nothing is sent again: the next try searches first."""
    account.sandbox.inject(LOST[0])
    account.sandbox.inject(Fault(path="*/runs/", status=500, count=3))
    with pytest.raises(DbtCloudError):
        account.trigger()
    assert account.asked("POST") == 1
    assert account.trigger(is_repeated=True).adopted
    assert len(account.runs()) == 1


def test_a_repeated_intention_finds_its_run_before_it_triggers(account: Account) -> None:
    """A live run is adopted without a POST."""
    first = account.trigger()
    again = account.trigger(is_repeated=True)
    assert again.adopted
    assert again.run.run_id == first.run.run_id
    assert account.asked("POST") == 1


def test_a_repeated_intention_without_a_run_triggers(account: Account) -> None:
    """The worker died before its request left."""
    assert not account.trigger(is_repeated=True).adopted
    assert len(account.runs()) == 1


def test_a_cancelled_run_is_not_adopted(account: Account) -> None:
    """Who cancelled it does not want it; who repeats the intention wants one."""
    first = account.trigger()
    account.client.cancel_run(first.run.run_id)
    account.until_cancelled(first.run.run_id)
    again = account.trigger(is_repeated=True)
    assert not again.adopted
    assert again.run.run_id != first.run.run_id


def test_of_two_that_trigger_at_once_the_older_run_counts(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """Both searched before either sent; the younger run is cancelled, and that is told."""
    rivals: list[Run] = []

    def another_is_faster() -> bool:
        rivals.append(account.start_rival())
        return True

    triggered = account.trigger(is_repeated=True, is_current=another_is_faster)
    (rival,) = rivals
    assert (triggered.run.run_id, triggered.adopted) == (rival.run_id, True)
    first, second = account.runs()
    assert first.run_id == rival.run_id
    account.until_cancelled(second.run_id)
    assert f"run {first.run_id} was started twice: the younger run {second.run_id}" in caplog.text


def test_whoever_finds_two_runs_adopts_the_older_and_cancels_the_younger(account: Account) -> None:
    """So all who search agree, also where an answer was lost."""
    first, second = account.start_rival(), account.start_rival()
    triggered = account.trigger(is_repeated=True)
    assert (triggered.run.run_id, triggered.adopted) == (first.run_id, True)
    account.until_cancelled(second.run_id)


def test_a_younger_run_that_cannot_be_cancelled_is_told(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """The older one is followed all the same."""
    first, second = account.start_rival(), account.start_rival()
    account.sandbox.inject(Fault(path="*/cancel/", status=403))
    assert account.trigger(is_repeated=True).run.run_id == first.run_id
    assert f"the younger run {second.run_id} could not be cancelled" in caplog.text


def test_a_search_that_fails_afterwards_does_not_cost_the_run(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """It was started, and that is known."""
    account.sandbox.inject(Fault(path="*/runs/", status=401, skip=len(SETTLE_PAUSES)))
    triggered = account.trigger(is_repeated=True)
    assert [run.run_id for run in account.runs()] == [triggered.run.run_id]
    assert "Nobody can tell whether" in caplog.text


def test_an_attempt_that_was_given_up_triggers_nothing(account: Account) -> None:
    """Its worker was paused, not dead; a successor has taken over."""
    with pytest.raises(DbtCloudSupersededError, match="Nothing was triggered"):
        account.trigger(is_current=lambda: False)
    assert account.sandbox.requests == []


@pytest.mark.parametrize("what", ["now", "suspended"])
def test_an_attempt_that_was_paused_searches_before_it_triggers(
    account: Account, what: str
) -> None:
    """A frozen container, or a suspended machine whose monotonic clock stood still."""

    def pause() -> bool:
        setattr(account.clock, what, getattr(account.clock, what) + 60)
        account.start_rival()
        return True

    assert account.trigger(is_current=pause).adopted
    assert account.asked("POST") == len(account.runs()) == 1


class Paused(DbtCloudClient):
    """Its worker is paused right before its first trigger leaves, and another sends its own."""

    others = 0

    def trigger_run(self, job_id: int, request: TriggerRequest) -> Run:
        """Send it late, when the job has run for others as well."""
        super().trigger_run(job_id, request)
        for number in range(self.others):
            super().trigger_run(job_id, TriggerRequest(cause=f"Run {number}"))
        assert isinstance(self.clock, FakeClock)
        self.clock.now += 60
        return super().trigger_run(job_id, request)


@pytest.mark.parametrize("others", [0, 150])
def test_an_attempt_that_was_paused_while_it_triggered_gives_way(
    clock: FakeClock, others: int
) -> None:
    """Nothing could keep its request back: its run is the younger one, by days perhaps."""
    job = SandboxJob(name="nightly", script=Script(seconds=3600))
    with (
        Sandbox(jobs=[job]) as sandbox,
        Paused(
            account_id=sandbox.account_id,
            token=sandbox.token,
            access_url=sandbox.access_url,
            clock=clock,
        ) as client,
    ):
        client.others = others
        account = Account(sandbox, client, clock)
        triggered = account.trigger()
        first, *_, second = account.runs()
        assert (triggered.run.run_id, triggered.adopted) == (first.run_id, True)
        account.until_cancelled(second.run_id)


def test_a_run_is_found_however_wrong_our_clock_is(account: Account) -> None:
    """The first page is read whatever its age, and the marker counts before the age."""
    account.sandbox.inject(LOST[0])
    for ahead in (timedelta(minutes=11), timedelta(days=400)):
        since = datetime.now(timezone.utc) + ahead
        assert account.trigger(since=since, is_repeated=account.asked("POST") > 0).adopted
    assert account.asked("POST") == len(account.runs()) == 1


def test_two_intentions_at_once_each_have_their_own_run(account: Account) -> None:
    """Both answers are lost; neither adopts the other's run."""
    account.sandbox.inject(Fault("reset", method="POST", when="after", count=2))
    one, two = account.trigger("one"), account.trigger("two")
    assert one.adopted
    assert two.adopted
    assert one.run.run_id != two.run.run_id
    assert len(account.runs()) == 2


def test_a_search_goes_back_only_as_far_as_the_intention(account: Account) -> None:
    """A job with thousands of runs costs one page when the newest is older than the wish."""
    account.start_others(150)
    before = account.asked("GET")
    account.trigger(is_repeated=True, since=datetime.now(timezone.utc) + timedelta(days=2))
    assert account.asked("GET") - before == len(SETTLE_PAUSES) + AFTERWARDS


def test_a_search_pages_on_until_it_finds_its_run(account: Account) -> None:
    """Others may have triggered the job a hundred times since."""
    first = account.trigger()
    account.start_others(150)
    assert account.trigger(is_repeated=True).run.run_id == first.run.run_id


def test_only_the_first_search_goes_back_all_the_way(account: Account) -> None:
    """What has been seen need not be looked at again: a run that appears late is a new one."""
    began = datetime.now(timezone.utc)
    account.start_others(250)
    before = account.asked("GET")
    assert not account.trigger(is_repeated=True, since=began).adopted
    assert account.asked("GET") - before == 3 + len(SETTLE_PAUSES) - 1 + AFTERWARDS


def test_the_user_cannot_forge_the_marker_of_another_run(account: Account) -> None:
    """Only the end of a cause counts, and we write that."""
    log = logging.getLogger("test")
    now = datetime.now(timezone.utc)
    forged = TriggerRequest(cause=f"see {marker('two')}")
    one = trigger_once(
        account.client, account.job_id, forged, Intention("one", now, is_repeated=False), log=log
    )
    assert account.trigger("two", is_repeated=True).run.run_id != one.run.run_id


@dataclass
class Failed(Account):
    """An account whose job has a run that failed."""

    run: Run

    def retry(self) -> Triggered:
        """Have dbt Cloud retry it."""
        return retry_once(self.client, self.run, log=logging.getLogger("test"))


@pytest.fixture
def failed(clock: FakeClock) -> Iterator[Failed]:
    """A job whose first run has failed and whose next ones go on until they are cancelled."""
    job = SandboxJob(name="nightly", script=(Script(outcome="error"), Script(seconds=3600)))
    with (
        Sandbox(jobs=[job]) as sandbox,
        DbtCloudClient(
            account_id=sandbox.account_id,
            token=sandbox.token,
            access_url=sandbox.access_url,
            request_max_retries=2,
            clock=clock,
        ) as client,
    ):
        started = client.trigger_run(sandbox.jobs[0].id, TriggerRequest(cause="Nightly"))
        run = client.get_run(started.run_id)
        while not run.is_over:
            run = client.get_run(started.run_id)
        yield Failed(sandbox, client, clock, run)


def test_a_run_that_nobody_retried_has_no_retry(failed: Failed) -> None:
    """Found in one request, whatever else the account runs."""
    before = failed.asked("GET")
    assert find_retry(failed.client, failed.run) is None
    assert failed.asked("GET") == before + 1


def test_a_retry_is_found_by_the_run_that_it_retries(failed: Failed) -> None:
    """Its cause has no marker; its retrying_run_id says it."""
    triggered = failed.retry()
    assert not triggered.adopted
    assert triggered.run.retrying_run_id == failed.run.run_id
    found = find_retry(failed.client, failed.run)
    assert found is not None
    assert found.run_id == triggered.run.run_id
    assert find_retry(failed.client, found) is None


def test_a_retry_costs_one_request_however_many_runs_came_later(failed: Failed) -> None:
    """Dbt Cloud retries only a job's latest run: no other run can come between the two."""
    retry = failed.retry().run
    failed.start_others(150)
    before = failed.asked("GET")
    found = find_retry(failed.client, failed.run)
    assert found is not None
    assert found.run_id == retry.run_id
    assert failed.asked("GET") == before + 1


def test_a_run_that_was_never_retried_costs_one_request_as_well(failed: Failed) -> None:
    """What is not among the next runs is not there."""
    failed.start_others(150)
    before = failed.asked("GET")
    assert find_retry(failed.client, failed.run) is None
    assert failed.asked("GET") == before + 1


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_a_retry_whose_answer_was_lost_is_adopted(failed: Failed, fault: Fault) -> None:
    """No second request is sent."""
    failed.sandbox.inject(fault)
    triggered = failed.retry()
    assert triggered.adopted
    assert [run.run_id for run in failed.runs()] == [failed.run.run_id, triggered.run.run_id]
    assert failed.asked("POST") == 2


@pytest.mark.parametrize("fault", NEVER_ARRIVED, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_a_retry_that_was_lost_is_sent_again_after_the_settle_window(
    failed: Failed, fault: Fault
) -> None:
    """As a trigger is."""
    failed.sandbox.inject(fault)
    assert not failed.retry().adopted
    assert len(failed.runs()) == 2
    assert failed.clock.pauses == list(SETTLE_PAUSES[1:])


def test_a_retry_that_is_refused_because_it_is_there_is_adopted(failed: Failed) -> None:
    """Somebody else was faster, or dbt Cloud acted on what it said it had not."""
    first = failed.retry()
    again = failed.retry()
    assert again.adopted
    assert again.run.run_id == first.run.run_id
    assert len(failed.runs()) == 2


def test_a_retry_that_is_refused_is_the_refusal(failed: Failed) -> None:
    """There is no run, and the error says what dbt Cloud said."""
    failed.sandbox.inject(Fault(path="*/retry/", status=403))
    with pytest.raises(DbtCloudResponseError, match="403"):
        failed.retry()
    assert len(failed.runs()) == 1


def test_a_search_that_fails_after_a_refusal_leaves_the_refusal(failed: Failed) -> None:
    """That is what went wrong first."""
    failed.sandbox.inject(Fault(path="*/retry/", status=403))
    failed.sandbox.inject(Fault(path="*/runs/", status=401))
    with pytest.raises(DbtCloudResponseError, match="403"):
        failed.retry()
