"""The package on the command line: ``dbt-trigger-dagster``, a thin shell over the rooms below."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from dbt_trigger_dagster.artifacts.copy import copy_artifacts, moved
from dbt_trigger_dagster.component.account import Workspace
from dbt_trigger_dagster.component.check import check as check_everything
from dbt_trigger_dagster.component.check import places
from dbt_trigger_dagster.component.code_location import CodeLocation
from dbt_trigger_dagster.component.jobs_file import cron_of, defs_file, jobs_file, key_of, name_in
from dbt_trigger_dagster.dbt_cloud.client import __version__
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.models import Job
from dbt_trigger_dagster.dbt_cloud.parameters import JobFilter
from dbt_trigger_dagster.dbt_cloud.text import one_line
from dbt_trigger_dagster.storage.copy import Source, copy_tables, rows_of
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore, open_file_store
from dbt_trigger_dagster.storage.keboola import rows_of_exports
from dbt_trigger_dagster.storage.store import file_of, open_store

_MARKS = {True: "ok", False: "NO", None: "? "}
_WIDEST = 44


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dbt-trigger-dagster")
def main() -> None:
    """Run dbt Cloud jobs from Dagster.

    The account is the one that DBT_CLOUD_ACCESS_URL, DBT_CLOUD_ACCOUNT_ID and DBT_CLOUD_TOKEN
    name; tables and artifacts are where DBT_TRIGGER_DATABASE and DBT_TRIGGER_ARTIFACTS say.
    check and backfill go by the file that DBT_TRIGGER_JOBS names, or by the dg project that they
    are started in.
    """


def _location() -> CodeLocation:
    try:
        return CodeLocation.around(Path.cwd())
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--name", help="Only jobs whose name has this in it.")
@click.option("--project-id", type=int, help="Only jobs of this project.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jobs.yaml", "defs.yaml"]),
    default="table",
    show_default=True,
    help="A list to read, or a file to start from.",
)
def jobs(name: str | None, project_id: int | None, form: str) -> None:
    """List the account's jobs, or write them as a file.

    \b
    Examples:
      dbt-trigger-dagster jobs
      dbt-trigger-dagster jobs --format jobs.yaml > jobs.yaml
      dbt-trigger-dagster jobs --name nightly --format defs.yaml > defs.yaml
    """
    try:
        with Workspace().build_account().build_client() as client:
            job_filter = JobFilter(name__icontains=name, project_id=project_id)
            found = list(client.list_jobs(job_filter, include_related=("project", "environment")))
    except (DbtCloudError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if not found:
        raise click.ClickException("The token sees no such job in this account.")
    writers = {"table": _table, "jobs.yaml": jobs_file, "defs.yaml": defs_file}
    click.echo(writers[form](found), nl=False)


def _table(found: Sequence[Job]) -> str:
    rows = [("id", "name", "key", "project", "environment", "dbt Cloud's own schedule")]
    rows += [
        (
            str(job.job_id),
            job.name,
            key_of(job),
            name_in(job.payload, "project") or "",
            name_in(job.payload, "environment") or "",
            cron_of(job) or "",
        )
        for job in found
    ]
    shown = [[_short(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)
    return "".join(f"{line}\n" for line in lines)


@main.command()
@click.option("--job-id", type=int, envvar="DBT_CLOUD_JOB_ID", help="Also try this job.")
def check(job_id: int | None) -> None:
    """Try settings, permissions, jobs, database and artifacts' store; no run is started.

    \b
    Examples:
      dbt-trigger-dagster check
      dbt-trigger-dagster check --job-id 67890
      DBT_TRIGGER_JOBS=jobs.yaml dbt-trigger-dagster check
    """
    location = _location()
    for what, told in places(location):
        click.echo(f"    {what + ':':<10} {told}")
    findings = []
    for finding in check_everything(location, job_id):
        findings.append(finding)
        click.echo(f"{_MARKS[finding.is_good]}  {finding.what + ':':<10} {finding.sentence}")
    if any(finding.is_good is False for finding in findings):
        sys.exit(1)


@main.command()
@click.option("--job-id", type=int, help="The job; else the one of --key or DBT_CLOUD_JOB_ID.")
@click.option(
    "--days", type=click.IntRange(1, 36_500), default=30, show_default=True, help="How far back."
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100),
    default=20,
    show_default=True,
    help="Runs that one Dagster run lands.",
)
@click.option("--key", default="", help="The job's key in jobs.yaml or defs.yaml.")
def backfill(job_id: int | None, days: int, batch_size: int, key: str) -> None:
    """Land the past runs of a job that the tables do not hold, the oldest first.

    It may be interrupted and started again: what is landed is not landed twice.

    \b
    Examples:
      dbt-trigger-dagster backfill --job-id 67890 --days 90
      DBT_TRIGGER_JOBS=jobs.yaml dbt-trigger-dagster backfill --key nightly --days 7
    """
    # Dagster is loaded by this verb alone.
    from dbt_trigger_dagster.component.backfill import Backfill  # noqa: PLC0415

    past = Backfill(_location(), job_id, key)
    is_good = True
    try:
        for progress in past.land(days, batch_size):
            is_good = is_good and not progress.failure
            until = (
                f", those that ended until {progress.until:%Y-%m-%d %H:%M}"
                if progress.until
                else ""
            )
            click.echo(f"{progress.landed} of {progress.total} runs landed{until}")
            if progress.failure:
                click.echo(f"NO  {progress.failure}", err=True)
    except (DbtCloudError, StorageError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if not is_good:
        sys.exit(1)


@main.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--from-schema", default="", help="Schema of the tables to copy.")
@click.option("--to-schema", default="", help="Schema to copy them to.")
@click.option(
    "--artifacts",
    nargs=2,
    metavar="FROM TO",
    help="Also copy the files, from one place that DBT_TRIGGER_ARTIFACTS may be to another.",
)
def copy(
    source: str,
    target: str,
    from_schema: str,
    to_schema: str,
    artifacts: tuple[str, str] | None,
) -> None:
    """Copy all tables to another database; rows of the same keys are replaced.

    FROM and TO are what DBT_TRIGGER_DATABASE may be. FROM may be a folder with Keboola's exports,
    dbt_cloud_trigger.csv and dbt_cloud_run.csv, too. With --artifacts, files are copied first, and
    the rows name the new place. A copy that was interrupted may be started again.

    \b
    Examples:
      dbt-trigger-dagster copy data/dbt_cloud.duckdb postgresql://dagster@db/dbt
      dbt-trigger-dagster copy exports data/dbt_cloud.duckdb
      dbt-trigger-dagster copy data/dbt_cloud.duckdb postgresql://dagster@db/dbt \\
        --artifacts data/artifacts s3://bucket/dbt
    """
    unreadable = 0

    def tell(sentence: str) -> None:
        nonlocal unreadable
        unreadable += 1
        click.echo(f"NO  {one_line(sentence)}", err=True)

    try:
        is_empty = True
        rows = _source(source, from_schema, tell)
        if artifacts is not None:
            rows = moved(rows, _copied_artifacts(*artifacts))
        for progress in copy_tables(rows, open_store(target, schema=to_schema)):
            is_empty = False
            checked = "" if progress.total is None else f", all found in {progress.total:,}"
            click.echo(f"{progress.table.name}: {progress.copied:,} rows copied{checked}")
    except StorageError as error:
        raise click.ClickException(str(error)) from error
    if is_empty:
        raise click.ClickException("There was nothing to copy.")
    if unreadable:
        raise click.ClickException(f"{unreadable} rows could not be read; the rest is copied.")


def _source(source: str, schema: str, tell: Callable[[str], None]) -> Source:
    file = file_of(source)
    if file is not None and file.is_dir():
        return rows_of_exports(file, tell)
    if file is not None and not file.exists():
        raise StorageError(f"{file} is not there.")
    return rows_of(open_store(source, schema=schema))


def _copied_artifacts(source: str, target: str) -> FileStore:
    """Copy the files, and tell how far it is; the place where they are."""
    files = open_file_store(target)
    for progress in copy_artifacts(open_file_store(source), files):
        click.echo(
            f"artifacts: {progress.there:,} of {progress.total:,} files are there, "
            f"{progress.copied:,} copied ({progress.copied_bytes:,} bytes)"
        )
    click.echo("artifacts: all found")
    return files


class _PassedOn(click.Command):
    """A command that gets its arguments as they are, ``--`` and ``--help`` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse nothing."""
        ctx.args = list(args)
        return ctx.args


@main.command(cls=_PassedOn, add_help_option=False)
@click.pass_context
def sandbox(context: click.Context) -> None:
    """Start dbt Cloud on your laptop; its own --help lists the options.

    \b
    Examples:
      dbt-trigger-dagster sandbox
      dbt-trigger-dagster sandbox -- dagster dev -m dbt_trigger_dagster.definitions
    """
    # The sandbox and what it brings are loaded by this verb alone.
    try:
        from dbt_trigger_dagster.sandbox.command_line import main as run_sandbox  # noqa: PLC0415
    except ModuleNotFoundError as error:  # it says which extra is not installed
        raise click.ClickException(str(error)) from error
    sys.exit(run_sandbox(context.args))


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"
