"""Beyond one machine: the files in deploy/, and all of Dagster's processes at work with them."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tomli
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.load import location_origins_from_yaml_paths
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dbt_trigger_dagster.assets.termination import CANCEL_DEADLINE
from dbt_trigger_dagster.definitions import WHERE_TO_FIND
from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.deployments import (
    DEPLOY,
    JOB,
    Deployment,
    a_deployment,
    missing,
)
from dbt_trigger_dagster_tests.graphs import ARTIFACTS, LONG, sent, triggers
from dbt_trigger_dagster_tests.harness import dbt_runs
from dbt_trigger_dagster_tests.post_mortem import post_mortem

LOCATIONS = {
    "morning": ("-m", "dbt_trigger_dagster.definitions"),
    "evening": ("-f", Path(__file__).parent / "evening.py"),
}
LANDING_JOB = "dbt_cloud_monitor_landing"
WAITING: dict[str, Any] = {"poll_interval": 0.2}

ROOT = DEPLOY.parent
EITHER = {"DBT_CLOUD_JOB_ID", "DBT_TRIGGER_JOBS"}
"""One of them is set: one job, or a file of jobs."""
SECRETS = {"DBT_CLOUD_TOKEN", "POSTGRES_PASSWORD"}


def read(name: str) -> Any:
    """What a YAML file in deploy/ says."""
    return yaml.safe_load((DEPLOY / name).read_text())


def services() -> dict[str, Any]:
    """The services of the Compose file."""
    found: dict[str, Any] = read("compose.yaml")["services"]
    return found


def example_environment() -> dict[str, str]:
    """The variables of .env.example."""
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


# All processes


def an_account() -> Sandbox:
    """A dbt Cloud account with jobs that run side by side."""
    names = ("morning", "noon", "evening", "night")
    return Sandbox([SandboxJob(name=name, script=LONG) for name in names])


def is_polled(sandbox: Sandbox, job_name: str) -> bool:
    """Whether somebody waits for a run of a job."""
    (job_id,) = [job.id for job in sandbox.jobs if job.name == job_name]
    ids = [run["id"] for run in dbt_runs(sandbox) if run["job_definition_id"] == job_id]
    return any(sent(sandbox, "GET", f"/runs/{run_id}/") for run_id in ids)


def assert_kept_once(deployment: Deployment, sandbox: Sandbox, count: int) -> None:
    """So many triggers, dbt runs, rows in each table, and files of each."""
    run_ids = sorted(run["id"] for run in dbt_runs(sandbox))
    assert len(run_ids) == triggers(sandbox) == count
    assert sorted(deployment.run_ids("dbt_cloud_trigger")) == run_ids
    assert sorted(deployment.run_ids("dbt_cloud_run")) == run_ids
    assert len(deployment.rows("dbt_cloud_artifact")) == count * len(ARTIFACTS)
    assert len(deployment.files()) == count * len(ARTIFACTS)


@pytest.mark.skipif(
    not os.environ.get("TEST_DEPLOYMENT"),
    reason="all of Dagster's processes and their clocks: make test-deployment, on a quiet machine",
)
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_each_wish_is_one_dbt_run_whatever_is_killed(tmp_path: Path) -> None:
    """Queue, daemon and two code servers that share PostgreSQL and a bucket alone.

    What is killed is resumed by itself.

    Killed are a worker while the answer to its trigger is under way, and a whole code location
    while it waits. The run that nobody waits for is landed by the monitor.
    """
    with (
        an_account() as sandbox,
        a_deployment(LOCATIONS, sandbox) as deployment,
        post_mortem(deployment, tmp_path),
    ):
        deployment.start()
        morning, noon, _, night = sandbox.jobs
        trigger = f"/jobs/{morning.id}/run/"
        hanging = Fault("hang", method="POST", path=f"*{trigger}", when="after", seconds=600)
        sandbox.inject(hanging)
        killed = deployment.launch("morning", dbt_cloud_run=WAITING)
        deployment.launch("morning", trigger_response={"job_id": noon.id}, dbt_cloud_run=WAITING)
        deployment.launch(
            "evening",
            evening__trigger_response={"job_id": night.id},
            evening__dbt_cloud_run={"wait_for_result": False},
        )
        until(lambda: sent(sandbox, "POST", trigger), "the answer hangs")
        os.kill(deployment.worker_of(killed), signal.SIGKILL)

        lost = deployment.launch("evening", evening__dbt_cloud_run=WAITING)
        until(lambda: is_polled(sandbox, "evening"), "the evening's run is waited for")
        deployment.end_container("evening")
        deployment.start_code_server("evening")
        until(lambda: {killed, lost} <= reported(deployment), "the killed runs are reported")
        # The night's worker may have been killed with the evening's, even before it triggered.
        until(lambda: len(dbt_runs(sandbox)) == 4, "each wish has a dbt run")
        sandbox.finish([run["id"] for run in dbt_runs(sandbox)])
        until(lambda: is_all_well(deployment, 4), "all is well")
        deployment.stop()

        # The wishes, what resumed two of them, and the landing.
        assert deployment.runs_in_postgres() >= 4 + 2 + 1
        wishes = [run for run in dbt_runs(sandbox) if run["job_definition_id"] == morning.id]
        assert_kept_once(deployment, sandbox, 4)
        adopted = [row["id"] for row in deployment.rows("dbt_cloud_trigger") if row["adopted"]]
        assert adopted == [run["id"] for run in wishes]


def reported(deployment: Deployment) -> set[str]:
    """The Dagster runs that have failed."""
    return {run["runId"] for run in deployment.runs() if run["status"] == "FAILURE"}


def is_all_well(deployment: Deployment, wishes: int) -> bool:
    """Whether so many dbt runs have left their files, and all Dagster runs are over and good."""
    outcomes = [deployment.outcomes(JOB), deployment.outcomes(LANDING_JOB)]
    return (
        len(outcomes[0]) == wishes
        and len(deployment.files()) == wishes * len(ARTIFACTS)
        and {status for each in outcomes for status in each.values()} == {"SUCCESS"}
    )


# The files


def has_docker_compose() -> bool:
    """Whether ``docker compose`` works here; it needs no daemon to read a file."""
    command = ["docker", "compose", "version"]
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603  # as above


@pytest.mark.skipif(not has_docker_compose(), reason="not found: docker compose")
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    """With all variables set; where one without a default is not, it names that one."""
    variables = {name: value or "123" for name, value in example_environment().items()}
    assert refusal_of(variables, tmp_path) == ""
    for name, value in example_environment().items():
        fewer = {other: variables[other] for other in variables if other != name}
        assert (name in refusal_of(fewer, tmp_path)) == (not value and name not in EITHER)


def refusal_of(variables: Mapping[str, str], folder: Path) -> str:
    """What ``docker compose config`` has to say against the file; empty for nothing."""
    settings = folder / ".env"
    settings.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "--env-file", str(settings)]
    done = subprocess.run(  # noqa: S603  # Docker's own
        [*command, "config", "--quiet"], check=False, capture_output=True, text=True
    )
    return done.stderr if done.returncode else ""


def test_every_volume_and_every_dependency_exists() -> None:
    """And what must outlive a container is on a volume."""
    volumes = set(read("compose.yaml")["volumes"])
    mounted = {name: service["volumes"] for name, service in services().items()}
    used = {mount.partition(":")[0] for mounts in mounted.values() for mount in mounts}
    assert used == volumes | {"./jobs", "./tables.sql"}
    assert (DEPLOY / "jobs").is_dir()  # otherwise Docker makes it, and it is root's
    assert "./tables.sql:/docker-entrypoint-initdb.d/tables.sql:ro" in mounted["postgres"]
    database = services()["code"]["environment"]["DBT_TRIGGER_DATABASE"].rpartition("/")[2]
    assert f"CREATE DATABASE {database};" in (DEPLOY / "tables.sql").read_text()
    for service in services().values():
        assert set(service.get("depends_on", {})) <= set(services())


def test_only_the_ui_is_published_and_only_on_this_machine() -> None:
    """Dagster's UI asks for no password."""
    published = {
        name: service["ports"] for name, service in services().items() if "ports" in service
    }
    assert published == {"webserver": ["${DAGSTER_ADDRESS:-127.0.0.1}:${DAGSTER_PORT:-3000}:3000"]}
    assert example_environment()["DAGSTER_ADDRESS"] == "127.0.0.1"


