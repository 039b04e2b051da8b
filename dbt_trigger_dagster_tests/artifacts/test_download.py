"""Artifacts: safe names, wanted ones, late ones, and files that are complete or absent."""

import gzip
import hashlib
import itertools
import logging
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from dbt_trigger_dagster.artifacts.download import DownloadReport, download_artifacts
from dbt_trigger_dagster.artifacts.listing import ARTIFACT_LAG, Lag
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, Clock, Deadline, SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudAuthError,
    DbtCloudNotFoundError,
    DbtCloudRequestError,
)
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.dbt_cloud.responses import CHUNK_SIZE
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.files import LocalFiles, check_writable
from dbt_trigger_dagster_tests.artifacts.test_paths import ODD_NAMES, as_macos_has_it
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.interrupts import interrupt_what_waits
from dbt_trigger_dagster_tests.payloads import (
    ACCOUNT_ID,
    RUN_ID,
    TOKEN,
)
from dbt_trigger_dagster_tests.servers import Received, Reply, Server, Silence, reply, serving


def lag_until(seconds: float, clock: Clock) -> Lag:
    """So many seconds in which artifacts may arrive."""
    return Lag(RUN_ID, Deadline.after(seconds, clock), saw_end=True, log=logging.getLogger("test"))


def _artifact(path: str, step: int = OF_THE_RUN) -> Artifact:
    return Artifact(RUN_ID, step, path)


def _server_client(server: Server, clock: Clock | None = None) -> DbtCloudClient:
    return DbtCloudClient(
        account_id=ACCOUNT_ID, token=TOKEN, access_url=server.url, clock=clock or FakeClock()
    )


def _name_in(request: Received) -> str:
    return unquote(request.target.partition("/artifacts/")[2])


def _download(
    client: DbtCloudClient, wanted: list[Artifact], folder: Path, **options: object
) -> DownloadReport:
    """Store artifacts in a folder of this machine."""
    files = LocalFiles(folder.parent)
    return download_artifacts(client, wanted, files, folder.name, **options)  # type: ignore[arg-type]


