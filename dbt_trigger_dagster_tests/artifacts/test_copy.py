"""Artifacts are copied whole from any place to any other, and rows follow them."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from dbt_trigger_dagster.artifacts.copy import FileProgress, copy_artifacts, moved
from dbt_trigger_dagster.storage.columns import Rows, Table
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore, open_file_store
from dbt_trigger_dagster.storage.files import LocalFiles
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT
from dbt_trigger_dagster.storage.objects import ONE_PUT
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN
from dbt_trigger_dagster_tests.artifacts.test_paths import ODD_NAMES
from dbt_trigger_dagster_tests.buckets import Bucket, an_s3_server

CONTENTS = {
    **{f"7/9/1/{name}": name.encode() for name in ODD_NAMES},
    "7/9/1/steps/4/run_results.json": b"{}",
    "7/9/1/big.json": b"0123456789" * (ONE_PUT // 5),
    "7/9/1/empty.json": b"",
    "7/10/2/report.html": b"<html>",
    "latest/7/9/manifest.json": b"newest",
    "deleted/7/9.json": b"{}",
}


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    """A server that speaks S3's protocol."""
    with an_s3_server() as server:
        yield server


def a_folder(tmp_path: Path, name: str) -> FileStore:
    """A folder of this machine."""
    return open_file_store(str(tmp_path / name))


@pytest.fixture(params=["folder to bucket", "bucket to folder"])
def places(request: pytest.FixtureRequest, tmp_path: Path, s3: Bucket) -> list[FileStore]:
    """Where from, with artifacts, and where to."""
    bucket = open_file_store(s3.new_root(), s3.options)
    found = [a_folder(tmp_path, "kept"), bucket][:: 1 if request.param[0] == "f" else -1]
    put(found[0], CONTENTS)
    return found


def put(files: FileStore, contents: dict[str, bytes]) -> None:
    """Keep files."""
    for path, content in contents.items():
        files.put(path, [content])


def contents(files: FileStore) -> dict[str, bytes]:
    """All files."""
    found = {}
    for each in files.list_files(""):
        with files.open(each.path) as file:
            found[each.path] = file.read()
    return found


def test_all_artifacts_are_copied_byte_for_byte(places: list[FileStore]) -> None:
    """Large ones and empty ones, the latest and the notes of what was deleted."""
    source, target = places
    first, last = copy_artifacts(source, target)
    size = sum(map(len, CONTENTS.values()))
    assert first == FileProgress(there=0, total=len(CONTENTS), copied=0, copied_bytes=0)
    assert last == FileProgress(len(CONTENTS), len(CONTENTS), len(CONTENTS), size)
    assert contents(target) == CONTENTS


def test_what_is_there_is_not_copied_again(places: list[FileStore]) -> None:
    """But for what is of another length."""
    source, target = places
    list(copy_artifacts(source, target))
    target.put("7/9/1/big.json", [b"half"])
    progress = list(copy_artifacts(source, target))
    assert [each.copied for each in progress] == [0, 1]
    assert contents(target) == CONTENTS
    assert [each.copied for each in copy_artifacts(source, target)] == [0]


def test_what_is_newer_is_copied_again(tmp_path: Path) -> None:
    """The latest manifest may have the length of the one before."""
    source, target = a_folder(tmp_path, "a"), a_folder(tmp_path, "b")
    put(source, CONTENTS)
    list(copy_artifacts(source, target))
    os.utime(tmp_path / "b/latest/7/9/manifest.json", (1, 1))
    assert [each.copied for each in copy_artifacts(source, target)] == [0, 1]


def test_only_what_is_ours_is_copied(tmp_path: Path) -> None:
    """Somebody keeps other things beside the artifacts; links are not followed."""
    source, target = a_folder(tmp_path, "a"), a_folder(tmp_path, "b")
    put(source, {**CONTENTS, "dbt_cloud.duckdb": b"x", "notes/a.txt": b"x"})
    (tmp_path / "a/7/9/link.json").symlink_to(tmp_path / "a/dbt_cloud.duckdb")
    list(copy_artifacts(source, target))
    assert contents(target) == CONTENTS


