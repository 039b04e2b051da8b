"""Which paths are safe, which are wanted."""

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbt_trigger_dagster.artifacts.paths import (
    OF_THE_RUN,
    Artifact,
    check_patterns,
    find_clashes,
    matches,
    safe_path,
)
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.files import FolderWriter

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
    "a/" * 100 + "a",
]


@pytest.mark.parametrize("path", EVIL_PATHS, ids=ascii)
def test_a_path_that_could_leave_its_folder_is_refused(path) -> None:
    """So is one that no file system takes."""
    with pytest.raises(StorageError, match="not safe to store"):
        safe_path(path)


def test_a_path_of_the_length_of_a_book_is_told_in_short() -> None:
    """A failure is stored and shown with all that it says."""
    with pytest.raises(StorageError, match="not safe to store") as caught:
        safe_path("x" * 500_000)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "path", ["manifest.json", "a/b/c.sql", "...", "..a", "a..", "steps.sql", "a/steps", *ODD_NAMES]
)
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


@pytest.mark.parametrize("path", ["steps/4/manifest.json", ".partial-x/a.json", ".Partial.new-x"])
def test_a_path_that_could_meet_our_own_files_is_refused(path: str) -> None:
    """Two artifacts in one file, or a file that the next download removes, is one too few.

    In any case: on some file systems "Steps" is "steps".
    """
    with pytest.raises(StorageError, match="not safe"):
        safe_path(path)


def test_what_is_no_pattern_is_told_at_once() -> None:
    """Not when the run is over."""
    check_patterns(["**", "*.json", "[", ""])
    with pytest.raises(ValueError, match=r"'\*\*\.json' cannot be used"):
        check_patterns(["*.json", "**.json"])


# Clashes


def as_macos_has_it(one: str, other: str) -> bool:
    """Neither case nor the form of an accent counts."""
    first, second = (unicodedata.normalize("NFD", name).casefold() for name in (one, other))
    return first == second


def _artifacts(*paths: str) -> list[Artifact]:
    return [Artifact(1, OF_THE_RUN, path) for path in paths]


def _tell_apart(one: str, other: str) -> bool:  # as where case counts
    return False


def test_an_artifact_is_named_as_people_would() -> None:
    """In messages about what cannot be had."""
    assert str(Artifact(1, OF_THE_RUN, "manifest.json")) == "manifest.json"
    assert str(Artifact(1, 4, "manifest.json")) == "manifest.json of step 4"


def test_a_file_system_is_asked_only_about_names_that_may_be_one() -> None:
    """Big projects have thousands of names; trying them all would take longer than they do."""
    asked = []

    def same_name(one: str, other: str) -> bool:
        asked.append((one, other))
        return False

    names = _artifacts("a", "b", "A", "x/b", "x/a", "X/a", "\u00e9", "e\u0301", "\u212a", "k")
    assert find_clashes([*names, *names], same_name) == {}
    pairs = [("a", "A"), ("x", "X"), ("\u00e9", "e\u0301"), ("\u212a", "k")]
    assert asked == pairs


def test_a_folder_that_is_one_with_another_is_no_clash() -> None:
    """The files in it are others, and all of them can be had."""
    assert find_clashes(_artifacts("A/x", "a/y", "a/z/1", "A/Z/2"), as_macos_has_it) == {}


def test_a_file_that_is_one_with_a_folder_is_a_clash() -> None:
    """In any order, and whatever their case."""
    for paths in (("a", "A/b"), ("A/b", "a"), ("x/y/z", "X/Y")):
        (clashing,) = find_clashes(_artifacts(*paths), as_macos_has_it)
        assert clashing.path == paths[1]


def test_what_is_out_of_the_way_is_in_nobody_elses() -> None:
    """An artifact that is not stored keeps no place for itself."""
    assert [
        each.path for each in find_clashes(_artifacts("a", "A/b", "A/b/c"), as_macos_has_it)
    ] == [
        "A/b",
        "A/b/c",
    ]
    found = find_clashes(_artifacts("../x", "x", "a/b", "A", "a/B", "a/c"), as_macos_has_it)
    assert [each.path for each in found] == ["A", "a/B"]


def _writer(folder: Path) -> FolderWriter:
    return FolderWriter(folder, folder)


def test_a_file_system_is_tried_and_left_as_it_was(tmp_path) -> None:
    """Names that are the same are one everywhere, and those that are not alike nowhere."""
    assert _writer(tmp_path).is_same_name("a", "a")
    assert not _writer(tmp_path).is_same_name("a", "b")
    assert not _writer(tmp_path).is_same_name("x" * 300, "X" * 300)
    assert list(tmp_path.iterdir()) == []


NAMES = st.sampled_from(["a", "A", "b", "é", "e\u0301", "É", "ß", "SS", "ss", "\u212a", "k"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.lists(PATHS, max_size=12), st.sampled_from([as_macos_has_it, _tell_apart]))
def test_no_two_artifacts_ever_share_a_place(paths, same_name) -> None:
    """What is left can be stored side by side, and nothing else was taken out."""
    artifacts = list(dict.fromkeys(_artifacts(*paths)))
    clashes = find_clashes(artifacts, same_name)
    stored: list[list[str]] = []
    for artifact in artifacts:
        parts = artifact.path.split("/")
        in_the_way = any(
            all(
                one == other or same_name(one, other)
                for one, other in zip(parts, others, strict=False)
            )
            for others in stored
        )
        assert (artifact in clashes) == in_the_way
        if not in_the_way:
            stored.append(parts)


@given(st.lists(PATHS, max_size=6))
def test_what_can_be_stored_is_stored_where_it_says(paths) -> None:
    """On the file system at hand, whichever that is."""
    with tempfile.TemporaryDirectory() as folder:
        trial, root = Path(folder, "trial"), Path(folder, "root")
        trial.mkdir()
        artifacts = dict.fromkeys(_artifacts(*paths))
        clashes = find_clashes(artifacts, _writer(trial).is_same_name)
        stored = [artifact for artifact in artifacts if artifact not in clashes]
        for artifact in stored:
            file = root / artifact.place
            file.parent.mkdir(parents=True, exist_ok=True)
            assert not file.exists()
            file.write_text(artifact.path)
        for artifact in stored:
            assert (root / artifact.place).read_text() == artifact.path