def test_nobody_reaches_more_than_needed() -> None:
    """Only the code location is to reach dbt Cloud, and only Dagster the code location."""
    compose = read("compose.yaml")
    members = {
        network: {name for name, each in services().items() if network in each["networks"]}
        for network in compose["networks"]
    }
    dagster = {"code", "daemon", "webserver"}
    assert members == {
        "storage": dagster | {"postgres"},
        "code": dagster,
        "outside": {"code"},
        "ui": {"webserver"},
    }
    internal = {name for name, each in compose["networks"].items() if each}
    assert internal == {"storage", "code"}
    assert all(compose["networks"][name] == {"internal": True} for name in internal)


def test_root_file_systems_are_read_only() -> None:
    """What is written goes to a volume or to memory."""
    for name, service in services().items():
        assert service["read_only"], name
        assert "/tmp" in service["tmpfs"], name  # noqa: S108  # in a container
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_root_file_systems_are_read_only_on_kubernetes_too() -> None:
    """The code location's and those of the runs, whose pods get its volumes."""
    values = read("values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["securityContext"]["readOnlyRootFilesystem"]
    assert deployment["includeConfigInLaunchedRuns"]["enabled"]
    assert deployment["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert deployment["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108  # in a pod


def test_images_are_named_by_tag_and_digest() -> None:
    """A tag moves, and a digest alone tells nobody what it is."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    (python,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", dockerfile, re.MULTILINE)
    assert re.findall("^FROM (.*)$", dockerfile, re.MULTILINE) == ["${PYTHON_IMAGE}"]
    for image in (python, services()["postgres"]["image"]):
        assert re.fullmatch(r"[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}", image), image
    (version,) = re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())
    assert python.startswith(f"python:{version}.")


def locked() -> dict[str, list[str]]:
    """What the image's lock pins, by name and version, with its hashes."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "requirements.txt").read_text().splitlines():
        if pinned := re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==([\w.+!-]+)", line):
            hashes = found.setdefault(f"{canonicalize_name(pinned[1])} {pinned[2]}", [])
        elif told := re.fullmatch(r" +--hash=(sha256:[0-9a-f]{64})(?: \\)?", line):
            hashes.append(told[1])
        else:
            assert re.match(" *#", line), f"neither a pin, nor a hash, nor a comment: {line}"
    return found


def test_the_lock_of_the_image_covers_what_the_package_asks_for() -> None:
    """With versions that fit and hashes of each; `make lock` makes it anew."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = [
        *project["project"]["dependencies"],
        *(each for name in ("objects", "postgres", "postgresql") for each in extras[name]),
        *project["build-system"]["requires"],
    ]
    pins = dict(pin.split(" ") for pin in locked())
    assert all(locked().values())
    for requirement in map(Requirement, asked):
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"
    built_by = (DEPLOY / "build.in").read_text().splitlines()[1:]
    assert built_by == project["build-system"]["requires"]
    assert f"--version {pins['dagster']} " in (DEPLOY / "README.md").read_text()


def test_the_lock_of_the_image_names_no_host() -> None:
    """Where wheels come from is for whoever builds it; the hashes say whether they are those."""
    assert not re.search(r"://|--\w*index|--find-links", (DEPLOY / "requirements.txt").read_text())
    assert "pip install --no-cache-dir --require-hashes" in (DEPLOY / "Dockerfile").read_text()


def test_kubernetes_lets_only_dagster_reach_the_code_location() -> None:
    """By the chart's labels; the deployment's name and port are those of the values."""
    code, runs = yaml.safe_load_all((DEPLOY / "network_policy.yaml").read_text())
    (deployment,) = read("values.yaml")["dagster-user-deployments"]["deployments"]
    labels = code["spec"]["podSelector"]["matchLabels"]
    assert labels == {"component": "user-deployments", "deployment": deployment["name"]}
    (rule,) = code["spec"]["ingress"]
    (peer,) = rule["from"]
    (expression,) = peer["podSelector"]["matchExpressions"]
    assert expression["values"] == ["dagster-webserver", "dagster-daemon"]
    assert [port["port"] for port in rule["ports"]] == [deployment["port"]]
    assert runs["spec"]["policyTypes"] == ["Ingress"]
    assert "ingress" not in runs["spec"]


def test_no_secret_stands_in_a_file() -> None:
    """They come from the environment, and only the code location gets the token."""
    text = (DEPLOY / "compose.yaml").read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == set(example_environment())
    for name, value in example_environment().items():
        assert bool(value or name in EITHER) == (f"${{{name}:-{value}}}" in text), name
    assert set(WHERE_TO_FIND) | SECRETS <= used
    assert not any(example_environment()[name] for name in SECRETS)
    knowing = [name for name, service in services().items() if "TOKEN" in str(service)]
    assert knowing == ["code"]


def test_a_file_with_secrets_gets_neither_into_git_nor_into_the_image() -> None:
    """The image's context is a list of what is let in, and all that is on it exists."""
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    assert all((ROOT / path).exists() for path in let_in)
    assert not any(".env" in path or path in {".", "deploy"} for path in let_in)


def test_there_is_time_to_cancel_a_dbt_run() -> None:
    """Before a container, or a pod, is killed."""
    assert services()["code"]["stop_grace_period"] == "20s"
    config = read("values.yaml")["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    assert CANCEL_DEADLINE < 20 < config["podSpecConfig"]["terminationGracePeriodSeconds"]


def test_dagster_accepts_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are queued, started beside the code server, watched, and resumed where they were."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://nobody@localhost/none")
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    kept = InstanceRef.from_dir(str(tmp_path))
    assert isinstance(kept.run_coordinator, dg.QueuedRunCoordinator)
    assert isinstance(kept.run_launcher, dg.DefaultRunLauncher)
    assert kept.settings["run_monitoring"]["enabled"]
    assert kept.settings["run_retries"] == {
        "enabled": True,
        "max_retries": 5,
        "retry_on_asset_or_op_failure": False,
    }


def test_webserver_and_daemon_find_the_code_server() -> None:
    """Host, port and name are those of the service that listens."""
    (origin,) = location_origins_from_yaml_paths([str(DEPLOY / "workspace.yaml")])
    command = services()["code"]["command"]
    assert origin.host in services()  # type: ignore[attr-defined]
    assert f"--port={origin.port}" in command  # type: ignore[attr-defined]
    assert f"--location-name={origin.location_name}" in command


def test_kubernetes_gets_what_compose_gets() -> None:
    """The same bucket and limits for all pods; the account and the passwords from secrets."""
    values = read("values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    environment = {each["name"] for each in deployment["env"]}
    rest = set(services()["code"]["environment"]) - environment
    of_the_bucket = {name for name in rest if name.startswith("AWS_")}
    assert rest - of_the_bucket == {
        *WHERE_TO_FIND,
        "DAGSTER_POSTGRES_URL",
        "DBT_TRIGGER_DATABASE",
        "DBT_TRIGGER_JOBS",
    }
    assert of_the_bucket == set(
        re.findall("#(AWS_[A-Z_]+)=", (DEPLOY / ".env.example").read_text())
    )
    assert deployment["envSecrets"] == [{"name": "dbt-cloud"}]
    assert values["global"]["postgresqlSecretName"] == values["postgresql"]["existingSecret"]
    assert not values["generatePostgresqlPasswordSecret"]
    assert deployment["includeConfigInLaunchedRuns"]["enabled"]
    runs = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    assert deployment["podSecurityContext"] == runs["podSpecConfig"]["securityContext"]
    assert deployment["securityContext"] == runs["containerConfig"]["securityContext"]
    limits, concurrency = read("dagster.yaml")["concurrency"], values["concurrency"]
    assert concurrency["runs"]["maxConcurrentRuns"] == limits["runs"]["max_concurrent_runs"]
    assert concurrency["pools"]["granularity"] == limits["pools"]["granularity"]
    assert concurrency["pools"]["defaultLimit"] == limits["pools"]["default_limit"]