class Breaking(LocalFiles):
    """A disk that cannot be read from a file on."""

    def open(self, path: str) -> BinaryIO:
        """Fail at one file."""
        if path.endswith("/150.json"):
            raise OSError(5, "Input/output error", path)
        return super().open(path)


def test_a_copy_that_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    """What had been copied is there, nothing is there in part, and the error says which file."""
    files = {f"7/9/1/{number:03}.json": b"%d" % number for number in range(250)}
    source, target = a_folder(tmp_path, "a"), a_folder(tmp_path, "b")
    put(source, files)
    with pytest.raises(StorageError, match=r"cannot be copied: .*Input/output error.*150\.json"):
        list(copy_artifacts(Breaking(tmp_path / "a"), target))
    copied = contents(target)
    assert 100 <= len(copied) < 250
    assert copied.items() <= files.items()
    first, *_, last = copy_artifacts(source, target)
    assert (first.there, last.copied) == (len(copied), 250 - len(copied))
    assert contents(target) == files


class Forgetting(LocalFiles):
    """A folder in which somebody deletes what is written."""

    def put(self, path: str, chunks: Iterator[bytes]) -> str:  # type: ignore[override]
        """Write, and lose one file."""
        uri = super().put(path, chunks)
        self.delete(["7/9/1/empty.json"])
        return uri


def test_what_is_not_there_in_the_end_is_told(tmp_path: Path) -> None:
    """With its name."""
    source = a_folder(tmp_path, "a")
    put(source, CONTENTS)
    with pytest.raises(StorageError, match=r"1 of \d+ files are not in .*/b.*: see|7/9/1/empty"):
        list(copy_artifacts(source, Forgetting(tmp_path / "b")))


def test_a_place_without_artifacts_is_told(tmp_path: Path) -> None:
    """A name that was mistyped."""
    with pytest.raises(StorageError, match=r"There are no artifacts in .*/none"):
        list(copy_artifacts(a_folder(tmp_path, "none"), a_folder(tmp_path, "b")))


def test_rows_name_the_files_where_they_are_now(tmp_path: Path) -> None:
    """Whatever the old root was called; what is not there keeps its address."""
    target = a_folder(tmp_path, "b")
    put(target, {"7/9/1/manifest.json": b"", "7/9/1/compiled/a.sql": b""})
    key = {"account_id": 7, "run_id": 1, "step": 0}
    uris = ["/old/7/9/1/manifest.json", "s3://x/7/9/1/gone.json", "/7/9/11/manifest.json", None]
    code = ["/old/7/9/1/compiled/a.sql", None]
    tables = {
        ARTIFACT: ARTIFACT.rows({**key, "path": str(uri), "uri": uri} for uri in uris),
        NODE_RESULT: NODE_RESULT.rows({**key, "compiled_code_path": each} for each in code),
        RUN: RUN.rows([{"id": 1, "account_id": 7}]),
    }

    def source(table: Table) -> Iterator[Rows]:
        yield tables[table]

    read = moved(source, target)
    assert next(read(ARTIFACT)).columns["uri"] == [target.uri("7/9/1/manifest.json"), *uris[1:]]
    assert next(read(NODE_RESULT)).columns["compiled_code_path"] == [
        target.uri("7/9/1/compiled/a.sql"),
        None,
    ]
    assert next(read(RUN)) is tables[RUN]


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a copy would say that all is there, without the files in it."""
    source, target = a_folder(tmp_path, "kept"), a_folder(tmp_path, "copied")
    put(source, {"7/9/1/manifest.json": b"{}", "7/9/2/manifest.json": b"{}"})
    refused, scandir = str(tmp_path / "kept/7/9/2"), os.scandir

    def refusing(path: str) -> object:
        if os.fspath(path) == refused:
            raise PermissionError(errno.EACCES, "Permission denied", refused)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(StorageError, match="kept/7/9/2 cannot be read: Permission denied"):
        list(copy_artifacts(source, target))
