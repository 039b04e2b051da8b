"""Files of this machine: no link leads out of the root, and nobody else reads what is kept."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.files import LocalFiles, check_writable

_USES: dict[str, Callable[[LocalFiles], object]] = {
    "check": lambda files: files.check("run"),
    "write": lambda files: files.put("run/compiled/new.sql", [b"ours"]),
    "read": lambda files: files.open("run/compiled/secret"),
    "copy from": lambda files: files.copy("run/compiled/secret", "mine"),
    "copy to": lambda files: files.copy("mine", "run/compiled/new.sql"),
    "delete": lambda files: files.delete(["run/compiled/secret"]),
}


@pytest.mark.parametrize("use", _USES)
@pytest.mark.parametrize("link", ["run", "run/compiled", "run/compiled/secret"])
def test_a_link_that_was_planted_is_not_followed_out_of_the_root(tmp_path, link, use) -> None:
    """Of the run's folder, of one in it, or of a file: nothing outside is read, made or removed."""
    outside = tmp_path / "outside"
    inside = outside / "target" / Path("run/compiled/secret").relative_to(link)
    inside.parent.mkdir(parents=True)
    inside.write_text("theirs")
    root = tmp_path / "root"
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(outside / "target")
    (root / "mine").write_text("mine")
    if (use, link) in {("check", "run/compiled"), ("check", "run/compiled/secret")} or (
        link.endswith("secret") and use in {"write", "copy to", "delete"}
    ):
        _USES[use](LocalFiles(root))  # it has nothing to do with the link, or replaces it
    else:
        with pytest.raises(StorageError, match=r"a link (there leads out|leads elsewhere)"):
            _USES[use](LocalFiles(root))
    assert {path: path.read_text() for path in outside.rglob("*") if path.is_file()} == {
        inside: "theirs"
    }


@pytest.mark.parametrize("link", [".partial-x", ".partial.new-x", ".partial-x/.in-use"])
def test_a_link_with_a_name_of_ours_is_removed_and_not_followed(tmp_path, link) -> None:
    """It would be locked as what was left over, by a file that is made, or emptied, outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("theirs")
    planted = tmp_path / "root" / "run" / link
    planted.parent.mkdir(parents=True)
    planted.symlink_to(outside / "secret" if link.endswith("in-use") else outside)
    LocalFiles(tmp_path / "root").put("run/manifest.json", [b"{}"])
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "theirs"}
    assert [path.name for path in (tmp_path / "root" / "run").iterdir()] == ["manifest.json"]


def test_a_disk_that_is_nearly_full_is_told_before_a_job_is_triggered(tmp_path) -> None:
    """An empty file can be made on it, and no artifact."""
    check_writable(tmp_path)
    with pytest.raises(StorageError, match=r"artifacts' folder .* is full but for \d+ bytes"):
        check_writable(tmp_path, shutil.disk_usage(tmp_path).total + 1)


def test_a_disk_that_has_no_locks_is_told_before_a_job_is_triggered(tmp_path, monkeypatch) -> None:
    """Such as one that is mounted over NFS without them: an empty file can be made there."""

    def flock(file: int, operation: int) -> None:
        del file, operation
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError, match=r"cannot be written \(No locks available\)"):
        check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_a_link_itself_is_used(tmp_path) -> None:
    """Who set it up so wants it."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    files = LocalFiles(tmp_path / "root")
    files.put("run/manifest.json", [b"{}"])
    with files.open("run/manifest.json") as file:
        assert file.read() == b"{}"


def test_a_folder_that_is_empty_then_goes_with_its_last_file(tmp_path) -> None:
    """The root stays."""
    files = LocalFiles(tmp_path)
    files.put("7/10/a.json", [b"{}"])
    files.put("7/9/a.json", [b"{}"])
    files.delete(["7/10/a.json"])
    assert [path.name for path in (tmp_path / "7").iterdir()] == ["9"]
    files.delete(["7/9/a.json"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_complete_is_not_listed(tmp_path) -> None:
    """Nor are the folders that hold it."""
    files = LocalFiles(tmp_path)
    files.put("run/a.json", [b"{}"])
    listed: list[list[str]] = []

    def chunks() -> Iterator[bytes]:
        yield b"half"
        listed.append([each.path for each in files.list_files("")])

    files.put("run/b.json", chunks())
    assert listed == [["run/a.json"]]


def test_a_file_that_goes_while_files_are_listed_is_left_out(tmp_path) -> None:
    """Another process deletes it; the rest is listed."""
    files = LocalFiles(tmp_path)
    names = {"run/a", "run/b", "run/c"}
    for name in names:
        files.put(name, [b"{}"])
    listing = files.list_files("run")
    first = next(listing).path
    gone = min(names - {first})
    files.delete([gone])
    assert {each.path for each in listing} == names - {first, gone}


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("mask", "file_mode", "folder_mode"),
    [(0o022, 0o640, 0o750), (0o000, 0o640, 0o750), (0o077, 0o600, 0o700)],
)
def test_what_is_kept_is_the_owners_and_at_most_the_groups(
    tmp_path, mask, file_mode, folder_mode
) -> None:
    """Logs are in artifacts; a stricter umask counts."""
    with _umask(mask):
        LocalFiles(tmp_path / "root").put("7/compiled/a.sql", [b"select 1"])
    modes = {
        path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    folders = dict.fromkeys(["root", "root/7", "root/7/compiled"], folder_mode)
    assert modes == {**folders, "root/7/compiled/a.sql": file_mode}


_PUT_THREE = r"""
import sys
from pathlib import Path
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.files import LocalFiles, check_writable
with LocalFiles(Path(sys.argv[1])).writing("run") as writer:
    for name in ("a.json", "gr\u00f6\u00dfe.json", "z.json"):
        try:
            writer.put(name, [b"{}"])
        except StorageError as error:
            print(ascii(str(error)))
"""


def test_a_name_that_the_file_systems_encoding_lacks_costs_itself(tmp_path) -> None:
    """As in a container with LANG=C and without Python's UTF-8 mode; it says what to do."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", _PUT_THREE, str(tmp_path)],
        env={**os.environ, **plain},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be the name of a file here" in done.stdout
    assert "PYTHONUTF8=1" in done.stdout
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["a.json", "z.json"]
