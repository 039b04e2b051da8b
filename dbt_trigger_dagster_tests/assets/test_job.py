"""The job of a graph, written into its assets' metadata and read back."""

import dagster as dg
import pytest

from dbt_trigger_dagster.assets.job import job_metadata, job_of


@pytest.mark.parametrize(
    ("job", "metadata"),
    [
        ((7, None), {"dbt_trigger_dagster/job_id": 7}),
        ((None, "Nightly"), {"dbt_trigger_dagster/job_name": "Nightly"}),
        ((dg.EnvVar.int("THE_JOB"), None), {"dbt_trigger_dagster/job_id_env": "THE_JOB"}),
        ((None, dg.EnvVar("THE_NAME")), {"dbt_trigger_dagster/job_name_env": "THE_NAME"}),
        ((None, None), {}),
    ],
)
def test_a_job_is_named_as_its_definition_names_it(job, metadata) -> None:
    """Of a variable the name, and never its value."""
    assert job_metadata(*job) == metadata


def test_what_is_written_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable counts as it is now."""
    assert job_of(job_metadata(7, None)) == (7, None)
    assert job_of(job_metadata(None, "Nightly")) == (None, "Nightly")
    assert job_of(job_metadata(None, None)) == (None, None)
    variable = job_metadata(dg.EnvVar.int("THE_JOB"), None)
    assert job_of(variable) == (None, None)
    monkeypatch.setenv("THE_JOB", "")
    assert job_of(variable) == (None, None)
    monkeypatch.setenv("THE_JOB", "12")
    assert job_of(variable) == (12, None)
    monkeypatch.setenv("THE_NAME", "Nightly")
    assert job_of(job_metadata(None, dg.EnvVar("THE_NAME"))) == (None, "Nightly")


def test_metadata_values_are_read_as_what_they_hold() -> None:
    """Dagster may wrap them."""
    assert job_of({"dbt_trigger_dagster/job_id": dg.MetadataValue.int(7)}) == (7, None)
    wrapped = {"dbt_trigger_dagster/job_name": dg.MetadataValue.text("Nightly")}
    assert job_of(wrapped) == (None, "Nightly")


def test_a_variable_that_holds_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it should hold."""
    monkeypatch.setenv("THE_JOB", "nightly")
    with pytest.raises(ValueError, match=r"^THE_JOB is not the number of a job"):
        job_of(job_metadata(dg.EnvVar.int("THE_JOB"), None))
