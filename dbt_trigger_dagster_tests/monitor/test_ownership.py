"""Whose a finished run is: by the tables, by its marker, by the run that it retries, by its job."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from dbt_trigger_dagster.assets.job import JobGraph, JobReference
from dbt_trigger_dagster.dbt_cloud.marker import marker
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.monitor.ownership import (
    Ownership,
    Records,
    dagster_run_id_of,
    marker_key,
)

OURS = "0e3c6a5e-run"


def a_graph(prefix: str = "", **job: Any) -> JobGraph:
    """The graph with a key prefix."""
    return JobGraph(JobReference(**job), tuple(filter(None, prefix.split("/"))))


ONE = a_graph("one", job_id=1)
TWO = a_graph("two", job_id=2)
NAMED = a_graph("named", job_name="Nightly")


def a_run(run_id: int = 10, job_id: int = 1, cause: str = "", **fields: Any) -> Run:
    """A finished run, as a list tells of it."""
    payload = {"id": run_id, "job_id": job_id, "status": 10, "trigger": {"cause": cause}, **fields}
    return Run.from_payload(payload)


def owner(
    run: Run,
    *listed: Run,
    graphs: Collection[JobGraph] = (ONE, TWO, NAMED),
    triggered: Mapping[int, str] | None = None,
    landed: Mapping[int, str] | None = None,
    external: bool = False,
) -> JobGraph | None:
    """Whose a run is, of these graphs."""
    records = Records(triggered or {}, landed or {}, {OURS: False})
    runs = {each.run_id: each for each in [run, *listed]}
    return Ownership(list(graphs), records, runs, external).graph_of(run)


# What a run says


def test_the_key_of_a_marker_is_read_back() -> None:
    """With the prefix of the graph, and without."""
    assert marker_key(a_run(cause=f"Month end {marker('abc/nightly/eu')}")) == "abc/nightly/eu"
    assert dagster_run_id_of(a_run(cause=marker("abc/nightly/eu"))) == "abc"
    assert dagster_run_id_of(a_run(cause=marker("abc"))) == "abc"


@pytest.mark.parametrize(
    "cause", ["", "by hand", "[dagster ]", "[dagster abc] and more", "[airflow abc]"]
)
def test_a_cause_without_a_marker_at_its_end_has_no_key(cause: str) -> None:
    """Somebody may mention Dagster."""
    assert marker_key(a_run(cause=cause)) is None
    assert dagster_run_id_of(a_run(cause=cause)) is None


def test_what_a_run_does_not_say_is_not_guessed() -> None:
    """Fields may be null or of another type."""
    assert a_run(job=None).job_name is None
    assert a_run(job={"name": 7}).job_name is None


# By the tables


def test_a_triggered_run_belongs_to_the_graph_that_triggered_it() -> None:
    """Also where a run's config has named another graph's job."""
    run = a_run(job_id=2)
    assert owner(run, triggered={10: "one/trigger_response"}) is ONE


@pytest.mark.parametrize("external", [False, True])
def test_a_run_that_other_assets_triggered_is_none_of_ours(external: bool) -> None:  # noqa: FBT001  # a case
    """They share the tables and have a monitor of their own."""
    run = a_run(cause=marker(f"{OURS}/one"))
    assert owner(run, triggered={10: "else/trigger_response"}, external=external) is None


def test_who_triggered_a_run_counts_more_than_who_landed_it() -> None:
    """Somebody may have landed another graph's run by hand."""
    known = {"triggered": {9: "two/trigger_response"}, "landed": {9: "one/run_result"}}
    assert owner(a_run(10, retrying_run_id=9), **known) is TWO


# By the marker


def test_a_run_whose_trigger_was_killed_belongs_to_its_job() -> None:
    """The marker says that Dagster wanted it, although no row does."""
    assert owner(a_run(cause=marker(f"{OURS}/one"))) is ONE
    assert owner(a_run(cause=marker(OURS), job_id=2)) is TWO


def test_of_several_graphs_of_a_job_the_markers_key_names_one() -> None:
    """By its prefix; where it names none, the first one counts."""
    graphs = [a_graph(job_id=1), a_graph("eu", job_id=1), a_graph("eu/west", job_id=1)]
    for graph, key in zip(graphs, [OURS, f"{OURS}/eu", f"{OURS}/eu/west"], strict=True):
        assert owner(a_run(cause=marker(key)), graphs=graphs) is graph
    assert owner(a_run(cause=marker(f"{OURS}/0123456789ab")), graphs=graphs) is graphs[0]


def test_a_marker_of_another_job_is_none_of_ours() -> None:
    """Another code location may have a graph of the same prefix."""
    assert owner(a_run(cause=marker(f"{OURS}/one"), job_id=3)) is None


def test_the_marker_of_another_dagster_makes_a_run_external() -> None:
    """A staging deployment may run the same job, and keeps tables of its own."""
    run = a_run(cause=marker("somebody-elses-run"))
    assert owner(run) is None
    assert owner(run, external=True) is ONE


# By the run that it retries


@pytest.mark.parametrize(
    "known",
    [
        {"triggered": {9: "two/trigger_response"}},
        {"landed": {9: "two/run_result"}},
    ],
)
def test_a_retry_belongs_to_whom_the_retried_run_belongs(known: dict[str, Any]) -> None:
    """Its own cause has no marker; the tables hold the run that failed."""
    assert owner(a_run(retrying_run_id=9), **known) is TWO


def test_a_retry_of_a_retry_is_followed_through_the_list() -> None:
    """To the first run, which has a marker."""
    first = a_run(8, cause=marker(f"{OURS}/one"))
    second = a_run(9, retrying_run_id=8)
    assert owner(a_run(10, retrying_run_id=9), first, second) is ONE


def test_a_retry_of_an_unknown_run_is_external() -> None:
    """Nothing says that Dagster wanted the first."""
    assert owner(a_run(retrying_run_id=9)) is None
    assert owner(a_run(retrying_run_id=9), external=True) is ONE


def test_a_retry_of_other_assets_run_is_none_of_ours() -> None:
    """Not even as an external run."""
    run = a_run(retrying_run_id=9)
    assert owner(run, triggered={9: "else/trigger_response"}, external=True) is None


def test_runs_that_retry_each_other_do_not_keep_a_tick() -> None:
    """Whatever dbt Cloud says."""
    assert owner(a_run(9, retrying_run_id=10), a_run(10, retrying_run_id=9)) is None
    assert owner(a_run(9, retrying_run_id=9)) is None


# By the job


def test_an_external_run_is_landed_only_where_it_is_wanted() -> None:
    """By the job's number, or by its exact name."""
    by_name = a_run(job_id=3, job={"name": "Nightly"})
    for run, graph in [(a_run(), ONE), (a_run(job_id=2), TWO), (by_name, NAMED)]:
        assert owner(run) is None
        assert owner(run, external=True) is graph


def test_a_run_of_another_job_is_nobodys() -> None:
    """Its name must be the same, letter for letter."""
    assert owner(a_run(job_id=3), external=True) is None
    assert owner(a_run(job_id=3, job={"name": "nightly"}), external=True) is None


def test_a_graph_without_a_job_gets_what_it_has_triggered() -> None:
    """Its job stands in the run config, or its variable is not set."""
    graph = a_graph()
    assert owner(a_run(), graphs=[graph], external=True) is None
    assert owner(a_run(), graphs=[graph], triggered={10: "trigger_response"}) is graph
