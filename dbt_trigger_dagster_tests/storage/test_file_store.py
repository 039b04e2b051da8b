"""What every place for files must do: a folder of this machine, S3's protocol, Azure's."""

import hashlib
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore, open_file_store
from dbt_trigger_dagster.storage.objects import ONE_PUT, ObjectFiles
from dbt_trigger_dagster_tests.artifacts.test_paths import ODD_NAMES
from dbt_trigger_dagster_tests.buckets import Bucket, an_azurite, an_s3_server

MIB = 1024 * 1024
PIECE = bytes(range(256)) * (MIB // 256)


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    """A server that speaks S3's protocol."""
    with an_s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def azure() -> Iterator[Bucket]:
    """A server that speaks Azure's."""
    with an_azurite() as server:
        yield server


@pytest.fixture(params=["folder", "s3", pytest.param("azure", marks=pytest.mark.slow)])
def files(request, tmp_path: Path) -> FileStore:
    """A place of each kind, empty."""
    if request.param == "folder":
        return open_file_store(str(tmp_path / "kept"))
    bucket: Bucket = request.getfixturevalue(request.param)
    return open_file_store(bucket.new_root(), bucket.options)


def paths(files: FileStore, folder: str = "") -> list[str]:
    """What is kept."""
    return sorted(each.path for each in files.list_files(folder))


class BrokenStreamError(Exception):
    """As a download that breaks off."""


class Interrupt(BaseException):
    """As Dagster's, which is no Exception."""


def broken(size: int, error: BaseException) -> Iterator[bytes]:
    """Megabytes, and then an error."""
    for _ in range(size // MIB):
        yield PIECE
    raise error


def content(files: FileStore, path: str) -> bytes:
    """The bytes of a file."""
    with files.open(path) as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 1, MIB, ONE_PUT, ONE_PUT + 1, 3 * ONE_PUT + 5])
