"""The sandbox over real HTTP: envelopes, errors, lists, and runs that follow a script."""

import threading
from collections.abc import Iterator

import pytest
import requests

from dbt_trigger_dagster.sandbox import (
    GeneratedBytes,
    Sandbox,
    SandboxError,
    SandboxJob,
    Script,
    ScriptStep,
)
from dbt_trigger_dagster.sandbox.api.access import own_hosts
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.sandbox.test_client import Api

NOT_FOUND = (
    "The requested resource was not found. Please check that you have the proper permissions."
)
JOBS = [
    SandboxJob(
        name="quick",
        execute_steps=("dbt seed", "dbt build"),
        generate_docs=True,
        script=Script(
            artifacts={"manifest.json": b'{"nodes": {}}', "compiled/a b.sql": "select 1"}
        ),
    ),
    SandboxJob(name="endless", script=Script(seconds=3600)),
    SandboxJob(name="failing", script=[Script(outcome="error"), Script()]),
]


@pytest.fixture
def api() -> Iterator[Api]:
    """A sandbox with a job that ends at once, one that never ends, and one that fails once."""
    with Sandbox(jobs=JOBS) as sandbox, Api(sandbox) as api:
        yield api


def test_a_trigger_answers_with_a_queued_run_that_has_its_trigger_and_job(api: Api) -> None:
    """The answer is as recorded from the service: status 1, trigger and job there, no steps."""
    run = api.trigger(git_branch="main", threads_override=2)
    assert (run["status"], run["status_humanized"], run["in_progress"]) == (1, "Queued", True)
    assert run["trigger"]["cause"] == "a test"
    assert run["trigger"]["git_branch"] == "main"
    assert run["trigger"]["threads_override"] == 2
    assert run["trigger"]["schema_override"] is None
    assert run["job"]["name"] == "quick"
    assert (run["environment"], run["run_steps"], run["git_branch"]) == (None, [], None)
    assert run["retry_not_supported_reason"] == "RETRY_NOT_FAILED_RUN"
    assert run["job_id"] == run["job_definition_id"] == api.sandbox.jobs[0].id


def test_a_trigger_that_names_no_branch_is_told_with_the_branch(api: Api) -> None:
    """Recorded triggers have one whoever asked for it; the run itself gets its own later."""
    run = api.trigger()
    assert (run["trigger"]["git_branch"], run["git_branch"]) == ("main", None)


def test_a_run_brings_along_only_what_was_asked_for(api: Api) -> None:
    """Without include_related the related objects are null and the steps are empty."""
    run = api.data(f"/runs/{api.trigger()['id']}/")
    assert (run["status"], run["trigger"], run["job"], run["environment"]) == (10, None, None, None)
    assert run["run_steps"] == []


@pytest.mark.parametrize(
    "spelling",
    [
        "run_steps,job",
        '["run_steps", "job"]',
        "['run_steps','job']",
        '["run_steps",,"job"]',
        ["job", "run_steps"],
    ],
)
def test_include_related_is_read_in_every_spelling_that_clients_use(api: Api, spelling) -> None:
    """Commas, JSON lists, Python lists, stray commas and repeated keys all mean the same."""
    run = api.data(f"/runs/{api.trigger()['id']}/", include_related=spelling)
    assert run["job"]["name"] == "quick"
    assert [step["name"] for step in run["run_steps"]] == [
        "Clone git repository",
        "Create profile from connection duckdb",
        "Invoke dbt with `dbt deps`",
        "Invoke dbt with `dbt seed`",
        "Invoke dbt with `dbt build`",
        "Invoke dbt with `dbt docs generate`",
    ]


def test_a_step_can_be_had_by_its_id(api: Api) -> None:
    """The steps endpoint gives the same step as the run does."""
    step = api.run(api.trigger()["id"])["run_steps"][3]
    assert api.data(f"/steps/{step['id']}/") == step
    assert step["run_step_command"] == {"run_step_id": step["id"], "dbt_command": "dbt seed"}


