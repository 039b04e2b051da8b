"""The report: what is in it, and that it stays data whatever dbt says."""

import html.parser
import json
from collections.abc import Iterable
from typing import Any

import pytest

from dbt_trigger_dagster.artifacts.report import report_html
from dbt_trigger_dagster_tests.artifacts.test_timeline import at, node, step

RUN = {
    "id": 70403103922125999,
    "job_name": "Shop nightly build",
    "status": 20,
    "status_humanized": "Error",
    "href": "https://ab123.us1.dbt.com/deploy/1/projects/2/runs/3/",
    "started_at": at(0),
    "queued_duration_seconds": 8,
    "run_duration_seconds": 275,
}


class _Page(html.parser.HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, pieces: Iterable[str]) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self._in_data = False
        self.feed("".join(pieces))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_data = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  # the base class calls it so
        self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data


def content(*nodes: dict[str, Any], **more: Any) -> Any:
    """The data that the page's script is given."""
    return json.loads(_Page(report_html(RUN, [step()], list(nodes), **more)).data)


def test_the_run_is_told() -> None:
    """The id is text: a browser's numbers end at 2^53."""
    run = content()["run"]
    assert run["id"] == "70403103922125999"
    assert (run["job"], run["status"], run["kind"]) == ("Shop nightly build", "Error", "failed")
    assert run["started"] == "2026-11-29 06:00:00 UTC"


def test_durations_and_statuses_stand_on_top() -> None:
    """What people look for first."""
    facts = content(node(), node(2, status="error"), node(3, executed=False))["facts"]
    assert facts == [
        ["waiting", "8 s"],
        ["running", "4 min 35 s"],
        ["nodes: error", "1"],
        ["nodes: success", "1"],
    ]


def test_a_failed_test_has_its_compiled_sql_and_since_when_it_fails() -> None:
    """That is what people copy into their warehouse."""
    failed = node(status="fail", resource_type="test", message="Got 3 results", owner="team:data")
    (told,) = content(
        failed,
        node(2),
        compiled={failed["unique_id"]: "select 1"},
        since={failed["unique_id"]: "failing since 12 runs"},
    )["failing"]
    assert (told["name"], told["sql"], told["since"]) == (
        "orders_1",
        "select 1",
        "failing since 12 runs",
    )


def test_models_that_failed_stand_before_tests() -> None:
    """Whatever broke a model broke its tests."""
    test, model = node(1, status="fail", resource_type="test"), node(2, status="error")
    assert [each["name"] for each in content(test, model)["failing"]] == ["orders_2", "orders_1"]


def test_a_node_that_was_only_compiled_is_not_among_the_nodes() -> None:
    """It did nothing."""
    assert content(node(executed=False))["nodes"] == []


def test_the_page_is_told_what_each_status_comes_to() -> None:
    """The words stand in one place, and not in the page's script once more."""
    nodes = [node(1), node(2, status="runtime error"), node(3, status=None), node(4, status="warn")]
    assert content(*nodes)["kinds"] == {
        "success": "good",
        "runtime error": "failed",
        "unknown": "other",
        "warn": "warned",
    }


def test_times_are_seconds_from_the_beginning() -> None:
    """The first step begins at 0."""
    (told,) = content(node(1))["nodes"]
    assert (told["begin"], told["end"]) == (1.0, 3.0)


def test_a_step_that_was_never_over_spans_its_nodes() -> None:
    """A step that was killed may have no end in dbt Cloud; its nodes are drawn all the same."""
    killed = step(finished_at=None, status=30)
    told = json.loads(_Page(report_html(RUN, [killed], [node(1), node(4, step=5)])).data)["steps"]
    assert told == [
        {"step": 3, "name": killed["name"], "begin": 0.0, "end": 2.0, "kind": "failed"},
        {"step": 5, "name": "Step 5", "begin": 3.0, "end": 5.0, "kind": "other"},
    ]


@pytest.mark.parametrize(
    "said",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "<img src=x onerror=alert(1)>",
        "\u2028\u2029\x00",
        '"],"run":{}',
    ],
)
def test_what_dbt_says_stays_data(said) -> None:
    """In every place where it stands; the page's tags are the same as without it."""
    evil = node(name=said, message=said, owner=said, status="error", unique_id=said)
    run = {**RUN, "job_name": said, "cause": said, "status_message": said, "git_branch": said}
    page = _Page(report_html(run, [step(name=said)], [evil], changes=[said], compiled={said: said}))
    assert page.tags == _Page(report_html(RUN, [step()], [node()])).tags
    found = json.loads(page.data)
    assert found["failing"][0]["sql"] == found["run"]["job"] == found["changes"][0] == said


def test_the_page_asks_for_nothing() -> None:
    """No script, style, font or picture from elsewhere, and a policy that forbids them."""
    tags = _Page(report_html(RUN, [step()], [node()])).tags
    assert not [tag for tag, attributes in tags if {"src", "href"} & attributes.keys()]
    policies = [
        attributes["content"]
        for _, attributes in tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'")


def test_a_message_without_end_is_cut() -> None:
    """And says how long it was."""
    (told,) = content(node(status="error", message="x" * 100_000))["failing"]
    assert told["message"].endswith("… (100,000 characters)")
    assert len(told["message"]) < 21_000


def test_the_history_marks_bad_runs() -> None:
    """Each past run is a bar of the small charts."""
    past = [{"id": 1, "status": 20, "run_duration_seconds": 5}, {"id": 2, "status": 10}]
    assert [run["kind"] for run in content(history=past)["history"]] == ["failed", "good"]
