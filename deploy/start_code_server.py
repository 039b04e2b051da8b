"""Starts a code server, and lets Dagster resume the runs that the last one's end has cut off.

Takes what ``dagster api grpc`` takes. Dagster's default run launcher starts a run's worker beside
the code server, which notices when the worker dies. When a container ends, all die at once, and
nobody is left to notice: the run would stay started for ever. So whatever run of the code location
is unfinished when its server starts is reported as failed, and Dagster's run retries resume it.
That waits for the server: a run that Dagster cannot resume at once is never tried again.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import dagster as dg

# A run that is still starting may go back to the queue; run monitoring looks after those.
IN_A_WORKER = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
PAUSE = 1.0


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


def report_lost_when_served(address: Sequence[str], run_ids: Sequence[str]) -> None:
    """Wait for the code server at an address, then report."""
    check = [sys.executable, "-m", "dagster", "api", "grpc-health-check", *address]
    while subprocess.run(check, check=False, capture_output=True).returncode != 0:
        time.sleep(PAUSE)
    report_lost(run_ids)


def main(arguments: Sequence[str]) -> None:
    """Become the code server; a process beside it reports the lost runs, if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("--location-name", required=True)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("-p", "--port")
    place.add_argument("-s", "--socket")
    options, _ = parser.parse_known_args(arguments)
    address = ["-p", options.port] if options.port else ["-s", options.socket]
    # No run can start before the server does: the workers of all of these are gone.
    lost = unfinished_runs(options.location_name)
    if lost and os.fork() == 0:
        report_lost_when_served(address, lost)
        return
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "api", "grpc", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