def test_timestamps_are_written_as_dbt_cloud_writes_them(api: Api) -> None:
    """Runs use a space, jobs a T, and jobs within runs a Z."""
    run = api.trigger()
    assert run["created_at"][10] == " "
    assert run["created_at"].endswith("+00:00")
    assert run["job"]["created_at"].endswith("Z")
    job = api.data(f"/jobs/{run['job_id']}/")
    assert job["created_at"][10] == "T"
    assert job["created_at"].endswith("+00:00")


def test_a_wrong_token_is_a_401_and_a_missing_one_says_so(api: Api) -> None:
    """Both are refused, in two different bodies."""
    wrong = requests.get(f"{api.root}/", headers={"Authorization": "Token no"}, timeout=10)
    assert wrong.status_code == 401
    assert wrong.json()["status"]["user_message"] == "Invalid token."
    missing = requests.get(f"{api.root}/", timeout=10)
    assert missing.status_code == 401
    assert missing.json() == {"detail": "Authentication credentials were not provided."}


def test_each_sandbox_has_a_token_of_its_own() -> None:
    """Nobody knows it who was not told: what a published one opens runs dbt as its user."""
    tokens = {Sandbox(jobs=JOBS).token for _ in range(10)}
    assert len(tokens) == 10
    assert min(map(len, tokens)) >= 40


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::2]:80", ""])
@pytest.mark.parametrize("path", ["/api/v2/accounts/", "/sandbox/requests"])
def test_another_host_than_the_sandboxs_own_is_refused(api: Api, host: str, path: str) -> None:
    """A web page whose name was made to point to this machine gets nothing, token or not."""
    url = f"{api.sandbox.access_url}{path}"
    response = api.session.get(url, headers={"Host": host}, timeout=10)
    assert (response.status_code, response.text) == (400, "Invalid host header")
    assert api.sandbox.requests == []


def test_the_sandbox_answers_to_its_address_and_to_localhost(api: Api) -> None:
    """Whichever port is written beside it, for a tunnel may have another."""
    url = f"{api.sandbox.access_url}/api/v2/accounts/"
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8580"):
        response = api.session.get(url, headers={"Host": host}, timeout=10)
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", ["127.0.0.1", "localhost"]),
        ("localhost", ["localhost", "localhost"]),
        ("::1", ["[::1]", "localhost"]),
        ("192.0.2.7", ["192.0.2.7"]),
        ("0.0.0.0", ["*"]),  # noqa: S104  # nobody listens there
        ("::", ["*"]),
    ],
)
def test_the_names_that_a_sandbox_answers_to_follow_from_its_address(host, names) -> None:
    """On all addresses it may have any; what it serves then needs the token."""
    assert own_hosts(host) == names


def test_a_bearer_token_is_as_good(api: Api) -> None:
    """Both schemes of the Authorization header are taken."""
    headers = {"Authorization": f"Bearer {api.sandbox.token}"}
    assert requests.get(f"{api.root}/", headers=headers, timeout=10).status_code == 200


def test_another_account_is_a_403(api: Api) -> None:
    """A token that is not for the account never sees a 404."""
    response = api.session.get(f"{api.sandbox.access_url}/api/v2/accounts/7/jobs/", timeout=10)
    assert response.status_code == 403
    message = response.json()["status"]["user_message"]
    assert message == "Access denied: Token is not scoped to account."


@pytest.mark.parametrize("path", ["/jobs/5/", "/runs/5/", "/steps/5/", "/projects/5/", "/nothing/"])
def test_what_does_not_exist_is_a_404_with_an_envelope(api: Api, path: str) -> None:
    """Unknown ids and unknown paths answer alike."""
    response = api.get(path)
    assert response.status_code == 404
    assert response.json()["status"]["user_message"] == NOT_FOUND
    assert response.json()["data"] is None