def _files(folder: Path) -> dict[str, bytes]:
    """All there is below a folder, hidden things and empty folders included."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"(folder)"
        for path in folder.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


def test_a_file_has_the_bytes_their_length_and_their_hash(tmp_path) -> None:
    """Binary ones as well, larger than one chunk."""
    body = bytes(range(256)) * (CHUNK_SIZE // 100)
    served = reply(200, body, headers={"Content-Type": "application/x-parquet"})
    wanted = [_artifact("metadata/otel.parquet")]
    began = datetime.now(timezone.utc)
    with serving(lambda _: served) as server, _server_client(server) as client:
        report = _download(client, wanted, tmp_path / "run", max_parallel=2)
    (stored,) = report.stored
    assert report.errors == ()
    assert Path(stored.uri) == tmp_path / "run" / "metadata" / "otel.parquet"
    assert Path(stored.uri).read_bytes() == body
    assert stored.download.size_bytes == len(body)
    assert stored.download.sha256 == hashlib.sha256(body).hexdigest()
    assert stored.download.content_type == "application/x-parquet"
    assert began <= stored.downloaded_at <= datetime.now(timezone.utc)
    assert list(_files(tmp_path)) == ["run/metadata/otel.parquet"]


def _headed(*lines: str, body: bytes) -> Reply:
    return Reply("\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body, closes=True)


@pytest.mark.parametrize(
    ("served", "is_known"),
    [
        (reply(200, b"abc"), True),
        (_headed("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"), True),
        (_headed("Content-Encoding: gzip", body=gzip.compress(b"abc")), True),
        (_headed("Content-Type: text/plain", body=b"abc"), False),
        (_headed("Content-Length: three", body=b"abc"), False),
        (_headed("Content-Length: -3", body=b"abc"), False),
    ],
    ids=["length", "chunks", "gzip", "no length", "no number", "negative"],
)
def test_it_is_known_of_a_file_whether_its_end_is_its_own(served, is_known, tmp_path) -> None:
    """Where nothing says how long it is, a connection that broke looks like the end."""
    with serving(lambda _: served) as server, _server_client(server) as client:
        report = _download(client, [_artifact("x.txt")], tmp_path, max_parallel=1)
    (stored,) = report.stored
    assert stored.download.is_length_known is is_known
    assert _files(tmp_path) == {"x.txt": b"abc"}


def test_a_file_that_is_packed_for_its_way_is_not_stored_so(tmp_path) -> None:
    """Nobody asked for that, and its bytes are not its own."""
    served = _headed("Transfer-Encoding: gzip, chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
    with serving(lambda _: served) as server, _server_client(server) as client:
        report = _download(client, [_artifact("x.txt")], tmp_path, max_parallel=1)
    ((_, error),) = report.errors
    assert "encoding: 'gzip, chunked'" in str(error)
    assert _files(tmp_path) == {}


def test_nothing_to_store_makes_no_folder(client, tmp_path) -> None:
    """An empty folder would look like a run without artifacts."""
    report = _download(client, [], tmp_path / "run", max_parallel=8)
    assert (report.stored, report.errors) == ((), ())
    assert _files(tmp_path) == {}


def test_artifacts_of_steps_have_folders_of_their_own(tmp_path) -> None:
    """Each is asked for with its number."""

    def respond(request: Received) -> Reply:
        return reply(200, urlsplit(request.target).query.encode())

    wanted = [_artifact("manifest.json"), _artifact("manifest.json", 4)]
    with serving(respond) as server, _server_client(server) as client:
        _download(client, wanted, tmp_path, max_parallel=2)
    assert _files(tmp_path) == {"manifest.json": b"", "steps/4/manifest.json": b"step=4"}


def test_a_step_that_left_no_such_artifact_is_no_error(tmp_path, clock) -> None:
    """Nor is it waited for: nobody said that it would be there."""
    wanted = [_artifact("catalog.json", 4)]
    with serving(lambda _: reply(404)) as server, _server_client(server, clock) as client:
        report = _download(client, wanted, tmp_path, max_parallel=1)
    assert (report.stored, report.errors) == ((), ())
    assert len(server.received) == 1
    assert clock.pauses == []
    assert _files(tmp_path) == {}


def test_an_artifact_that_is_late_is_waited_for(tmp_path, clock) -> None:
    """It was listed, so it will come."""
    answers = iter([reply(404), reply(404), reply(404), reply(200, b"{}")])
    wanted = [_artifact("manifest.json")]
    with serving(lambda _: next(answers)) as server, _server_client(server, clock) as client:
        lag = lag_until(ARTIFACT_LAG, clock)
        report = _download(client, wanted, tmp_path, max_parallel=1, lag=lag)
    assert len(report.stored) == 1
    assert len(clock.pauses) == 3
    assert _files(tmp_path) == {"manifest.json": b"{}"}


def test_one_artifact_that_cannot_be_had_does_not_cost_the_others(tmp_path) -> None:
    """All others are stored, and each missing one is told with its reason."""
    served = {"a.json": reply(200, b"a"), "gone.json": reply(404), "no.json": reply(403)}
    wanted = [_artifact(path) for path in ("gone.json", "../evil", "no.json", "a.json")]
    with (
        serving(lambda request: served[_name_in(request)]) as server,
        _server_client(server) as client,
    ):
        report = _download(client, wanted, tmp_path, max_parallel=4)
    assert [stored.artifact.path for stored in report.stored] == ["a.json"]
    assert [(artifact.path, type(error)) for artifact, error in report.errors] == [
        ("gone.json", DbtCloudNotFoundError),
        ("../evil", StorageError),
        ("no.json", DbtCloudAuthError),
    ]
    assert _files(tmp_path) == {"a.json": b"a"}


def test_a_file_that_always_breaks_off_is_absent(tmp_path) -> None:
    """Half a manifest under its own name would be taken for a whole one."""

    def respond(request: Received) -> Reply:
        return reply(200, b'{"half": ', missing=100 if "half" in request.target else 0)

    with serving(respond) as server, _server_client(server) as client:
        report = _download(
            client, [_artifact("half.json"), _artifact("whole.json")], tmp_path, max_parallel=2
        )
    ((artifact, error),) = report.errors
    assert artifact.path == "half.json"
    assert isinstance(error, DbtCloudRequestError)
    assert list(_files(tmp_path)) == ["whole.json"]


def test_a_file_replaces_the_one_of_an_earlier_attempt_only_when_it_is_complete(tmp_path) -> None:
    """A step that runs again does not make things worse."""
    (tmp_path / "manifest.json").write_bytes(b"old")
    cut = reply(200, b"new", missing=5)
    with serving(lambda _: cut) as server, _server_client(server) as client:
        _download(client, [_artifact("manifest.json")], tmp_path, max_parallel=1)
    assert _files(tmp_path) == {"manifest.json": b"old"}
    with serving(lambda _: reply(200, b"new")) as server, _server_client(server) as client:
        _download(client, [_artifact("manifest.json")], tmp_path, max_parallel=1)
    assert _files(tmp_path) == {"manifest.json": b"new"}


def test_odd_names_arrive_under_their_names(tmp_path) -> None:
    """On the wire they are quoted, on disk they are not."""

    def respond(request: Received) -> Reply:
        return reply(200, _name_in(request).encode())

    with serving(respond) as server, _server_client(server) as client:
        wanted = [_artifact(name) for name in ODD_NAMES]
        report = _download(client, wanted, tmp_path, max_parallel=3)
    assert report.errors == ()
    assert _files(tmp_path) == {name: name.encode() for name in ODD_NAMES}


def test_downloads_run_in_parallel_and_no_more_than_allowed(tmp_path) -> None:
    """Three at a time meet at the server; a fourth would be a fourth connection."""
    meeting = threading.Barrier(3, timeout=10)

    def respond(_: Received) -> Reply:
        meeting.wait()
        return reply(200, b"{}")

    with serving(respond) as server, _server_client(server) as client:
        wanted = [_artifact(f"{number}.json") for number in range(6)]
        report = _download(client, wanted, tmp_path, max_parallel=3)
    assert len(report.stored) == 6
    assert server.connections == 3


def test_those_who_store_the_same_artifacts_at_once_do_not_disturb_each_other(tmp_path) -> None:
    """A retry, a resumed run, another user: each begins while another one ends."""
    wanted = [_artifact("manifest.json")]

    def store_again_and_again(_: int) -> list[DownloadReport]:
        with _server_client(server) as client:
            return [_download(client, wanted, tmp_path, max_parallel=1) for _ in range(100)]

    with serving(lambda _: reply(200, b"{}")) as server:
        reports = in_parallel(
            store_again_and_again, range(4), max_parallel=4, cancellation=Cancellation()
        )
    assert all(len(report.stored) == 1 for report in itertools.chain(*reports))
    assert _files(tmp_path) == {"manifest.json": b"{}"}


def test_what_stands_in_the_way_of_a_file_costs_that_file(tmp_path) -> None:
    """A folder of its name, or a file where its folder should be."""
    (tmp_path / "manifest.json").mkdir()
    (tmp_path / "compiled").write_text("a file")
    wanted = [_artifact(path) for path in ("manifest.json", "compiled/a.sql", "catalog.json")]
    with serving(lambda _: reply(200, b"{}")) as server, _server_client(server) as client:
        report = _download(client, wanted, tmp_path, max_parallel=1)
    assert [stored.artifact.path for stored in report.stored] == ["catalog.json"]
    assert [(artifact.path, type(error)) for artifact, error in report.errors] == [
        ("manifest.json", StorageError),
        ("compiled/a.sql", StorageError),
    ]


def test_a_folder_that_cannot_be_made_is_one_error(client, tmp_path) -> None:
    """Before anything is downloaded."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Artifacts cannot be stored in"):
        _download(client, [_artifact("manifest.json")], tmp_path / "file" / "run", max_parallel=1)


