"""What has finished: no run is lost, whatever the clocks, the ticks and the order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudRequestError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter, TriggerRequest
from dbt_trigger_dagster.monitor.cursor import (
    BEGINNING,
    FIRST_OVERLAP,
    MonitorCursor,
    Position,
    first_cursor,
    first_position,
)
from dbt_trigger_dagster.monitor.finished_runs import FinishedRuns, look, sweep
from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.payloads import ACCOUNT_URL, envelope

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
SETTLE = timedelta(seconds=60)
LOOKBACK = timedelta(hours=1)


def at(seconds: float) -> datetime:
    """A moment on dbt Cloud's clock."""
    return START + timedelta(seconds=seconds)


FOR_EVER = at(10**9)


@dataclass
class Account:
    """Runs that have finished, as a list endpoint tells of them from some moment on.

    Attributes:
        size: How many runs a full page has.
        finished: When each run finished, and from when on the list has it; by number.
        now: dbt Cloud's clock.
        broken_after: How many more pages are answered.
    """

    size: int = 3
    finished: dict[int, tuple[datetime, datetime]] = field(default_factory=dict)
    now: datetime = FOR_EVER
    pages: int = 0
    broken_after: int = 10**9

    def finish(self, seconds: Iterable[float], *, lag: float = 0) -> None:
        """Let runs finish."""
        for each in seconds:
            self.finished[len(self.finished) + 1] = (at(each), at(each + lag))

    def __call__(self, since: datetime, until: datetime, *, offset: int) -> Sequence[Run]:
        """One page."""
        assert since <= until
        self.pages += 1
        if self.pages > self.broken_after:
            raise DbtCloudRequestError("No answer.", may_have_been_sent=True)
        told = [
            (finished, number)
            for number, (finished, told_at) in self.finished.items()
            if told_at <= self.now and since <= finished <= until
        ]
        return [a_run(number, finished) for finished, number in sorted(told)[offset:][: self.size]]


def a_run(number: int, finished: datetime | None) -> Run:
    """A run that has ended well."""
    moment = None if finished is None else finished.isoformat(sep=" ")
    return Run.from_payload({"id": number, "status": 10, "finished_at": moment})


def a_cursor(**changes: object) -> MonitorCursor:
    """A cursor at the start."""
    return replace(first_cursor(Position(START), START, START), **changes)  # type: ignore[arg-type]


def look_at(account: Account, cursor: MonitorCursor, now: datetime, pages: int = 10):  # noqa: ANN201  # Findings
    """One tick's look."""
    return look(cursor, account, now=now, settle=SETTLE, lookback=LOOKBACK, pages=pages)


# Where a monitor begins


def test_a_first_tick_begins_at_the_newest_finished_run() -> None:
    """A little before, by dbt Cloud's clock; where nothing has finished, at the beginning."""
    assert first_position(at(100)) == Position(at(100) - FIRST_OVERLAP)
    assert first_position(None) == Position(BEGINNING)


@given(st.integers(-(10**6), 10**6), st.lists(st.integers(0, 500), min_size=1))
def test_no_run_in_flight_at_the_first_tick_is_lost(skew: int, ends: list[int]) -> None:
    """Wherever our clock stands then."""
    account = Account()
    account.finish([-5000, -3000])
    cursor = first_cursor(first_position(at(-3000)), at(skew), at(0))
    account.finish(ends)
    found = look_at(account, cursor, at(10**7), pages=10**6)
    assert set(found.runs) == {2, *range(3, 3 + len(ends))}


# One sweep


@given(
    ends=st.lists(st.integers(0, 6), max_size=30),
    size=st.integers(1, 4),
    pages=st.integers(1, 3),
)
def test_a_backlog_is_worked_off_whatever_ends_together(
    ends: list[int], size: int, pages: int
) -> None:
    """Any number of runs may share a moment, also more than a tick can ask for."""
    account = Account(size)
    account.finish(ends)
    position, found = Position(START), set()
    for _ in range(3 * len(ends) + 2):
        asked = account.pages
        swept = sweep(position, at(100), account, pages=pages)
        assert swept.pages == account.pages - asked <= pages
        assert swept.position.at >= position.at
        position = swept.position
        found |= {run.run_id for run in swept.runs}
    assert found == set(account.finished)