def test_a_wrong_method_is_a_405_without_an_envelope(api: Api) -> None:
    """The body is the framework's."""
    response = api.get(f"/jobs/{api.sandbox.jobs[0].id}/run/")
    assert response.status_code == 405
    assert response.json() == {"detail": 'Method "GET" not allowed.'}


def test_a_missing_slash_is_redirected_with_the_method_kept(api: Api) -> None:
    """A 308 lets a POST arrive as a POST."""
    response = api.post(f"/jobs/{api.sandbox.jobs[0].id}/run", {"cause": "no slash"})
    assert [step.status_code for step in response.history] == [308]
    assert response.json()["data"]["trigger"]["cause"] == "no slash"


@pytest.mark.parametrize(
    ("body", "wrong_field"),
    [
        ({"cause": ""}, "cause"),
        ({"cause": "x" * 256}, "cause"),
        ({"cause": "x", "threads_override": "4"}, "threads_override"),
        ({"cause": "x", "threads_override": True}, "threads_override"),
        ({"cause": "x", "threads_override": 4.0}, "threads_override"),
        ({"cause": "x", "threads_override": -3}, "threads_override"),
        ({"cause": "x", "timeout_seconds_override": -3}, "timeout_seconds_override"),
        ({"cause": "x", "steps_override": []}, "steps_override"),
        ({"cause": "x", "steps_override": [1]}, "steps_override"),
        ({"cause": "x", "github_pull_request_id": 10**30}, "github_pull_request_id"),
        ({"cause": "x", "generate_docs_override": 1}, "generate_docs_override"),
        ({"cause": "x", "steps_override": "dbt build"}, "steps_override"),
        ({"cause": "x", "git_branch": ""}, "git_branch"),
    ],
)
def test_an_invalid_trigger_is_a_400_that_names_the_field(api: Api, body, wrong_field) -> None:
    """The data says which field is wrong, and no run is started."""
    response = api.post(f"/jobs/{api.sandbox.jobs[0].id}/run/", body)
    assert response.status_code == 400
    assert set(response.json()["data"]) == {wrong_field}
    assert api.data("/runs/") == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "'cause' is a required property"),
        ([], "[] is not of type 'object'"),
        (
            {"cause": "x", "git_branch": "y", "git_sha": "z"},
            "git_branch and git_sha cannot both be given",
        ),
        (
            {"cause": "x", "branch": "y"},
            "Additional properties are not allowed ('branch' was unexpected)",
        ),
        (
            {"cause": "x", "b": 1, "a": 2},
            "Additional properties are not allowed ('a', 'b' were unexpected)",
        ),
    ],
)
def test_a_body_that_is_no_trigger_is_a_400_in_dbt_clouds_words(api: Api, body, problem) -> None:
    """A misspelt override is never ignored, and a cause is never made up."""
    response = api.post(f"/jobs/{api.sandbox.jobs[0].id}/run/", body)
    assert (response.status_code, response.json()["data"]) == (400, problem)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"cause": "\\ud800"}',
        b'{"cause": "x", "threads_override": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"cause": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"cause": "x", "threads_override": 1e400}',
    ],
    ids=["nothing", "half", "bytes", "surrogate", "digits", "brackets", "nested", "infinity"],
)
def test_nonsense_in_a_trigger_is_a_400_and_leaves_no_run(api: Api, body: bytes) -> None:
    """The run does not start, and what comes later is answered as if nothing had been."""
    path = f"{api.root}/jobs/{api.sandbox.jobs[0].id}/run/"
    response = api.session.post(path, data=body, timeout=10)
    assert response.status_code == 400
    assert response.json()["data"]
    assert api.data("/runs/", include_related="trigger") == []


@pytest.mark.parametrize("path", ["/runs/{0}/", "/jobs/{0}/", "/steps/{0}/", "/projects/{0}/"])
def test_an_id_of_5000_digits_is_a_400_that_says_so(api: Api, path: str) -> None:
    """In the path, and of an account too."""
    response = api.get(path.format("9" * 5000))
    assert response.status_code == 400
    assert "is greater than the maximum" in response.json()["data"]
    url = f"{api.sandbox.access_url}/api/v2/accounts/{'9' * 5000}/"
    assert api.session.get(url, timeout=10).status_code == 400