@pytest.mark.parametrize("paths", [["a", "a/b", "c"], ["a/b", "a", "c"], ["a/b/d", "a/b", "c"]])
def test_an_artifact_that_would_be_a_file_and_a_folder_costs_itself_alone(tmp_path, paths) -> None:
    """The first is stored, whichever that is; the error names both."""
    with serving(lambda _: reply(200, b"{}")) as server, _server_client(server) as client:
        wanted = [_artifact(path) for path in paths]
        report = _download(client, wanted, tmp_path, max_parallel=3)
    ((artifact, error),) = report.errors
    assert artifact.path == paths[1]
    assert str(error).startswith(f"{paths[1]} cannot be stored beside {paths[0]}: a file cannot be")
    assert set(_files(tmp_path)) == {paths[0], "c"}


TWINS = ["orders.sql", "Orders.sql", "x/B/1", "x/b/1", "x/b/2", "größe", "gro\u0308ße", "c"]


def test_names_that_the_file_system_tells_apart_are_all_stored(tmp_path) -> None:
    """Models may differ in case alone; where that can be kept, it is."""
    with serving(lambda request: reply(200, request.target.encode())) as server:
        wanted = [_artifact(path) for path in TWINS]
        with _server_client(server) as client:
            report = _download(client, wanted, tmp_path, max_parallel=3)
    kept = [stored.artifact.path for stored in report.stored]
    files = _files(tmp_path)
    assert len(files) == len(kept)
    assert [unquote(files[path].decode()).partition("/artifacts/")[2] for path in kept] == kept
    assert len(kept) + len(report.errors) == len(TWINS)
    if sys.platform == "linux":
        assert kept == TWINS


