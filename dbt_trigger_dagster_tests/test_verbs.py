"""The verbs of ``dbt-trigger-dagster``, against the sandbox over HTTP."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest
import yaml
from click.testing import CliRunner, Result

from dbt_trigger_dagster import DbtCloudJobsComponent
from dbt_trigger_dagster.command_line import main
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster.sandbox import Fault, Sandbox, SandboxJob, Script, SeededRun
from dbt_trigger_dagster.storage.file_store import open_file_store
from dbt_trigger_dagster.storage.store import open_store
from dbt_trigger_dagster.storage.tables import ARTIFACT, RUN
from dbt_trigger_dagster_tests.databases import runs

pytestmark = pytest.mark.slow

JOBS = [
    SandboxJob(name="Shop nightly build", script=Script()),
    SandboxJob(name="shop: Nightly build!", script=Script()),
    SandboxJob(name='"quoted" # and \x1b[31mred', script=Script()),
]


@pytest.fixture
def sandbox(monkeypatch, tmp_path: Path) -> Iterator[Sandbox]:
    """An account, which the environment names; the database and the artifacts are new."""
    monkeypatch.chdir(tmp_path)
    with Sandbox(jobs=JOBS) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def run(*arguments: str) -> Result:
    """What a verb prints, and its exit code."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.parametrize("verb", ["jobs", "check", "backfill", "copy", "sandbox", ""])
def test_help_shows_what_to_type(verb) -> None:
    """Each verb has examples."""
    done = run(*filter(None, [verb]), "--help") if verb != "sandbox" else run("--help")
    assert done.exit_code == 0
    assert "dbt-trigger-dagster" in done.output or "Start dbt Cloud on your laptop" in done.output


@pytest.mark.parametrize("verb", ["jobs", "check", "backfill", "copy"])
def test_each_example_of_a_help_has_a_line_of_its_own(verb) -> None:
    """So that it can be copied."""
    lines = run(verb, "--help").output.splitlines()
    first = lines.index("  Examples:") + 1
    examples = lines[first : lines.index("", first)]
    assert len(examples) > 1
    assert all(example.startswith("    ") for example in examples)
    for above, example in zip(["", *examples], examples, strict=False):
        goes_on = above.endswith("\\")
        assert example.count("dbt-trigger-dagster") == (0 if goes_on else 1)


def test_jobs_are_listed_with_their_keys(sandbox) -> None:
    """Names are shown without what moves a cursor."""
    lines = run("jobs").output.splitlines()
    assert lines[0].split() == [
        "id",
        "name",
        "key",
        "project",
        "environment",
        *["dbt", "Cloud's", "own", "schedule"],
    ]
    assert len(lines) == 1 + len(JOBS)
    assert re.match(rf"{sandbox.jobs[0].id}  Shop nightly build +shop_nightly_build", lines[1])
    assert "\x1b" not in "".join(lines)


def test_jobs_can_be_chosen_by_name(sandbox) -> None:
    """As dbt Cloud filters: any part of the name."""
    assert len(run("jobs", "--name", "nightly").output.splitlines()) == 3


def test_no_job_is_an_error_that_says_so(sandbox) -> None:
    """An empty file would be worse."""
    done = run("jobs", "--name", "no such job", "--format", "jobs.yaml")
    assert done.exit_code == 1
    assert "sees no such job" in done.output


def test_the_file_of_jobs_can_be_used_as_it_is(sandbox, tmp_path: Path) -> None:
    """Names that are alike get keys of their own, and no name breaks the file."""
    (tmp_path / "jobs.yaml").write_text(run("jobs", "--format", "jobs.yaml").output)
    component = read_section(DbtCloudJobsComponent, tmp_path / "jobs.yaml")
    assert [job.job_id for job in component.jobs] == [job.id for job in sandbox.jobs]
    assert [job.key for job in component.jobs] == [
        "shop_nightly_build",
        f"shop_nightly_build_{sandbox.jobs[1].id}",
        "quoted_and_31mred",
    ]
    assert [job.group for job in component.jobs] == [job.key for job in component.jobs]