def test_overrides_that_are_null_override_nothing(api: Api) -> None:
    """Clients send null for what they do not override."""
    assert api.trigger(steps_override=None, schema_override=None)["trigger"]["id"]


def test_run_ids_grow_beyond_32_bits_and_are_not_reused_after_a_restart() -> None:
    """Ids are strictly increasing, within one sandbox and over several."""
    run_ids = []
    for _ in range(2):
        with Sandbox(jobs=JOBS) as sandbox, Api(sandbox) as api:
            run_ids += [api.trigger()["id"], api.trigger()["id"]]
    assert run_ids == sorted(set(run_ids))
    assert all(2**31 < run_id < 2**53 for run_id in run_ids)


def test_a_second_run_of_a_job_waits_until_the_first_is_over(api: Api) -> None:
    """Runs of one job are serial, and the one that waits names the one in its way."""
    first, second = api.trigger(1)["id"], api.trigger(1)["id"]
    waiting = api.run(second)
    assert (waiting["status"], waiting["blocked_by"]) == (1, [first])
    api.post(f"/runs/{first}/cancel/")
    until(lambda: api.run(second)["status"] == 3, "it runs")
    assert api.run(second)["blocked_by"] == []


def test_a_queued_run_is_cancelled_at_once(api: Api) -> None:
    """The answer to the cancellation already has the final status."""
    api.trigger(1)
    run = api.post(f"/runs/{api.trigger(1)['id']}/cancel/").json()["data"]
    assert (run["status"], run["status_message"]) == (30, "Cancelled by user.")
    assert run["finished_at"]
    assert (run["started_at"], run["artifacts_saved"]) == (None, False)


def test_a_run_that_runs_can_be_cancelled(api: Api) -> None:
    """It ends soon after the answer."""
    run_id = api.trigger(1)["id"]
    until(lambda: api.run(run_id)["status"] == 3, "it runs")
    api.post(f"/runs/{run_id}/cancel/")
    run = api.finished_run(run_id)
    assert (run["status"], run["status_message"]) == (30, "Cancelled by user.")
    assert run["run_steps"][-1]["status"] == 30


def test_a_run_that_takes_too_long_counts_as_cancelled(api: Api) -> None:
    """A time-out is status 30, with the message that the service writes."""
    run = api.finished_run(api.trigger(1, timeout_seconds_override=1)["id"])
    assert run["status"] == 30
    assert run["status_message"] == (
        "This run timed out after running for 1 second, "
        "which exceeded the configured timeout of 1 seconds."
    )


def test_only_the_latest_failed_run_of_a_job_can_be_retried(api: Api) -> None:
    """The retry is a new run that points at the old one, which cannot be retried again."""
    failed = api.finished_run(api.trigger(2)["id"])
    assert (failed["can_retry"], failed["retry_not_supported_reason"]) == (True, None)
    details = api.data(f"/runs/{failed['id']}/retry/")
    assert details == {"failed_step": "dbt build", "skipped_steps": []}
    retry = api.post(f"/runs/{failed['id']}/retry/").json()["data"]
    assert retry["retrying_run_id"] == failed["id"]
    assert retry["trigger"]["cause_category"] == "rerun"
    assert api.finished_run(retry["id"])["run_steps"][-1]["name"] == "Invoke dbt with `dbt retry`"
    refused = api.post(f"/runs/{failed['id']}/retry/")
    assert (refused.status_code, refused.json()["data"]) == (400, "RETRY_NOT_LATEST_RUN")


