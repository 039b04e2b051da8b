"""Old artifacts go, their rows stay and say when; what is needed stays, whatever happens."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from dbt_trigger_dagster import DbtCloudArtifactStore
from dbt_trigger_dagster.artifacts.deleted_runs import deleted_at
from dbt_trigger_dagster.artifacts.latest import publish_latest
from dbt_trigger_dagster.artifacts.retention import Deletion, Policy, delete, plan
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore, open_file_store
from dbt_trigger_dagster.storage.store import Store, open_store
from dbt_trigger_dagster.storage.tables import ARTIFACT
from dbt_trigger_dagster_tests.buckets import Bucket, an_s3_server
from dbt_trigger_dagster_tests.payloads import run_payload

NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(days=100)
POLICY = Policy(max_age=timedelta(days=30), keep_last_runs=1)
MANIFEST, CATALOG, CODE = "manifest.json", "catalog.json", "compiled/orders.sql"


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    """A server that speaks S3's protocol."""
    with an_s3_server() as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """A place of either kind, empty."""
    if request.param == "folder":
        return open_file_store(str(tmp_path / "kept"))
    bucket: Bucket = request.getfixturevalue("s3")
    return open_file_store(bucket.new_root(), bucket.options)


@pytest.fixture
def folder(tmp_path: Path) -> FileStore:
    """A folder of this machine."""
    return open_file_store(str(tmp_path / "kept"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A database."""
    return open_store(f"{tmp_path}/rows.duckdb")


def keep(
    store: Store,
    files: FileStore,
    *run_ids: int,
    names: Sequence[str] = (MANIFEST, CODE),
    when: datetime = LONG_AGO,
    job_id: int = 9,
    **row: Any,
) -> None:
    """Store the artifacts of runs, their reports, and the artifacts' rows."""
    records = []
    for run_id in run_ids:
        folder = f"7/{job_id}/{run_id}"
        files.put(f"{folder}/report.html", [b"<html>"])
        records += [
            {
                "account_id": 7,
                "run_id": run_id,
                "step": 0,
                "path": name,
                "uri": files.put(f"{folder}/{name}", [b"{}"]),
                "size_bytes": 2,
                "downloaded_at": when,
                "dagster_run_id": "mine",
                "loaded_at": when,
                "raw": {"etag": "é"},
                **row,
            }
            for name in names
        ]
    store.upsert(ARTIFACT.rows(records))


def one_pass(
    store: Store, files: FileStore, *, policy: Policy = POLICY, now: datetime = NOW
) -> list[Deletion]:
    """What became of the runs that one pass deletes."""
    return list(delete(store, files, plan(store, files, policy, now).expired, now))


def runs_with_files(files: FileStore) -> set[int]:
    """The runs of which there is any file."""
    return {int(each.path.split("/")[2]) for each in files.list_files("7")}


def marked(store: Store) -> dict[int, set[datetime | None]]:
    """By run, what the rows say of when their files were deleted."""
    found: dict[int, set[datetime | None]] = {}
    for row in store.read(ARTIFACT):
        found.setdefault(row["run_id"], set()).add(row["deleted_at"])
    return found


def test_old_files_go_and_their_rows_say_when(store: Store, files: FileStore) -> None:
    """All else in the rows stays; young runs and each job's newest are left alone."""
    keep(store, files, 1, 2, 3)
    keep(store, files, 4, when=NOW - timedelta(days=29))
    keep(store, files, 5, job_id=8)
    before = {(row["run_id"], row["path"]): row for row in store.read(ARTIFACT)}
    done = one_pass(store, files)
    assert [each.run.run_id for each in done] == [3, 2, 1]
    assert [(each.run.files, each.run.size_bytes, each.error) for each in done] == [
        (2, 4, None)
    ] * 3
    assert runs_with_files(files) == {4, 5}
    assert files.list_folders("7/9") == ["4"]
    assert marked(store) == {1: {NOW}, 2: {NOW}, 3: {NOW}, 4: {None}, 5: {None}}
    for row in store.read(ARTIFACT):
        assert {**row, "deleted_at": None} == before[row["run_id"], row["path"]]


def test_a_plan_changes_nothing(store: Store, files: FileStore) -> None:
    """It says what would go, and what stays."""
    keep(store, files, 1, 2)
    planned = plan(store, files, POLICY, NOW)
    assert [run.run_id for run in planned.expired] == [1]
    assert [run.run_id for run in planned.kept] == [2]
    assert runs_with_files(files) == {1, 2}
    assert marked(store) == {1: {None}, 2: {None}}
    assert list(files.list_files("deleted")) == []


def test_the_newest_of_each_file_that_is_published_stays(store: Store, folder: FileStore) -> None:
    """The last runs may have failed before they left a manifest, or docs."""
    keep(store, folder, 1, names=[MANIFEST, CATALOG])
    keep(store, folder, 2, names=[MANIFEST, CATALOG])
    keep(store, folder, 3, names=[MANIFEST])
    keep(store, folder, 4, names=[CODE])
    keep(store, folder, 5, names=[CODE])
    one_pass(store, folder)
    assert runs_with_files(folder) == {2, 3, 5}


def test_the_run_at_the_steady_address_stays(store: Store, files: FileStore) -> None:
    """One that lands meanwhile may have to copy its files again."""
    keep(store, files, 1, 2, 3, names=[MANIFEST])
    payload = run_payload(10, id=2, account_id=7, job_definition_id=9, environment_id=5)
    publish_latest(files, Run.from_payload(payload), "7/9/2", [MANIFEST])
    one_pass(store, files)
    assert runs_with_files(files) == {2, 3}
    with files.open("latest/7/9/manifest.json") as file:
        assert file.read() == b"{}"


class Interrupted(Exception):  # noqa: N818  # none that the code knows
    """As a kill."""


class KilledBeforeTheRows:
    """A store that is killed when rows are to be written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        """All else is the store's."""
        return getattr(self._store, name)

    def upsert(self, *_rows: Any) -> None:
        """Write nothing."""
        raise Interrupted


def test_rows_and_files_agree_after_the_pass_that_follows_a_kill(
    store: Store, files: FileStore
) -> None:
    """Files are gone and rows do not say so yet: the next pass writes it down."""
    keep(store, files, 1, 2, 3)
    expired = plan(store, files, POLICY, NOW).expired
    with pytest.raises(Interrupted):
        list(delete(KilledBeforeTheRows(store), files, expired, NOW))
    assert runs_with_files(files) == {3}
    assert marked(store) == {1: {None}, 2: {None}, 3: {None}}
    later = NOW + timedelta(days=1)
    assert [each.error for each in one_pass(store, files, now=later)] == [None, None]
    assert marked(store) == {1: {later}, 2: {later}, 3: {None}}
    assert one_pass(store, files, now=later) == []


def test_a_run_that_is_half_gone_goes_whole(store: Store, files: FileStore) -> None:
    """And what was marked before keeps its time."""
    keep(store, files, 1, names=[MANIFEST])
    keep(store, files, 1, names=[CODE], deleted_at=LONG_AGO)
    keep(store, files, 2)
    files.delete([f"7/9/1/{CODE}"])
    one_pass(store, files)
    assert runs_with_files(files) == {2}
    assert marked(store)[1] == {LONG_AGO, NOW}


def test_more_runs_than_one_batch_go(store: Store, folder: FileStore) -> None:
    """Each is told once."""
    keep(store, folder, *range(1, 103), names=[MANIFEST])
    assert sorted(each.run.run_id for each in one_pass(store, folder)) == [*range(1, 102)]
    assert runs_with_files(folder) == {102}
    assert [row["run_id"] for row in store.read(ARTIFACT) if row["deleted_at"] is None] == [102]


@pytest.mark.parametrize("leads_to", ["out of the root", "to a run that stays"])
def test_a_link_is_never_followed(
    store: Store, folder: FileStore, tmp_path: Path, leads_to: str
) -> None:
    """What it leads to stays, and the others go all the same."""
    keep(store, folder, 1, 2, 3)
    elsewhere = tmp_path / "mine" if leads_to == "out of the root" else tmp_path / "kept/7/9/3"
    if not elsewhere.exists():
        (tmp_path / "kept/7/9/1").rename(elsewhere)
    else:
        folder.delete([each.path for each in folder.list_files("7/9/1")])
    (tmp_path / "kept/7/9/1").symlink_to(elsewhere)
    done = {each.run.run_id: each.error for each in one_pass(store, folder)}
    assert done[2] is None
    assert "a link leads elsewhere" in str(done[1])
    assert (elsewhere / MANIFEST).read_bytes() == b"{}"
    assert marked(store) == {1: {None}, 2: {NOW}, 3: {None}}


def test_a_file_that_is_a_link_is_removed_and_not_what_it_leads_to(
    store: Store, folder: FileStore, tmp_path: Path
) -> None:
    """As rm does."""
    keep(store, folder, 1, 2)
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "kept/7/9/1" / MANIFEST).unlink()
    (tmp_path / "kept/7/9/1" / MANIFEST).symlink_to(tmp_path / "mine")
    one_pass(store, folder)
    assert not (tmp_path / "kept/7/9/1").exists()
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "row",
    [
        {"uri": "/somewhere/else/7/9/1/manifest.json"},
        {"uri": "{root}/7/9/1/../../../mine", "path": "../../../mine"},
        {"uri": "{root}/../9/1/manifest.json"},
        {"uri": None},
    ],
)
def test_rows_whose_files_are_not_here_are_left_alone(
    store: Store, folder: FileStore, tmp_path: Path, row: dict[str, Any]
) -> None:
    """Another root's, and what nobody of us wrote; no path leads out of the root."""
    (tmp_path / "mine").write_bytes(b"mine")
    keep(store, folder, 1, 2, names=[MANIFEST])
    uri = row["uri"] and row["uri"].format(root=tmp_path / "kept")
    store.upsert(ARTIFACT.rows([{**next(iter(store.read(ARTIFACT, run_id=1))), **row, "uri": uri}]))
    if "path" in row:
        one_pass(store, folder)
        assert {r["path"]: r["deleted_at"] for r in store.read(ARTIFACT, run_id=1)} == {
            MANIFEST: NOW,
            row["path"]: None,
        }
    else:
        assert one_pass(store, folder) == []
        assert runs_with_files(folder) == {1, 2}
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_file_that_is_nobodys_stays(store: Store, folder: FileStore) -> None:
    """Somebody's notes beside the artifacts of a run."""
    keep(store, folder, 1, 2)
    folder.put("7/9/1/notes.txt", [b"mine"])
    one_pass(store, folder)
    assert [each.path for each in folder.list_files("7/9/1")] == ["7/9/1/notes.txt"]