def test_of_names_that_are_one_to_the_file_system_the_first_is_stored(tmp_path) -> None:
    """As on most Macs; the others are told, not written over it, and not even asked for."""

    def respond(request: Received) -> Reply:
        return reply(200, _name_in(request).encode())

    with serving(respond) as server, _server_client(server) as client:
        wanted = [_artifact(path) for path in TWINS]
        report = _download(client, wanted, tmp_path, max_parallel=3, same_name=as_macos_has_it)
    told = "this file system takes their names for one. Keep artifacts on another, or leave one"
    assert [str(error).partition(" of them")[0] for _, error in report.errors] == [
        f"Orders.sql cannot be stored beside orders.sql: {told}",
        f"x/b/1 cannot be stored beside x/B/1: {told}",
        f"gro\u0308ße cannot be stored beside größe: {told}",
    ]
    stored = {path: path.encode() for path in ("orders.sql", "x/B/1", "x/b/2", "größe", "c")}
    assert _files(tmp_path) == stored
    assert len(server.received) == len(stored)


class _Interrupt(BaseException):
    """As Dagster's, which is no Exception either."""


def test_an_interrupt_leaves_no_partial_file_and_begins_no_further_download(
    tmp_path, clock
) -> None:
    """Whoever terminates the step wants it to end."""

    def interrupt(_: float) -> None:
        raise _Interrupt

    clock.on_sleep = interrupt
    wanted = [_artifact(f"{number}.json") for number in range(50)]
    lag = lag_until(ARTIFACT_LAG, clock)
    with (
        serving(lambda _: reply(404)) as server,
        _server_client(server, clock) as client,
        pytest.raises(_Interrupt),
    ):
        _download(client, wanted, tmp_path, max_parallel=1, lag=lag)
    assert len(server.received) < 50
    assert _files(tmp_path) == {}


HALF = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")


@pytest.mark.parametrize(
    "answer",
    [reply(429), reply(503, headers={"Retry-After": "600"}), reply(404), Silence(), HALF],
    ids=["a cool-down", "a long pause", "what is late", "no answer", "half an answer"],
)
def test_a_person_who_interrupts_downloads_need_not_wait(tmp_path, answer) -> None:
    """Neither for pauses nor for answers; and nothing that is not complete stays."""
    begun = threading.Semaphore(0)
    pressed: list[float] = []

    def respond(request: Received) -> Reply | Silence:
        if _name_in(request) == "quick.json":
            return reply(200, b"{}")
        begun.release()
        return answer

    def interrupt() -> None:
        for _ in range(3):
            begun.acquire(timeout=10)
        interrupt_what_waits()
        pressed.append(time.monotonic())

    wanted = [_artifact(f"{name}.json") for name in ("quick", *range(50))]
    with serving(respond) as server, _server_client(server, SystemClock()) as client:
        lag = lag_until(600, client.clock) if answer == reply(404) else None
        person = threading.Thread(target=interrupt)
        person.start()
        with pytest.raises(KeyboardInterrupt):
            _download(client, wanted, tmp_path, max_parallel=4, lag=lag)
        ended = time.monotonic()
        person.join()
    assert ended - pressed[0] < 5
    assert len({request.target for request in server.received}) <= 10
    assert _files(tmp_path) in ({}, {"quick.json": b"{}"})  # whole or absent


def test_a_writable_folder_is_made_and_left_empty(tmp_path) -> None:
    """The check leaves nothing behind."""
    check_writable(tmp_path / "a" / "b")
    assert _files(tmp_path) == {"a/b": b"(folder)"}


def test_a_folder_that_is_a_file_is_not_writable(tmp_path) -> None:
    """Before a job is triggered whose artifacts could not be kept."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        check_writable(tmp_path / "file")
