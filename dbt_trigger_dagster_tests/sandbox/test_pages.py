"""The sandbox's pages, as a browser gets them: without a token."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
import requests

from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob, Script, ScriptStep
from dbt_trigger_dagster_tests.sandbox.test_client import Api

SCRIPT = "<script>alert(1)</script>"
HOSTILE = SandboxJob(
    name=f"{SCRIPT}name",
    description=f"{SCRIPT}description",
    execute_steps=(f"dbt build {SCRIPT}command",),
    target_name=f"{SCRIPT}target",
    script=Script(
        outcome="error",
        status_message=f"{SCRIPT}message",
        steps=(
            ScriptStep(f"{SCRIPT}step", f"{SCRIPT}log \x1b[31mred\x1b[0m", {f"{SCRIPT}file": "x"}),
        ),
    ),
)
QUICK = SandboxJob(
    name="quick",
    script=Script(artifacts={"index.html": "<script>docs</script>", "compiled/a b.sql": "select"}),
)
ENDLESS = SandboxJob(name="endless", script=Script(seconds=3600))


@pytest.fixture
def api() -> Iterator[Api]:
    """A sandbox with a job that ends well, a hostile one, and one that never ends."""
    with Sandbox([QUICK, HOSTILE, ENDLESS]) as sandbox, Api(sandbox) as api:
        yield api


def page(address: str, status: int = 200) -> str:
    """What a browser gets of an address."""
    response = requests.get(address, timeout=10)
    assert response.status_code == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response.text


def test_the_link_to_a_run_opens_its_page(api: Api) -> None:
    """With its status, its cause, each step with its log, and its artifacts."""
    run = api.finished_run(api.trigger()["id"])
    shown = page(run["href"])
    assert "✓ Success" in shown
    assert f"run {run['id']}" in shown
    assert "a test" in shown
    for step in run["run_steps"]:
        assert step["name"] in unescape(shown)
        assert all(line in unescape(shown) for line in step["logs"].split("\n"))
    assert "compiled/a b.sql" in shown


def test_all_links_of_the_pages_lead_somewhere(api: Api) -> None:
    """From the root on, to each job, run and artifact."""
    for position in range(3):
        api.trigger(position)
    api.finished_run(api.trigger()["id"])
    to_see, seen = [f"{api.sandbox.access_url}/"], set()
    while to_see:
        address = to_see.pop()
        if address in seen:
            continue
        seen.add(address)
        response = requests.get(address, timeout=10)
        assert response.status_code == 200, address
        links = re.findall(r'href="([^"]*)"', response.text)
        to_see += [f"{api.sandbox.access_url}{unescape(link)}" for link in links]
    # the root and the account, three jobs, four runs, three files of two runs and one
    assert len(seen) == 2 + 3 + 4 + 2 * 2 + 1


def test_a_run_that_goes_on_is_looked_at_again_by_itself(api: Api) -> None:
    """And says what it waits for; one that is over is left alone."""
    first, second = api.trigger(2), api.trigger(2)
    assert 'http-equiv="refresh"' in page(first["href"])
    assert f"run {first['id']}</a>: a job has one run at a time" in page(second["href"])
    over = api.finished_run(api.trigger()["id"])
    assert "refresh" not in page(over["href"])


def test_whatever_people_wrote_is_text(api: Api) -> None:
    """In names, descriptions, commands, messages, logs, causes and the names of files."""
    run = api.finished_run(api.trigger(1, cause=f"{SCRIPT}cause")["id"])
    project = run["href"].partition("runs/")[0]
    addresses = [f"{api.sandbox.access_url}/", run["href"], f"{project}jobs/{run['job_id']}/"]
    shown = "".join(map(page, addresses))
    for what in [
        "name",
        "description",
        "command",
        "target",
        "message",
        "step",
        "log",
        "file",
        "cause",
    ]:
        assert f"&lt;script&gt;alert(1)&lt;/script&gt;{what}" in shown
    assert "<script" not in shown
    assert "\x1b" not in shown


def test_the_pages_run_no_script_and_ask_nobody_else(api: Api) -> None:
    """Even if something should not have been escaped; dbt's docs have scripts, of their own."""
    run = api.finished_run(api.trigger()["id"])
    for address, scripts in ((run["href"], "'none'"), (f"{run['href']}artifacts/index.html", "")):
        headers = requests.get(address, timeout=10).headers
        policy = headers["content-security-policy"]
        assert policy.startswith(f"default-src {scripts or chr(39) + 'self' + chr(39)}")
        assert "form-action 'none'" in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/deploy/101/projects/2001/runs/5/",
        "/deploy/101/projects/2001/jobs/5/",
        "/deploy/7/",
        "/deploy/101/projects/2001/runs/5/artifacts/manifest.json",
    ],
)
def test_what_is_not_there_is_a_page_that_leads_on(api: Api, path: str) -> None:
    """As a link to a run of an earlier start."""
    shown = page(f"{api.sandbox.access_url}{path}", 404)
    assert f'href="/deploy/{api.sandbox.account_id}/"' in shown


def test_a_page_is_found_without_its_last_slash(api: Api) -> None:
    """People type addresses."""
    assert "quick" in page(f"{api.sandbox.access_url}/deploy/{api.sandbox.account_id}")


def test_an_artifact_outside_of_the_run_is_not_there(api: Api) -> None:
    """Neither by dots nor by their escapes."""
    run = api.finished_run(api.trigger()["id"])
    page(f"{run['href']}artifacts/%2e%2e/%2e%2e/etc/passwd", 404)


def test_the_pages_change_nothing(api: Api) -> None:
    """Without a token, nobody can do more than look."""
    address = api.trigger(2)["href"]
    assert requests.post(address, timeout=10).status_code in {401, 405}
    assert requests.delete(f"{api.sandbox.access_url}/", timeout=10).status_code in {401, 405}


def test_on_all_addresses_there_are_no_pages_without_a_token() -> None:
    """Logs and artifacts are for this machine only."""
    with Sandbox([QUICK], host="0.0.0.0") as sandbox, Api(sandbox) as api:  # noqa: S104  # what is tested
        href = api.finished_run(api.trigger()["id"])["href"]
        for address in (href, f"{sandbox.access_url}/", f"{href}artifacts/index.html"):
            assert requests.get(address, timeout=10).status_code == 401