def test_whoever_reads_a_deleted_artifact_is_told_when(tmp_path: Path, store: Store) -> None:
    """What was never stored is told as before, and so is what is landed again."""
    artifacts = DbtCloudArtifactStore(root=str(tmp_path / "kept"))
    files = artifacts.files()
    keep(store, files, 1, 2, 3)
    one_pass(store, files)
    with pytest.raises(
        FileNotFoundError,
        match=r"of the run 1 is not stored in .*: what was stored of the run was deleted at "
        r"2026-06-01T12:00:00\+00:00\.",
    ):
        artifacts.load_artifact(1, MANIFEST)
    with pytest.raises(FileNotFoundError, match=r"of the run 4 is not stored in [^:]*\.$"):
        artifacts.load_artifact(4, MANIFEST)
    keep(store, files, 1)
    assert artifacts.load_artifact(1, MANIFEST) == {}


def test_what_is_landed_again_goes_again(store: Store, folder: FileStore) -> None:
    """Its rows say nothing of the first time, for the files are back."""
    keep(store, folder, 1, 2)
    one_pass(store, folder)
    keep(store, folder, 1, when=NOW)
    assert marked(store)[1] == {None}
    later = NOW + timedelta(days=31)
    one_pass(store, folder, now=later)
    assert marked(store)[1] == {later}