def test_a_backlog_is_worked_off_oldest_first() -> None:
    """As far as the budget goes; the next tick goes on there."""
    account = Account()
    account.finish([7, 6, 5, 4, 3, 2, 1])
    swept = sweep(Position(START), at(100), account, pages=2)
    assert [run.run_id for run in swept.runs] == [7, 6, 5, 4, 3]
    assert not swept.is_complete
    assert swept.position == Position(at(5))
    rest = sweep(swept.position, at(100), account, pages=2)
    assert [run.run_id for run in rest.runs] == [3, 2, 1]


def test_a_quiet_account_costs_one_page() -> None:
    """What finished last is listed again, and nothing else."""
    account = Account()
    account.finish([1, 2, 2])
    swept = sweep(Position(at(2)), at(100), account, pages=10)
    assert (swept.pages, swept.is_complete, swept.position) == (1, True, Position(at(2)))
    assert [run.run_id for run in swept.runs] == [2, 3]


def test_a_run_that_ends_at_the_last_moment_seen_is_found() -> None:
    """Its list entry may come later than that of the run with which it shares the moment."""
    account = Account()
    account.finish([5])
    swept = sweep(Position(START), at(100), account, pages=10)
    account.finish([5])
    assert [run.run_id for run in sweep(swept.position, at(100), account, pages=1).runs] == [1, 2]


def test_a_window_that_ends_before_it_begins_is_not_asked_for() -> None:
    """Our clock is behind dbt Cloud's."""
    account = Account()
    swept = sweep(Position(at(50)), at(49), account, pages=10)
    assert (swept.runs, account.pages, swept.is_complete) == ((), 0, True)


def test_an_outage_leaves_what_was_seen_before_it() -> None:
    """The pages before it count, and the position is where they end."""
    account = Account(broken_after=1)
    account.finish([1, 2, 3, 4])
    swept = sweep(Position(START), at(100), account, pages=10)
    assert [run.run_id for run in swept.runs] == [1, 2, 3]
    assert swept.position == Position(at(3))
    assert str(swept.error) == "No answer."
    assert not swept.is_complete


def test_moments_that_cannot_be_read_stop_nobody() -> None:
    """A page of them is passed by its length."""
    position = Position(START)
    assert position.after([a_run(1, None), a_run(2, None)], size=2) == Position(START, 2)
    assert position.after([a_run(1, at(1)), a_run(2, None)], size=2) == Position(at(1))


# Whole ticks


@given(
    ends=st.lists(st.integers(0, 20_000), max_size=25),
    ticks=st.lists(st.tuples(st.integers(0, 20_000), st.integers(-9000, 9000)), max_size=12),
    pages=st.integers(1, 3),
)
def test_no_order_of_ticks_and_no_clock_loses_a_run(
    ends: list[int], ticks: list[tuple[int, int]], pages: int
) -> None:
    """Our clock may be ahead or behind, another at each tick, as on several machines."""
    account = Account()
    account.finish(ends)
    cursor, found = a_cursor(), set()
    for moment, skew in [*sorted(ticks), *[(10**6, 0)] * (2 * len(ends) + 2)]:
        account.now = at(moment)
        looked = look_at(account, cursor, at(moment + skew), pages)
        cursor = MonitorCursor.from_text(looked.cursor.as_text())
        found |= looked.runs.keys()
    assert found == set(account.finished)


@given(
    ends=st.lists(st.integers(0, 9000), max_size=25),
    lags=st.lists(st.integers(0, 3600), min_size=25, max_size=25),
    pause=st.integers(30, 4000),
)
def test_a_run_that_is_told_of_late_is_found(ends: list[int], lags: list[int], pause: int) -> None:
    """Up to a lookback late, whatever has been seen in the meantime."""
    account = Account()
    for end, lag in zip(ends, lags, strict=False):
        account.finish([end], lag=lag)
    cursor, found = a_cursor(), set()
    for moment in [*range(0, 9000 + 3600, pause), 20_000, 30_000]:
        account.now = at(moment)
        looked = look_at(account, cursor, account.now, pages=10**6)
        cursor = looked.cursor
        found |= looked.runs.keys()
    assert found == set(account.finished)


