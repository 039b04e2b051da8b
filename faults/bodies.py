"""Answers that are no file, or not all of one, on every file of a run.

Real are the client, the download into a folder, HTTP and its sockets. All files of a run are wanted
at once; one of them is answered badly, the first time or each time.
"""

import gzip
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from dbt_trigger_dagster import DbtCloudClient
from dbt_trigger_dagster.artifacts.download import DownloadReport, download_artifacts
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.storage.files import LocalFiles
from dbt_trigger_dagster_tests.servers import Answer, Drip, Received, Reply, reply, serving
from faults.kinds import ARTIFACTS, PAGE
from faults.report import Report

_LOG = logging.getLogger("faults.bodies")
_RETRIES = 2
_AT_ONCE = 8
_ACCOUNT, _RUN = 1, 7
_FOLDER = "7"


def _told(head: str, body: bytes, *, closes: bool = True) -> Reply:
    return Reply(f"HTTP/1.1 {head}\r\n\r\n".encode() + body, closes=closes)


def _packed(body: bytes, *, cut: int = 0) -> Reply:
    packed = gzip.compress(body)
    return reply(200, packed[: len(packed) - cut], headers={"Content-Encoding": "gzip"})


def _before(status: int, body: bytes) -> Reply:
    whole = reply(200, body).raw
    return Reply(f"HTTP/1.1 {status} Whatever\r\nLink: </x>\r\n\r\n".encode() + whole)


BODIES: Mapping[str, Callable[[bytes], Answer]] = {
    "102 before": lambda body: _before(102, body),
    "103 before": lambda body: _before(103, body),
    "199 before": lambda body: _before(199, body),
    "203": lambda body: reply(203, body),
    "204": lambda _: reply(204),
    "206 of a part": lambda body: reply(206, body[:100]),
    "206 of all": lambda body: reply(206, body),
    "cut": lambda body: reply(200, body[:100], missing=len(body) - 100),
    "cut chunks": lambda body: _told(
        "200 OK\r\nTransfer-Encoding: chunked", f"{len(body):x}\r\n".encode() + body[:100]
    ),
    "chunk of negative size": lambda _: _told(
        "200 OK\r\nTransfer-Encoding: chunked", b"-5\r\nhello\r\n0\r\n\r\n"
    ),
    "packed": _packed,
    "packed, cut": lambda body: _packed(body, cut=9),
    "packed, no gzip": lambda body: reply(200, body, headers={"Content-Encoding": "gzip"}),
    "login page": lambda _: reply(200, PAGE.encode()),
    "login page, in pieces": lambda _: Drip(reply(200, PAGE.encode()).raw, pause=0.001),
    "no HTTP": lambda body: Reply(body, closes=True),
}
"""What is answered in the place of a file."""


@dataclass(frozen=True)
class Case:
    """A bad answer to one file.

    Attributes:
        body: Which of `BODIES`.
        path: The file.
        always: Whether it comes each time, and not only the first.
    """

    body: str
    path: str
    always: bool


@dataclass(frozen=True)
class Outcome:
    """What became of the files.

    Attributes:
        stored: The files that are said to be stored.
        refused: The files that are said to be none.
        wrong: Files whose bytes are not their own, and whatever else is in the folder.
        missing: Files that are said to be stored, and are not there.
    """

    stored: frozenset[str]
    refused: frozenset[str]
    wrong: int
    missing: int

    def is_good_for(self, case: Case) -> bool:
        """Whether every file is its own, and the others are there."""
        others = set(ARTIFACTS) - {case.path}
        return not (self.wrong or self.missing) and others <= self.stored


def run_case(case: Case) -> Outcome:
    """Download all files into a folder of its own."""
    bad = BODIES[case.body](ARTIFACTS[case.path])
    spoiled: list[Received] = []

    def respond(received: Received) -> Answer:
        path = received.target.partition("/artifacts/")[2]
        if path == case.path and (case.always or not spoiled):
            spoiled.append(received)
            return bad
        return reply(200, ARTIFACTS[path])

    with serving(respond) as server, tempfile.TemporaryDirectory(prefix="faults-") as folder:
        client = DbtCloudClient(
            account_id=_ACCOUNT,
            token="secret",  # noqa: S106  # it opens nothing
            access_url=server.url,
            request_max_retries=_RETRIES,
            request_retry_delay=0.01,
            log=_LOG,
        )
        with client:
            report = _download(client, Path(folder))
        return _outcome(report, Path(folder, _FOLDER))


def _download(client: DbtCloudClient, root: Path) -> DownloadReport:
    wanted = [Artifact(_RUN, OF_THE_RUN, path) for path in ARTIFACTS]
    return download_artifacts(client, wanted, LocalFiles(root), _FOLDER, max_parallel=_AT_ONCE)


def _outcome(report: DownloadReport, folder: Path) -> Outcome:
    found = {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
    stored = frozenset(each.artifact.path for each in report.stored)
    return Outcome(
        stored=stored,
        refused=frozenset(artifact.path for artifact, _ in report.errors),
        wrong=sum(ARTIFACTS.get(path) != content for path, content in found.items()),
        missing=len(stored - found.keys()),
    )


def run_cases(bodies: Sequence[str]) -> list[tuple[Case, Outcome]]:
    """These bodies on every file, once and always."""
    cases = [Case(*each) for each in product(bodies, ARTIFACTS, (False, True))]
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        return list(zip(cases, executor.map(run_case, cases), strict=True))


def measure() -> Report:
    """All bodies on every file."""
    _LOG.setLevel(logging.ERROR)  # each answer is told there
    found = run_cases(list(BODIES))
    rows = []
    for body in BODIES:
        of_it = [(case, outcome) for case, outcome in found if case.body == body]
        stored = [sum(c.path in o.stored for c, o in of_it if c.always is a) for a in (False, True)]
        wrong = sum(outcome.wrong + outcome.missing for _, outcome in of_it)
        rows.append((body, *(f"{count} of {len(ARTIFACTS)}" for count in stored), str(wrong)))
    bad = sum(not outcome.is_good_for(case) for case, outcome in found)
    return Report(
        title="Bodies that are no file, or not all of one, on every file",
        headings=("answer", "stored, where it came once", "where it came always", "wrong files"),
        rows=rows,
        summary=(
            f"{len(found)} cases, {bad} of them with a file whose bytes are wrong or a lost one.",
        ),
        is_good=not bad,
    )
