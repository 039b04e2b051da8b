"""Which manifest counts: a file's, or the newest run's of each project below a folder."""

import logging
from pathlib import Path

import pytest

from dbt_trigger_dagster.artifacts.stored_manifests import find_projects
from dbt_trigger_dagster_tests.artifacts.projects import manifest_of, node, stored


def _found(place: Path) -> dict[str, list[str]]:
    """Names of projects, and the ids of their nodes."""
    return {each.name: list(each.manifest.nodes) for each in find_projects(place)}


def test_a_file_is_read(tmp_path: Path) -> None:
    """With the project's name and the kind of its warehouse."""
    file = stored(tmp_path, manifest_of(node("model.shop.orders")))
    (project,) = find_projects(file)
    assert (project.name, project.adapter) == ("shop", "duckdb")
    assert list(project.manifest.nodes) == ["model.shop.orders"]
    assert _found(file) == _found(tmp_path)  # a run's own folder


@pytest.mark.parametrize("place", ["", "1", "1/300"])
def test_of_a_folder_the_newest_run_counts(tmp_path: Path, place: str) -> None:
    """As a number: run 100 is newer than run 99. What steps left is not looked at."""
    stored(tmp_path / "1/300/99", manifest_of(node("model.shop.old")))
    stored(tmp_path / "1/300/100", manifest_of(node("model.shop.new")))
    stored(tmp_path / "1/300/100/steps/4", manifest_of(node("model.shop.of_a_step")))
    (tmp_path / "1/300/101").mkdir()  # it left none
    assert _found(tmp_path / place) == {"shop": ["model.shop.new"]}


def test_what_is_published_is_no_run(tmp_path: Path) -> None:
    """Its folder has a job's id where a run's would stand, which may be the higher number."""
    stored(tmp_path / "1/300/9", manifest_of(node("model.shop.new")))
    stored(tmp_path / "latest/1/300", manifest_of(node("model.shop.published")))
    assert _found(tmp_path) == {"shop": ["model.shop.new"]}


def test_each_project_counts_once(tmp_path: Path) -> None:
    """Two jobs of one project are one project, as its newest run had it."""
    stored(tmp_path / "1/300/7", manifest_of(node("model.shop.nightly")))
    stored(tmp_path / "1/301/8", manifest_of(node("model.shop.hourly")))
    stored(tmp_path / "1/302/6", manifest_of(node("model.bank.loans"), project="bank"))
    assert _found(tmp_path) == {"shop": ["model.shop.hourly"], "bank": ["model.bank.loans"]}


def test_a_folder_may_have_none_yet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Or not be there yet: the first run that is landed makes it."""
    with caplog.at_level(logging.WARNING):
        assert find_projects(tmp_path / "1" / "300") == []
    assert "has no manifest yet" in caplog.text


@pytest.mark.parametrize("content", ["{", "[]", '{"metadata": {"project_name": "shop"}, '])
def test_a_stored_manifest_that_is_broken_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    """The code location is loaded all the same."""
    stored(tmp_path / "1/300/9", content)
    stored(tmp_path / "1/301/8", manifest_of(node("model.shop.orders")))
    assert _found(tmp_path) == {"shop": ["model.shop.orders"]}
    assert "is no manifest" in caplog.text


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("s3://bucket/artifacts", "is a URL"),
        ("gone/manifest.json", "is not there"),
    ],
)
def test_what_is_no_place_is_refused(place: str, reason: str) -> None:
    """With what to do."""
    with pytest.raises(ValueError, match=reason):
        find_projects(place)


def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    """A person has named it."""
    with pytest.raises(ValueError, match="is no manifest"):
        find_projects(stored(tmp_path, "[1]"))