def test_a_run_is_due_when_it_has_settled() -> None:
    """Not before: the op that waits for it goes first."""
    account = Account()
    account.finish([10])
    assert not look_at(account, a_cursor(), at(69)).runs
    assert set(look_at(account, a_cursor(), at(70)).runs) == {1}


def test_what_ends_all_the_time_is_listed_about_twice() -> None:
    """Requests stay pages of what finished: no tick lists a whole lookback again."""
    account = Account(size=100)
    account.finish(range(0, 4 * 3600, 2))
    cursor, most, listed = a_cursor(), 0, 0
    for moment in range(0, 5 * 3600, 30):
        account.now = at(moment)
        before = account.pages
        looked = look_at(account, cursor, account.now)
        cursor, listed = looked.cursor, listed + len(looked.fresh) + len(looked.late)
        most = max(most, account.pages - before)
    assert most <= 3
    assert 2 * 7200 <= listed < 2.3 * 7200
    assert account.pages < 1.3 * 5 * 120


def test_new_runs_go_before_late_ones() -> None:
    """A backlog leaves nothing of the budget to the late sweep."""
    account = Account()
    account.finish(range(10))
    looked = look_at(account, a_cursor(), at(10_000), pages=2)
    assert (len(looked.fresh), looked.late, looked.is_complete) == (5, (), False)


def test_without_a_lookback_nothing_is_seen_twice() -> None:
    """The late sweep is switched off by 0."""
    account = Account()
    account.finish([1])
    looked = look(
        a_cursor(), account, now=at(10**6), settle=SETTLE, lookback=timedelta(0), pages=10
    )
    assert (set(looked.runs), looked.late, account.pages) == ({1}, (), 1)


def test_a_clock_that_is_set_back_does_not_stop_the_late_sweep() -> None:
    """The last one seems to lie in the future then."""
    assert a_cursor(swept_at=at(500)).late_sweep_is_due(at(0), LOOKBACK)
    assert not a_cursor(swept_at=at(0)).late_sweep_is_due(at(200), LOOKBACK)


def test_a_run_that_is_not_over_is_none_of_the_findings() -> None:
    """Whatever dbt Cloud lists."""
    running = Run.from_payload({"id": 7, "status": 3, "finished_at": at(1).isoformat()})
    looked = look_at(Account(), a_cursor(), at(100))
    assert replace(looked, fresh=(running,)).runs == {}


# What dbt Cloud is asked


def test_one_page_is_one_request_in_the_forms_of_the_api(client, api) -> None:
    """The range as one JSON list, ordered by the end, from an offset on."""
    runs = [{"id": number, "status": 10} for number in range(100)]
    api.get(f"{ACCOUNT_URL}runs/", json=envelope(runs, total=500))
    finished = FinishedRuns(client, ["trigger"])
    assert len(finished(at(0.5), at(2), offset=300)) == 100
    (call,) = api.calls
    assert call.request.params == {
        "finished_at__range": '["2026-03-01T00:00:00.500000+00:00", "2026-03-01T00:00:02+00:00"]',
        "order_by": "finished_at",
        "include_related": "trigger",
        "limit": "100",
        "offset": "300",
    }


def test_the_sandbox_understands_it() -> None:
    """Over HTTP: finished runs only, oldest end first; the newest one's end alone."""
    jobs = [
        SandboxJob(name="slow", script=Script(seconds=600)),
        SandboxJob(name="quick", script=Script()),
    ]
    with (
        Sandbox(jobs=jobs) as sandbox,
        DbtCloudClient(
            account_id=sandbox.account_id, token=sandbox.token, access_url=sandbox.access_url
        ) as client,
    ):
        finished = FinishedRuns(client, ["trigger"], size=2)
        assert finished.newest() is None
        slow, quick = sandbox.jobs
        client.trigger_run(slow.id, TriggerRequest(cause="slow"))
        ids = [client.trigger_run(quick.id, TriggerRequest(cause="q")).run_id for _ in "abc"]
        while len(list(client.list_runs(RunFilter(status=10)))) < 3:
            pass
        now = datetime.now(timezone.utc)
        assert [run.run_id for run in finished(BEGINNING, now, offset=0)] == ids[:2]
        assert [run.run_id for run in finished(BEGINNING, now, offset=2)] == ids[2:]
        assert finished.newest() == client.get_run(ids[-1]).finished_at