def test_the_file_for_dg_has_the_same_jobs(sandbox) -> None:
    """Below the type and its sections."""
    content = yaml.safe_load(run("jobs", "--format", "defs.yaml").output)
    assert content["type"] == "dbt_trigger_dagster.DbtCloudJobsComponent"
    assert [job["job_id"] for job in content["attributes"]["jobs"]] == [j.id for j in sandbox.jobs]


def test_check_tries_everything_and_starts_nothing(sandbox) -> None:
    """Only whether the token may start a job cannot be told."""
    done = run("check")
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.output.splitlines()[4:]] == [
        ["ok", "settings:"],
        ["ok", "account:"],
        ["ok", "jobs:"],
        ["ok", "runs:"],
        ["?", "trigger:"],
        ["ok", "database:"],
        ["ok", "artifacts:"],
    ]
    assert {request.method for request in sandbox.requests} == {"GET"}


def test_check_first_says_where_everything_is(sandbox, monkeypatch, tmp_path: Path) -> None:
    """As a run will find it: absolute, and without what is secret."""
    monkeypatch.setenv("DAGSTER_HOME", "/srv/dagster")
    assert run("check").output.splitlines()[:4] == [
        "    source:    the environment",
        f"    database:  {tmp_path}/data/dbt_cloud.duckdb",
        f"    artifacts: {tmp_path}/data/artifacts",
        "    Dagster:   /srv/dagster",
    ]
    monkeypatch.setenv(
        "DBT_TRIGGER_DATABASE", "oracle://me:S3cret@db.example.com/dbt?password=S3cret"
    )
    monkeypatch.setenv("DBT_TRIGGER_ARTIFACTS", "ftp://me:S3cret@files.example.com")
    monkeypatch.delenv("DAGSTER_HOME")
    told = run("check").output
    assert "    database:  oracle://db.example.com/dbt\n" in told
    assert "    artifacts: see below\n" in told
    assert "DAGSTER_HOME is not set" in told
    assert "S3cret" not in told


@pytest.mark.parametrize("home", ["relative", "/nowhere/at/all"])
def test_a_home_that_dagster_refuses_is_told(sandbox, monkeypatch, home: str) -> None:
    """By what looks before a run, and by what starts one."""
    seeded(sandbox, 1)
    monkeypatch.setenv("DAGSTER_HOME", home)
    for verb in (["check"], ["backfill", "--job-id", str(sandbox.jobs[0].id)]):
        done = run(*verb)
        assert done.exit_code == 1
        assert f"absolute path of a folder that is there; '{home}' is not: mkdir -p" in done.output


def test_check_tries_to_write_rows(sandbox, monkeypatch, tmp_path: Path) -> None:
    """As a run does, before it triggers anything: the tables are there afterwards."""
    notes = tmp_path / "notes.duckdb"
    notes.write_text("these are notes " * 1000)
    monkeypatch.setenv("DBT_TRIGGER_DATABASE", str(notes))
    done = run("check")
    assert done.exit_code == 1
    assert f"NO  database:  {notes} is not a DuckDB database" in done.output
    monkeypatch.setenv("DBT_TRIGGER_DATABASE", str(tmp_path / "new.duckdb"))
    assert "ok  database:" in run("check").output
    assert (tmp_path / "new.duckdb").exists()


def a_jobs_file(folder: Path, *jobs: str) -> Path:
    """A file of jobs in a folder of its own, whose tables have a place of their own too."""
    folder.mkdir(exist_ok=True)
    file = folder / "jobs.yaml"
    listed = "".join(f"  - {{{job}}}\n" for job in jobs)
    file.write_text(f"storage: {{database: tables.duckdb, artifacts: files}}\njobs:\n{listed}")
    return file