def test_a_rerun_retries_after_a_failure_and_starts_anew_after_a_success(api: Api) -> None:
    """Only the first kind points at an older run, and keeps its overrides."""
    failed = api.trigger(2, schema_override="other")
    path = f"/jobs/{failed['job_id']}/rerun/"
    retry = api.post(path).json()["data"]
    assert retry["retrying_run_id"] == failed["id"]
    assert retry["trigger"]["schema_override"] == "other"
    plain = api.post(path).json()["data"]
    assert plain["retrying_run_id"] is None
    assert plain["trigger"]["schema_override"] is None


def test_artifacts_are_listed_and_served_as_raw_bytes(api: Api) -> None:
    """No envelope, the right length and a sensible type; other paths and steps are a 404."""
    run_id = api.trigger()["id"]
    assert api.data(f"/runs/{run_id}/artifacts/") == ["compiled/a b.sql", "manifest.json"]
    manifest = api.get(f"/runs/{run_id}/artifacts/manifest.json")
    assert manifest.content == b'{"nodes": {}}'
    assert manifest.headers["content-type"] == "application/json"
    assert manifest.headers["content-length"] == "13"
    assert api.get(f"/runs/{run_id}/artifacts/compiled/a%20b.sql").text == "select 1"
    assert api.get(f"/runs/{run_id}/artifacts/manifest.json", step=6).status_code == 200
    assert api.get(f"/runs/{run_id}/artifacts/manifest.json", step=4).status_code == 404
    assert api.get(f"/runs/{run_id}/artifacts/nothing.json").status_code == 404


def test_a_run_without_artifacts_lists_as_null(api: Api) -> None:
    """While it runs, when it has failed before it had any, and when it was cancelled."""
    running, failed = api.trigger(1)["id"], api.finished_run(api.trigger(2)["id"])
    assert not failed["artifacts_saved"]
    for run_id in (running, failed["id"]):
        response = api.get(f"/runs/{run_id}/artifacts/")
        assert (response.status_code, response.json()["data"]) == (200, None)
        assert response.json()["status"]["is_success"]


def test_a_failed_run_of_a_script_ends_where_dbt_cloud_would(api: Api) -> None:
    """No step follows the command that failed, whose logs end in the run's status message."""
    run = api.finished_run(api.trigger(2)["id"])
    assert run["status_message"] == "dbt command failed"
    clone, profile, deps, failed = run["run_steps"]
    assert clone["logs"].endswith(f"Checked out to {run['git_sha']}.\n")
    assert profile["logs"] == "Create profile from connection duckdb\n"
    assert deps["logs"].endswith("  Running dbt...\n")
    assert (failed["name"], failed["status"]) == ("Invoke dbt with `dbt build`", 20)
    for logs in (failed["logs"], failed["truncated_debug_logs"]):
        assert logs.endswith("  Running dbt...\ndbt command failed\n")
    assert clone["truncated_debug_logs"].startswith("This log output is truncated.")


def test_debug_logs_come_only_with_the_steps(api: Api) -> None:
    """To ask for them alone gives nothing."""
    run_id = api.trigger()["id"]
    assert api.run(run_id, "debug_logs")["run_steps"] == []
    assert api.run(run_id, "debug_logs,run_steps")["run_steps"][0]["debug_logs"]
    assert api.run(run_id, "run_steps")["run_steps"][0]["debug_logs"] is None


def test_a_step_of_a_script_has_logs_and_artifacts_of_its_own() -> None:
    """What a step left is served for its index; without an index the last step is meant."""
    steps = (
        ScriptStep("Invoke dbt with `dbt build`", "built", {"run_results.json": "build"}),
        ScriptStep("Invoke dbt with `dbt docs generate`", "", {"run_results.json": "docs"}),
    )
    jobs = [SandboxJob(name="steps", script=Script(steps=steps))]
    with Sandbox(jobs=jobs) as sandbox, Api(sandbox) as api:
        run_id = api.trigger()["id"]
        path = f"/runs/{run_id}/artifacts/run_results.json"
        assert [api.get(path, step=1).text, api.get(path).text] == ["build", "docs"]
        assert api.run(run_id)["run_steps"][0]["logs"] == "built"


