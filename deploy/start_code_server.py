"""Starts a code server, and lets Dagster resume the runs that the last one's end has cut off.

Takes what ``dagster api grpc`` takes, and a file to lock. Dagster's default run launcher starts a
run's worker beside the code server, which notices when the worker dies. When a container ends, all
die at once, and nobody is left to notice: the run would stay started for ever. So whatever run of
the code location is unfinished when its server starts is reported as failed, and Dagster's run
retries resume it.

Dagster looks once at a run that has failed, and forgets it where it looks at the wrong moment. So
whatever run of the code location should have been resumed, and was not, is reported once more.
"""

import argparse
import runpy
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone

import dagster as dg
from filelock import FileLock, Timeout

# A run that is still starting may go back to the queue; run monitoring looks after those.
IN_A_WORKER = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
PAUSE = 1.0
# The daemon tries once to resume a run, and gives it up where it does not reach the code location.
# Where it has looked while the server was away, it looks again within 10 s.
DAEMON_HAS_LOOKED = 15.0

# By then a run that failed has been resumed, if it is at all; after the latter nobody waits for it.
RESUMED_WITHIN = timedelta(minutes=1)
NEWS_FOR = timedelta(minutes=15)
MOST_REPORTS = 5
GIVEN_UP = "Failed to retry run"  # Dagster's words


def unfinished_runs(location_name: str) -> list[str]:
    """The ids of the runs that a code location's workers have not finished."""
    tags = {"dagster/code_location": location_name}
    wanted = dg.RunsFilter(statuses=IN_A_WORKER, tags=tags)
    with dg.DagsterInstance.get() as instance:
        return [run.run_id for run in instance.get_runs(filters=wanted)]


def report_lost(run_ids: Sequence[str]) -> None:
    """Report that runs have ended; those that a person was stopping as cancelled."""
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(filters=dg.RunsFilter(run_ids=list(run_ids))):
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, "The worker has ended with its container.")
            elif not run.is_finished:
                instance.report_run_failed(run, "The worker has ended with its container.")


def report_lost_at_last(
    run_ids: Sequence[str], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Report, again and again until PostgreSQL has it."""
    while True:
        try:
            return report_lost(run_ids)
        except Exception:  # noqa: BLE001  # nobody else would report: whatever it is may pass
            traceback.print_exc()
            sleep(PAUSE)


def report_lost_when_served(address: Sequence[str], run_ids: Sequence[str]) -> None:
    """Wait for the code server at an address and for the daemon to see it, then report."""
    check = [sys.executable, "-m", "dagster", "api", "grpc-health-check", *address]
    while subprocess.run(check, check=False, capture_output=True).returncode != 0:
        time.sleep(PAUSE)
    time.sleep(DAEMON_HAS_LOOKED)
    report_lost_at_last(run_ids)


def is_forgotten(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a failed run should have been resumed, and neither Dagster nor a person has done it.

    Dagster's daemon takes each failure from the event log once. It forgets the run where the event
    is there before the run's status is, and gives the run up where it cannot reach the code
    location at that moment.
    """
    resumed = dg.RunsFilter(tags={"dagster/parent_run_id": run.run_id})
    if instance.get_runs_count(filters=resumed):
        return False
    if run.tags.get("dagster/will_retry") == "true":
        return True
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any(event.message == GIVEN_UP for event in events)


def report_forgotten(location_name: str, reports: Counter[str], now: datetime) -> None:
    """Report the failed runs again that should have been resumed by now.

    Args:
        location_name: The code location whose runs they are.
        reports: How often each has been reported so; it is kept up to date.
        now: The time, with its zone.
    """
    wanted = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={"dagster/code_location": location_name},
        updated_after=now - NEWS_FOR,
        updated_before=now - RESUMED_WITHIN,
    )
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(filters=wanted):
            if reports[run.run_id] < MOST_REPORTS and is_forgotten(instance, run):
                reports[run.run_id] += 1
                instance.report_run_failed(run, "It has not been resumed, and is reported again.")


def watch_over_retries(location_name: str) -> None:
    """Look every minute for runs that Dagster has forgotten to resume."""
    reports: Counter[str] = Counter()
    while True:
        time.sleep(RESUMED_WITHIN.total_seconds())
        try:
            report_forgotten(location_name, reports, datetime.now(timezone.utc))
        except Exception:  # noqa: BLE001  # PostgreSQL may be away; whatever it is may pass
            traceback.print_exc()


def main(arguments: Sequence[str]) -> None:
    """Be the code server; a thread beside it reports the lost runs, if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=False, allow_abbrev=False)
    parser.add_argument("--lock-file", required=True)
    parser.add_argument("--location-name", required=True)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("-p", "--port")
    place.add_argument("-s", "--socket")
    options, others = parser.parse_known_args(arguments)
    lock = FileLock(options.lock_file)
    try:
        lock.acquire(blocking=False)  # the process holds it, and with its end it is free
    except Timeout:
        sys.exit(f"{options.lock_file} is locked: there is a code server already.")
    address = ["-p", options.port] if options.port else ["-s", options.socket]
    # No run can start before the server does: the workers of all of these are gone.
    if lost := unfinished_runs(options.location_name):
        threading.Thread(target=report_lost_when_served, args=(address, lost), daemon=True).start()
    names = (options.location_name,)
    threading.Thread(target=watch_over_retries, args=names, daemon=True).start()
    sys.argv[1:] = ["api", "grpc", "--location-name", options.location_name, *address, *others]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