def test_check_goes_by_the_file_of_jobs(sandbox, monkeypatch, tmp_path: Path) -> None:
    """Its places begin beside it, and each of its jobs is looked up."""
    good = f"job_id: {sandbox.jobs[0].id}, key: shop/nightly"
    file = a_jobs_file(tmp_path / "deployed", good, "job_name: Shop nigtly build, key: typo")
    monkeypatch.setenv("DBT_TRIGGER_JOBS", str(file))
    done = run("check")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[:2] == [
        f"    source:    {file}, with 2 jobs",
        f"    database:  {tmp_path}/deployed/tables.duckdb",
    ]
    assert f"ok  shop/nightly: 'Shop nightly build' is job {sandbox.jobs[0].id}." in lines
    assert any(line.startswith("NO  typo:      No job is named 'Shop nigtly") for line in lines)
    assert not (tmp_path / "data").exists()


def test_a_file_of_jobs_that_cannot_be_read_is_told_with_its_line(monkeypatch, tmp_path) -> None:
    """By check as by the code location."""
    monkeypatch.setenv("DBT_TRIGGER_JOBS", str(a_jobs_file(tmp_path, "job_id: 1, kye: a")))
    done = run("check")
    assert done.exit_code == 1
    assert "jobs.yaml:3: jobs.0.kye: is unknown; did you mean key?" in done.output