def test_artifacts_may_lag_behind_the_end_of_the_run() -> None:
    """For a while they answer 404 although the run is over; then they are there."""
    script = Script(artifacts={"a.json": "{}"}, artifact_lag=0.3)
    with Sandbox(jobs=[SandboxJob(name="lag", script=script)]) as sandbox, Api(sandbox) as api:
        run_id = api.trigger()["id"]
        assert api.run(run_id)["artifacts_saved"]
        assert api.get(f"/runs/{run_id}/artifacts/a.json").status_code == 404
        until(lambda: api.get(f"/runs/{run_id}/artifacts/a.json").status_code == 200, "it is there")


def test_a_huge_artifact_is_made_up_while_it_is_sent() -> None:
    """Its length is known before its first byte, and it is never held in memory."""
    script = Script(artifacts={"huge.bin": GeneratedBytes(10**12), "odd.bin": GeneratedBytes(7)})
    with Sandbox(jobs=[SandboxJob(name="huge", script=script)]) as sandbox, Api(sandbox) as api:
        root = f"{api.root}/runs/{api.trigger()['id']}/artifacts"
        with api.session.get(f"{root}/huge.bin", stream=True, timeout=10) as response:
            assert response.headers["content-length"] == str(10**12)
            assert len(next(response.iter_content(1000))) == 1000
        assert len(api.session.get(f"{root}/odd.bin", timeout=10).content) == 7


def test_an_unknown_query_key_is_a_400_that_names_it(api: Api) -> None:
    """Filters that the service does not have are not silently ignored."""
    response = api.get("/runs/", created_at__gte="2026-01-01")
    assert response.status_code == 400
    body = response.json()
    assert body["data"] == (
        "Additional properties are not allowed ('created_at__gte' was unexpected)"
    )
    assert (body["extra"], body["error_code"]) == ({}, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status__in", "1,2"),
        ("status__in", "['1']"),
        ("status__in", ["1", "2"]),
        ("pk__in", "5"),
        ("created_at__range", '["2026-01-01"]'),
        ("limit", 101),
        ("limit", 0),
        ("offset", -1),
        ("order_by", "name"),
        ("state", "gone"),
        ("status", "x"),
        ("status", "9" * 5000),
        ("status__in", "[" * 15_000),
        ("created_at__range", '["yesterday", "today"]'),
        ("dbt_version__in", ["a", "b"]),
        ("has_docs_generated", "maybe"),
    ],
)
def test_a_query_value_that_cannot_be_read_is_a_400(api: Api, key: str, value) -> None:
    """Arrays are one JSON list; anything else is refused, and the key is named."""
    response = api.get("/runs/", **{key: value})
    assert response.status_code == 400
    assert set(response.json()["data"]) == {key}


def test_a_list_says_what_it_filtered_by_and_how_much_there_is(api: Api) -> None:
    """The extra part echoes the filters and counts the page and the whole."""
    run_ids = [api.trigger()["id"] for _ in range(3)]
    body = api.get("/runs/", status__in="[10]", limit=2, offset=1, order_by="-id").json()
    assert [run["id"] for run in body["data"]] == [run_ids[1], run_ids[0]]
    assert body["extra"]["pagination"] == {"count": 2, "total_count": 3}
    assert body["extra"]["order_by"] == "-id"
    filters = body["extra"]["filters"]
    assert (filters["limit"], filters["offset"], filters["status__in"]) == (2, 1, [10])


