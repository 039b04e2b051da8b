"""Throughput of 200 artifacts of 1 MiB against ``curl --parallel`` on the same server.

Both fetch the same URLs, eight at a time, over connections of their own making, into files in a
fresh folder on the same disk; every file is compared with what was served, outside the clock.
What starting curl takes is measured in each round and not held against it. The server runs in a
process of its own; how busy it is while curl fetches tells whether it is the limit.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contents import artifact_path, distinct_content
from benchmarks.interpreters import ServedSandbox, served_sandbox
from benchmarks.report import Result, not_measured
from benchmarks.rounds import Spread, alternate, ratios, seconds_of
from dbt_trigger_dagster import DbtCloudClient, Run
from dbt_trigger_dagster.artifacts.download import download_artifacts
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.storage.files import LocalFiles

_COUNT = 200
_MIB = 1024 * 1024
_PARALLEL = 8
_ROUNDS = 9
_GOAL = 0.85
_BUSY = 0.9

_WHAT = f"{_COUNT} artifacts of 1 MiB: throughput / curl's"
_GOAL_TEXT = f">= {_GOAL}"


def measure() -> list[Result]:
    """Fetch both ways, in turns."""
    curl = shutil.which("curl")
    if curl is None:
        return [not_measured(_WHAT, _GOAL_TEXT, "curl is missing")]
    with (
        served_sandbox("distinct", _COUNT, _MIB) as server,
        server.client() as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        race = _Race(server, client, server.finished_run(client), curl, Path(folder))
        alternate(1, race.ours, race.curls)  # fills caches
        ours, curls, busy = _fetch(race)
    ratio = ratios(curls, ours)
    return [
        Result(_WHAT, ratio.show(), _GOAL_TEXT, ratio.median >= _GOAL),
        Result("  the server, while curl fetches", _limit(curls, busy)),
    ]


def _fetch(race: "_Race") -> tuple[Spread, Spread, float]:
    """Seconds of ours and of curl, and the share of a core that the server uses with curl."""
    ours, curls = alternate(_ROUNDS, race.ours, race.curls)
    before = race.server.cpu_seconds()
    wall = sum(race.curls() for _ in range(3))
    return ours, curls, (race.server.cpu_seconds() - before) / wall


def _limit(curls: Spread, busy: float) -> str:
    verdict = "it is the limit" if busy >= _BUSY else "it is not the limit"
    return f"{_COUNT / curls.median:.0f} MiB/s, {busy:.0%} of a core: {verdict}"


@dataclass(frozen=True)
class _Race:
    server: ServedSandbox
    client: DbtCloudClient
    run: Run
    curl: str
    folder: Path

    def ours(self) -> float:
        """Seconds that `download_artifacts` takes."""
        paths = map(artifact_path, range(_COUNT))
        artifacts = [Artifact(self.run.run_id, OF_THE_RUN, path) for path in paths]
        files = LocalFiles(self.folder)
        seconds = seconds_of(
            lambda: download_artifacts(
                self.client, artifacts, files, "ours", max_parallel=_PARALLEL
            )
        )
        _check_and_remove(self.folder / "ours")
        return seconds

    def curls(self) -> float:
        """Seconds that curl takes, but for its start."""
        target = self.folder / "curl"
        target.mkdir()
        orders = self.folder / "curl.conf"
        orders.write_text("\n".join(self._orders(target)))
        start = seconds_of(lambda: self._call("--version"))
        seconds = seconds_of(lambda: self._call("--config", str(orders)))
        _check_and_remove(target)
        return seconds - start

    def _orders(self, target: Path) -> list[str]:
        account = f"{self.client.access_url}/api/v2/accounts/{self.client.account_id}"
        orders = [
            f'header = "Authorization: Token {self.server.token}"',
            *("fail", "silent", "create-dirs", "parallel", "parallel-immediate"),
            f"parallel-max = {_PARALLEL}",
        ]
        for path in map(artifact_path, range(_COUNT)):
            orders.append(f'url = "{account}/runs/{self.run.run_id}/artifacts/{path}"')
            orders.append(f'output = "{target / path}"')
        return orders

    def _call(self, *arguments: str) -> None:
        subprocess.run(  # noqa: S603  # curl, with orders of our own
            [self.curl, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _check_and_remove(folder: Path) -> None:
    for index in range(_COUNT):
        if (folder / artifact_path(index)).read_bytes() != distinct_content(index, _MIB):
            raise RuntimeError(f"{folder.name} stored wrong bytes in {artifact_path(index)}.")
    shutil.rmtree(folder)
