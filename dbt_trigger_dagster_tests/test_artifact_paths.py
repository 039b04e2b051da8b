"""Which paths are safe, which are wanted."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbt_trigger_dagster.artifact_paths import check_patterns, matches, safe_path
from dbt_trigger_dagster.errors import StorageError

ODD_NAMES = ["a b.json", "größe/日本.json", "100%/x#1?.json", "50%20.json", "a+b&c=d", "-rf", ".x"]

EVIL_PATHS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "./x",
    "a//b",
    "a/",
    "a\\..\\..\\x",
    "C:\\x",
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "x" * 256,
    "a/" + "é" * 128,
    "half \ud83d",
]


@pytest.mark.parametrize("path", EVIL_PATHS, ids=ascii)
def test_a_path_that_could_leave_its_folder_is_refused(path) -> None:
    """So is one that no file system takes."""
    with pytest.raises(StorageError, match="not safe to store"):
        safe_path(path)


@pytest.mark.parametrize("path", ["manifest.json", "a/b/c.sql", "...", "..a", "a..", *ODD_NAMES])
def test_an_odd_but_harmless_path_is_kept_as_it_is(path) -> None:
    """Models are called what they are called."""
    assert safe_path(path).as_posix() == path


@given(
    st.text() | st.lists(st.sampled_from(["..", ".", "", "a", "\\", "~", "x" * 200])).map("/".join)
)
@example("\ud800")
def test_no_path_leaves_its_folder(path) -> None:
    """A safe path is below the folder, and it is the same path; all others are errors."""
    try:
        relative = safe_path(path)
    except StorageError:
        return
    folder = Path("/base/folder")
    target = Path(os.path.normpath(folder / relative))
    assert target.is_relative_to(folder)
    assert target != folder
    assert relative.as_posix() == path
    os.fsencode(target)


@pytest.mark.parametrize(
    ("pattern", "wanted", "unwanted"),
    [
        ("**", ["a", "a/b", ".hidden", "a/.hidden/b", "a b", *ODD_NAMES], []),
        ("*", ["a", ".hidden"], ["a/b"]),
        ("*.json", ["manifest.json"], ["a/manifest.json", "manifest.jsonl"]),
        ("**/*.json", ["manifest.json", "a/b/c.json"], ["a/b.sql"]),
        ("run/**", ["run/a", "run/a/b"], ["runs/a", "compiled/run/a"]),
        ("run_results.json", ["run_results.json"], ["xrun_results.json", "run_resultsxjson"]),
        ("[mc]*.json", ["manifest.json", "catalog.json"], ["sources.json"]),
        ("?.json", ["a.json"], ["ab.json"]),
        ("A", ["A"], ["a"]),
    ],
)
def test_patterns_match_as_globs_do(pattern, wanted, unwanted) -> None:
    """One star stays within a folder, two stars do not; case counts."""
    assert [path for path in wanted if not matches(path, [pattern], [])] == []
    assert [path for path in unwanted if matches(path, [pattern], [])] == []


def test_what_is_excluded_is_not_wanted_whatever_includes_it() -> None:
    """And what nothing includes is not wanted either."""
    assert matches("a.json", ["*.sql", "*.json"], ["b.*"])
    assert not matches("a.json", ["**"], ["x", "*.json"])
    assert not matches("a.json", [], [])


@pytest.mark.parametrize("path", ["steps/4/manifest.json", ".partial-x/manifest.json"])
def test_a_path_that_could_meet_our_own_files_is_refused(path: str) -> None:
    """Two artifacts in one file, or a file that the next download removes, is one too few."""
    with pytest.raises(StorageError, match="not safe"):
        safe_path(path)


def test_what_is_no_pattern_is_told_at_once() -> None:
    """Not when the run is over."""
    check_patterns(["**", "*.json", "[", ""])
    with pytest.raises(ValueError, match=r"'\*\*\.json' cannot be used"):
        check_patterns(["*.json", "**.json"])