def test_a_place_that_cannot_be_written_is_told_before_anything_goes(
    store: Store, folder: FileStore, tmp_path: Path
) -> None:
    """A note says what is deleted; where it cannot be written, nothing is."""
    keep(store, folder, 1, 2)
    (tmp_path / "kept" / "deleted").write_text("a file")
    with pytest.raises(StorageError, match=r"deleted/7/9\.json cannot be written"):
        one_pass(store, folder)
    assert runs_with_files(folder) == {1, 2}


def test_what_is_stored_anew_after_the_plan_stays(store: Store, files: FileStore) -> None:
    """Somebody has landed the run again, between the plan and the deleting."""
    keep(store, files, 1, 2, 3)
    expired = plan(store, files, POLICY, NOW).expired
    keep(store, files, 1, names=[MANIFEST], when=NOW)
    assert [each.run.run_id for each in delete(store, files, expired, NOW)] == [2]
    assert runs_with_files(files) == {1, 3}
    assert marked(store) == {1: {None}, 2: {NOW}, 3: {None}}


class LandedAgain:
    """A store of files where somebody lands a run again while files are removed."""

    def __init__(self, store: Store, files: FileStore) -> None:
        self._store, self._files = store, files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete, and store what somebody has landed meanwhile."""
        self._files.delete(paths)
        if f"7/9/1/{MANIFEST}" in paths:
            keep(self._store, self._files, 1, names=[MANIFEST], when=NOW)


def test_what_is_stored_anew_while_files_are_removed_is_not_marked(
    store: Store, files: FileStore
) -> None:
    """Its rows speak of the new files."""
    keep(store, files, 1, 2, 3)
    one_pass(store, LandedAgain(store, files))
    assert runs_with_files(files) == {1, 3}
    assert marked(store) == {1: {None}, 2: {NOW}, 3: {None}}


@pytest.mark.parametrize("note", [b"", b'{"1": "20', b"\xff", b"[1]", b"null"])
def test_a_damaged_note_keeps_nobody_from_deleting(
    store: Store, folder: FileStore, note: bytes
) -> None:
    """It is a hint for who reads, and is written anew."""
    keep(store, folder, 1, 2)
    folder.put("deleted/7/9.json", [note])
    assert deleted_at(folder, 1) is None
    one_pass(store, folder)
    assert deleted_at(folder, 1) == "2026-06-01T12:00:00+00:00"