def test_each_filter_of_runs_narrows_the_list(api: Api) -> None:
    """One finished run and one that runs are told apart by every filter."""
    done, running = api.trigger(0), api.trigger(1)
    until(lambda: api.run(running["id"])["status"] == 3, "it runs")
    expected = {
        "status": (10, [done["id"]]),
        "job_definition_id": (running["job_id"], [running["id"]]),
        "id__gt": (done["id"], [running["id"]]),
        "pk": (done["id"], [done["id"]]),
        "pk__in": (f"[{running['id']}]", [running["id"]]),
        "finished_at__range": ('["2020-01-01T00:00:00+00:00", "2999-01-01"]', [done["id"]]),
        "created_at__range": ('["2020-01-01", "2020-01-02T00:00:00Z"]', []),
        "environment_id": (1, []),
        "project_id__in": ("[1]", []),
        "has_docs_generated": ("true", []),
        "state": ("deleted", []),
    }
    found = {
        key: [run["id"] for run in api.data("/runs/", **{key: value})]
        for key, (value, _) in expected.items()
    }
    assert found == {key: run_ids for key, (_, run_ids) in expected.items()}


def test_runs_that_are_not_over_come_last_by_their_end(api: Api) -> None:
    """The order by finished_at is total."""
    running, done = api.trigger(1)["id"], api.trigger(0)["id"]
    runs = api.data("/runs/", order_by="finished_at", include_related="trigger,job")
    assert [run["id"] for run in runs] == [done, running]
    assert runs[0]["trigger"]["cause"] == "a test"


def test_jobs_are_found_by_a_part_of_their_name(api: Api) -> None:
    """The filter ignores case; the latest run comes along when asked for."""
    run = api.trigger(0)
    related = "most_recent_run,environment"
    (job,) = api.data("/jobs/", name__icontains="UIC", include_related=related)
    assert (job["name"], job["most_recent_run"]["id"]) == ("quick", run["id"])
    assert job["environment"]["name"] == "Production"


@pytest.mark.parametrize("members", ["projects", "environments"])
def test_what_surrounds_the_jobs_can_be_listed_and_fetched(api: Api, members: str) -> None:
    """Projects and environments are there one by one, too."""
    (member,) = api.data(f"/{members}/")
    assert api.data(f"/{members}/{member['id']}/") == member


def test_the_account_is_listed_to_those_who_test_their_connection(api: Api) -> None:
    """The list of accounts has the token's account, and the account has its limits."""
    response = api.session.get(f"{api.sandbox.access_url}/api/v2/accounts/", timeout=10)
    assert [account["id"] for account in response.json()["data"]] == [api.sandbox.account_id]
    assert api.data("/")["run_duration_limit_seconds"] == 86400


def test_runs_in_flight_take_no_threads() -> None:
    """A thousand scripted runs at once need no more threads than one does."""
    job = SandboxJob(name="wide", job_type="ci", script=Script(seconds=3600))
    with Sandbox(jobs=[job]) as sandbox, Api(sandbox) as api:
        api.trigger()
        before = set(threading.enumerate())
        for _ in range(999):
            api.trigger()
        running = api.get("/runs/", status=3, limit=1).json()["extra"]["pagination"]
        assert running["total_count"] == 1000
        assert set(threading.enumerate()) <= before


def test_a_stopped_sandbox_leaves_no_thread_behind() -> None:
    """Also with runs in flight and connections open."""
    before = set(threading.enumerate())
    with Sandbox(jobs=JOBS) as sandbox:
        api = Api(sandbox)
        api.trigger(1)
    api.session.close()
    assert set(threading.enumerate()) <= before  # one of another test's may have ended


def test_the_environment_names_the_job_that_was_asked_for(api: Api) -> None:
    """Without a name it is the first job; an unknown name is an error that lists the names."""
    sandbox = api.sandbox
    assert sandbox.environment() == {
        "DBT_CLOUD_ACCOUNT_ID": str(sandbox.account_id),
        "DBT_CLOUD_JOB_ID": str(sandbox.jobs[0].id),
        "DBT_CLOUD_TOKEN": sandbox.token,
        "DBT_CLOUD_ACCESS_URL": sandbox.access_url,
    }
    assert sandbox.environment("failing")["DBT_CLOUD_JOB_ID"] == str(sandbox.jobs[2].id)
    with pytest.raises(SandboxError, match="'quick', 'endless', 'failing'"):
        sandbox.environment("nothing")
