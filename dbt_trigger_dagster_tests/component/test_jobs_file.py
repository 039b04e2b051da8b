"""A file of jobs that is made of an account's jobs: whatever they are called, it can be read."""

from pathlib import Path

import pytest

from dbt_trigger_dagster.component.code_location import JobsFile
from dbt_trigger_dagster.component.jobs_file import jobs_file
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster.dbt_cloud.models import Job


def keys_in_the_file(folder: Path, *names: str) -> list[str | None]:
    """The keys of jobs of these names, with the ids 1, 2, …, as the file is read."""
    jobs = [Job.from_payload({"id": at, "name": name}) for at, name in enumerate(names, 1)]
    file = folder / "jobs.yaml"
    file.write_text(jobs_file(jobs), encoding="utf-8")
    read = read_section(JobsFile, file)
    assert [job.group for job in read.jobs] == [job.key for job in read.jobs]
    return [job.key for job in read.jobs]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Shop: nightly build", "shop_nightly_build"),
        ("2024", "2024"),
        ("06:00", "06_00"),
        ("On", "on"),
        ("Null", "null"),
        ("0x1F", "0x1f"),
        ("日次", "job_1"),
    ],
)
def test_a_name_that_yaml_takes_for_something_else_is_text(
    tmp_path: Path, name: str, key: str
) -> None:
    """A number, a moment of the day, a yes or no, or nothing."""
    assert keys_in_the_file(tmp_path, name) == [key]


def test_a_key_that_was_made_is_no_other_jobs(tmp_path: Path) -> None:
    """The second "nightly" would get the key of the job that is called so."""
    names = ("Nightly", "Nightly 3", "nightly!")
    assert keys_in_the_file(tmp_path, *names) == ["nightly", "nightly_3", "nightly_3_3"]