def test_what_is_put_is_there_byte_for_byte(files: FileStore, size: int) -> None:
    """In one request or in parts, and the address says where."""
    body = (PIECE * (size // MIB + 1))[:size]
    chunks = (body[start : start + MIB] for start in range(0, size, MIB))
    assert files.put("7/9/42/manifest.json", chunks) == files.uri("7/9/42/manifest.json")
    assert hashlib.sha256(content(files, "7/9/42/manifest.json")).digest() == (
        hashlib.sha256(body).digest()
    )
    (stored,) = files.list_files("7/9")
    assert (stored.path, stored.size_bytes) == ("7/9/42/manifest.json", size)


@pytest.mark.parametrize("size", [0, 2 * MIB, 3 * ONE_PUT])
@pytest.mark.parametrize("error", [BrokenStreamError("half"), Interrupt("stop")])
def test_a_stream_that_breaks_publishes_nothing(
    files: FileStore, size: int, error: BaseException
) -> None:
    """What the stream raised comes out, and what was there before stays."""
    with pytest.raises(type(error), match=str(error)):
        files.put("run/new.json", broken(size, error))
    files.put("run/old.json", [b"old"])
    with pytest.raises(type(error)):
        files.put("run/old.json", broken(size, error))
    assert paths(files) == ["run/old.json"]
    assert content(files, "run/old.json") == b"old"


def test_a_bucket_is_opened_by_what_the_environment_says(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys, region and endpoint, of a server without TLS too: nothing stands in the settings."""
    for name, value in s3.options.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    files = open_file_store(s3.new_root())
    files.check()
    files.put("run/a.json", [b"{}"])
    assert content(files, "run/a.json") == b"{}"


def test_a_stream_that_breaks_leaves_no_unfinished_upload(s3: Bucket) -> None:
    """Parts that nobody lists are paid for every month."""
    root = s3.new_root()
    files = open_file_store(root, s3.options)
    seen: list[int] = []

    def chunks() -> Iterator[bytes]:
        yield from (PIECE for _ in range(20))
        seen.append(s3.unfinished_uploads())
        raise BrokenStreamError

    with pytest.raises(BrokenStreamError):
        files.put("big.json", chunks())
    assert seen == [1]
    assert s3.unfinished_uploads() == 0
    assert paths(files) == []


def test_odd_names_stay_as_they_are(files: FileStore) -> None:
    """Nothing is quoted, and nothing is taken for a folder."""
    for name in ODD_NAMES:
        files.put(f"run/{name}", [name.encode()])
    assert paths(files) == sorted(f"run/{name}" for name in ODD_NAMES)
    for name in ODD_NAMES:
        assert content(files, f"run/{name}") == name.encode()


def test_what_is_not_there_is_told_apart(files: FileStore) -> None:
    """From what cannot be read."""
    assert not files.exists("run/manifest.json")
    assert files.list_folders("run") == []
    assert paths(files, "run") == []
    with pytest.raises(FileNotFoundError):
        files.open("run/manifest.json")
    with pytest.raises(FileNotFoundError):
        files.copy("run/manifest.json", "x")
    files.delete(["run/manifest.json"])


def test_a_copy_replaces_what_was_there(files: FileStore) -> None:
    """As for the newest manifest at a steady address."""
    files.put("1/manifest.json", [b"old"])
    files.put("2/manifest.json", [b"new"])
    files.copy("1/manifest.json", "latest/manifest.json")
    files.copy("2/manifest.json", "latest/manifest.json")
    assert content(files, "latest/manifest.json") == b"new"
    assert paths(files) == ["1/manifest.json", "2/manifest.json", "latest/manifest.json"]


def test_folders_and_files_are_listed_and_deleted(files: FileStore) -> None:
    """Only what was named goes; a folder that is empty then is none."""
    for path in ("7/9/1/a.json", "7/9/2/a.json", "7/10/3/x/a.json"):
        files.put(path, [b"{}"])
    assert files.list_folders("") == ["7"]
    assert files.list_folders("7") == ["10", "9"]
    assert paths(files, "7/9") == ["7/9/1/a.json", "7/9/2/a.json"]
    files.delete(["7/9/1/a.json", "7/10/3/x/a.json", "7/9/gone"])
    assert paths(files) == ["7/9/2/a.json"]
    assert files.list_folders("7") == ["9"]


def test_a_file_can_be_read_in_pieces_and_sought_in(files: FileStore) -> None:
    """As readers of JSON and of Parquet do."""
    files.put("run/manifest.json", [PIECE, PIECE])
    with files.open("run/manifest.json") as file:
        assert file.read(3) == b"\x00\x01\x02"
        file.seek(-2, io.SEEK_END)
        assert file.read() == b"\xfe\xff"
        file.seek(256)
        assert (file.tell(), file.read(1)) == (256, b"\x00")
    files.put("run/x.json", [json.dumps({"a": 1}).encode()])
    with files.open("run/x.json") as file:
        assert json.load(file) == {"a": 1}


def test_a_check_leaves_nothing_behind(files: FileStore) -> None:
    """And says nothing where all is well."""
    files.check()
    files.check("7/9")
    assert paths(files) == []


def test_many_threads_write_at_once(files: FileStore) -> None:
    """Each file has its own bytes."""
    with files.writing("run") as writer:
        threads = [
            threading.Thread(target=writer.put, args=(f"{number}.json", [b"%d" % number] * 1000))
            for number in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(20):
        assert content(files, f"run/{number}.json") == b"%d" % number * 1000
    assert len(paths(files)) == 20


# Buckets alone


def test_a_bucket_that_is_not_there_is_told_at_the_check(s3: Bucket) -> None:
    """In one line, before a job is triggered whose artifacts could not be kept."""
    with pytest.raises(StorageError, match=r"s3://nowhere/x/7/9: there is no such bucket") as told:
        open_file_store("s3://nowhere/x", s3.options).check("7/9")
    assert "\n" not in str(told.value)


def test_a_server_that_goes_away_while_a_file_is_read_is_told() -> None:
    """As ours, whichever error the driver has for it."""
    with an_s3_server() as server:
        files = ObjectFiles(server.new_root(), server.options, patience=1)
        files.put("run/manifest.json", [PIECE, PIECE])
        file = files.open("run/manifest.json")
    with file, pytest.raises(StorageError, match=r"run/manifest\.json cannot be read: "):
        file.read()


def test_a_server_that_does_not_answer_is_told_at_the_check() -> None:
    """It is not waited for without an end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = {
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key_id": "key",
        "secret_access_key": "sesame",
        "region": "us-east-1",
        "allow_http": "true",
    }
    with pytest.raises(StorageError, match="cannot be stored in s3://bucket") as told:
        ObjectFiles("s3://bucket", options, patience=1).check()
    assert "sesame" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nonsense": "sesame"}, "Configuration key: 'nonsense' is not valid"),
        ({"timeout": "sesame"}, r"failed to parse \"\(the option timeout\)\""),
        ({"virtual_hosted_style_request": "sesame"}, "failed to parse .* as boolean"),
        ({"region": 5}, "'int' object"),
    ],
)
def test_an_option_that_cannot_be_used_is_a_sentence_without_its_value(
    options: dict[str, Any], said: str
) -> None:
    """It may be a secret."""
    with pytest.raises(StorageError, match=said) as told:
        open_file_store("s3://bucket/x", options)
    assert "sesame" not in str(told.value)


def test_a_container_without_an_account_is_a_sentence() -> None:
    """Azure's URLs of one form name none."""
    with pytest.raises(StorageError, match="Account must be specified"):
        open_file_store("az://container/x")


def test_a_profile_of_the_command_line_is_used(s3: Bucket, tmp_path: Path, monkeypatch) -> None:
    """What obstore does not know, boto3 reads."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[team]\naws_access_key_id = fromprofile\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    keyless = {name: value for name, value in s3.options.items() if "access_key" not in name}
    files = open_file_store(s3.new_root(), keyless)
    files.put("manifest.json", [b"{}"])
    assert content(files, "manifest.json") == b"{}"
    assert any("Credential=fromprofile/" in header for header in s3.authorizations)