def test_check_tries_to_write_to_the_database(monkeypatch, tmp_path: Path) -> None:
    """A file that is no database is told before a run."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dbt_cloud.duckdb").write_text("no database")
    monkeypatch.chdir(tmp_path)
    done = run("check")
    assert done.exit_code == 1
    assert "NO  database:" in done.output


def test_check_names_what_is_missing(monkeypatch, tmp_path: Path) -> None:
    """With where its value is found; the rest is tried all the same."""
    monkeypatch.chdir(tmp_path)
    done = run("check")
    assert done.exit_code == 1
    assert "DBT_CLOUD_TOKEN" in done.output
    assert "ok  database:" in done.output


def test_check_says_what_a_wrong_token_means(sandbox, monkeypatch) -> None:
    """Once, not for each permission, and without the token."""
    monkeypatch.setenv("DBT_CLOUD_TOKEN", "dbtc_wrong")
    done = run("check")
    assert done.exit_code == 1
    assert done.output.count("Invalid token") == 1
    assert "dbtc_wrong" not in done.output


def test_check_names_a_job_that_is_not_there(sandbox) -> None:
    """By its id."""
    done = run("check", "--job-id", "999")
    assert done.exit_code == 1
    assert "NO  jobs:" in done.output


def test_the_sandbox_gets_its_arguments_as_they_are() -> None:
    """Its own help, not that of the verb."""
    done = run("sandbox", "--help")
    assert "-- COMMAND" in done.output


def test_the_sandbox_without_its_extra_says_so_in_a_line() -> None:
    """The package alone brings the verb, and not what the sandbox needs."""
    code = (
        "import sys; sys.modules['jsonschema'] = None\n"
        "from dbt_trigger_dagster.command_line import main; main(['sandbox'])"
    )
    done = subprocess.run(  # noqa: S603  # our own verb
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: The extra 'sandbox' brings what the sandbox needs")
    assert done.stderr.count("\n") == 1


def seeded(sandbox: Sandbox, *ages: int) -> list[int]:
    """Runs of the first job that ended so many days ago."""
    now = datetime.now(timezone.utc)
    job_id = sandbox.jobs[0].id
    return sandbox.seed(SeededRun(job_id, finished_at=now - timedelta(days=age)) for age in ages)


def landed_ids() -> list[int]:
    """The runs that the table holds, in the order in which they were written."""
    with duckdb.connect("data/dbt_cloud.duckdb", read_only=True) as connection:
        found = connection.execute("SELECT id FROM dbt_cloud_run ORDER BY loaded_at, id")
        return [run_id for (run_id,) in found.fetchall()]


def test_past_runs_are_landed_in_batches_the_oldest_first(sandbox) -> None:
    """Of the days that are wanted; and not twice."""
    old, *wanted = seeded(sandbox, 40, 20, 9, 8, 2, 1)
    job_id = str(sandbox.jobs[0].id)
    done = run("backfill", "--job-id", job_id, "--batch-size", "2", "--days", "30")
    assert done.exit_code == 0, done.output
    told = [line for line in done.output.splitlines() if "runs landed" in line]
    assert [line.partition(",")[0] for line in told] == [
        f"{count} of 5 runs landed" for count in (0, 2, 4, 5)
    ]
    assert landed_ids() == wanted
    again = run("backfill", "--job-id", job_id, "--days", "60")
    assert "1 of 1 runs landed" in again.output
    assert sorted(landed_ids()) == sorted([old, *wanted])
    assert "0 of 0 runs landed" in run("backfill", "--job-id", job_id).output


def test_a_batch_that_fails_is_told_and_does_not_keep_the_next(sandbox) -> None:
    """The exit code says that something is missing."""
    first, second = seeded(sandbox, 3, 2)
    job_id = str(sandbox.jobs[0].id)
    sandbox.inject(Fault(path=f"*/runs/{first}/", status=403, count=None))
    done = run("backfill", "--job-id", job_id, "--batch-size", "1")
    assert done.exit_code == 1
    assert "1 of 2 runs landed" in done.output
    assert landed_ids() == [second]


def test_the_keys_are_those_of_the_jobs_file(sandbox) -> None:
    """So the rows are found where the monitor and the assets look for them."""
    seeded(sandbox, 1)
    assert run("backfill", "--job-id", str(sandbox.jobs[0].id), "--key", "nightly").exit_code == 0
    with duckdb.connect("data/dbt_cloud.duckdb", read_only=True) as connection:
        found = connection.execute("SELECT DISTINCT asset_key FROM dbt_cloud_run").fetchall()
    assert found == [("nightly/run_result",)]


def test_past_runs_of_a_job_of_the_file_land_where_its_other_runs_do(
    sandbox, monkeypatch, tmp_path: Path
) -> None:
    """In the file's tables, under the job's keys and by its policy; its key is enough."""
    (run_id,) = seeded(sandbox, 1)
    job = f"job_name: {sandbox.jobs[0].name}, key: shop/nightly, wait_for_result: false"
    monkeypatch.setenv("DBT_CLOUD_JOB_ID", "999")  # of the code location for one job
    monkeypatch.setenv("DBT_TRIGGER_JOBS", str(a_jobs_file(tmp_path / "deployed", job)))
    done = run("backfill", "--key", "shop/nightly")
    assert (done.exit_code, "1 of 1 runs landed" in done.output) == (0, True), done.output
    with duckdb.connect(tmp_path / "deployed" / "tables.duckdb", read_only=True) as connection:
        found = connection.execute("SELECT id, asset_key FROM dbt_cloud_run").fetchall()
    assert found == [(run_id, "shop/nightly/run_result")]
    assert (tmp_path / "deployed" / "files").is_dir()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key", "shop/nigtly"], "has the key shop/nigtly. The keys are: shop/nightly."),
        (["--job-id", "999"], "has the id 999."),
        (["--job-id", "999", "--key", "shop/nightly"], "the key shop/nightly and the id 999."),
    ],
)
def test_backfill_of_a_job_that_the_file_lacks_is_refused(
    sandbox, monkeypatch, tmp_path: Path, arguments, said
) -> None:
    """Its rows would stand under a key that nobody looks for."""
    job = f"job_id: {sandbox.jobs[0].id}, key: shop/nightly"
    monkeypatch.setenv("DBT_TRIGGER_JOBS", str(a_jobs_file(tmp_path, job)))
    done = run("backfill", *arguments)
    assert done.exit_code == 1
    assert said in done.output


def test_backfill_from_before_the_calendar_is_refused(sandbox) -> None:
    """Who means "all there is" may well give a number that no date has."""
    done = run("backfill", "--job-id", str(sandbox.jobs[0].id), "--days", "1000000")
    assert done.exit_code == 2
    assert "is not in the range" in done.output


def test_backfill_of_no_job_says_what_to_give(sandbox, monkeypatch) -> None:
    """Where nothing names one."""
    monkeypatch.delenv("DBT_CLOUD_JOB_ID")
    done = run("backfill")
    assert done.exit_code == 1
    assert "give --job-id, or set DBT_CLOUD_JOB_ID" in done.output


def test_copy_tells_its_progress_and_what_is_there_in_the_end(tmp_path: Path) -> None:
    """From one kind of database to another."""
    open_store(str(tmp_path / "from.duckdb")).upsert(runs(1, 2, 3))
    done = run("copy", str(tmp_path / "from.duckdb"), f"sqlite:///{tmp_path}/to.db")
    assert (done.exit_code, done.output.splitlines()) == (
        0,
        ["dbt_cloud_run: 3 rows copied", "dbt_cloud_run: 3 rows copied, all found in 3"],
    )
    assert len(open_store(f"sqlite:///{tmp_path}/to.db").read(RUN)) == 3


def test_copy_takes_the_artifacts_along(tmp_path: Path) -> None:
    """Its rows name them where they are now, also where the database stays."""
    old, new = open_file_store(str(tmp_path / "old")), open_file_store(str(tmp_path / "new"))
    row = {"account_id": 7, "run_id": 1, "step": 0, "path": "manifest.json"}
    uri = old.put("7/9/1/manifest.json", [b"{}"])
    database = str(tmp_path / "rows.duckdb")
    open_store(database).upsert(ARTIFACT.rows([{**row, "uri": uri}]))
    done = run("copy", database, database, "--artifacts", str(tmp_path / "old"), new.uri(""))
    assert (done.exit_code, done.output.splitlines()) == (
        0,
        [
            "artifacts: 0 of 1 files are there, 0 copied (0 bytes)",
            "artifacts: 1 of 1 files are there, 1 copied (2 bytes)",
            "artifacts: all found",
            "dbt_cloud_artifact: 1 rows copied",
            "dbt_cloud_artifact: 1 rows copied, all found in 1",
        ],
    )
    (found,) = open_store(database).read(ARTIFACT)
    assert found["uri"] == new.uri("7/9/1/manifest.json")


def test_copy_names_the_lines_of_an_export_that_it_cannot_read(tmp_path: Path) -> None:
    """The rest lands, and the exit code says that it is not all."""
    (tmp_path / "dbt_cloud_run.csv").write_text("account_id,id\n101,x\n101,2\n")
    done = run("copy", str(tmp_path), str(tmp_path / "to.duckdb"))
    assert done.exit_code == 1
    assert "NO  dbt_cloud_run.csv, line 2: id is not a whole number: 'x'." in done.output
    assert "dbt_cloud_run: 1 rows copied, all found in 1" in done.output
    assert "1 rows could not be read; the rest is copied." in done.output


@pytest.mark.parametrize("source", ["{}/none.duckdb", "sqlite:///{}/none.db"])
def test_copy_makes_no_database_to_copy_from(tmp_path: Path, source: str) -> None:
    """A name that was mistyped is told, and leaves nothing."""
    done = run("copy", source.format(tmp_path), str(tmp_path / "to.duckdb"))
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert re.search(r"none\.d\w+ is not there\.", done.output)


def test_copy_of_nothing_is_no_success(tmp_path: Path) -> None:
    """Another schema was meant, or another file."""
    duckdb.connect(tmp_path / "from.duckdb").close()
    done = run("copy", str(tmp_path / "from.duckdb"), str(tmp_path / "to.duckdb"))
    assert (done.exit_code, "There was nothing to copy." in done.output) == (1, True)
