"""The account and the storage: named in a file, read when a run starts."""

from typing import Any

import dagster as dg
import jsonschema
import pytest
from pydantic import ValidationError

from dbt_trigger_dagster.component.account import PLACES, Workspace, account_resources
from dbt_trigger_dagster.component.storage import Storage, storage_resources

TOKEN = "dbtc_Very-Secret"


def test_a_workspace_names_the_documented_variables() -> None:
    """So an empty section works where they are set."""
    workspace = Workspace()
    assert workspace.account_id_env == "DBT_CLOUD_ACCOUNT_ID"
    assert workspace.token_env == "DBT_CLOUD_TOKEN"
    assert workspace.access_url_env == "DBT_CLOUD_ACCESS_URL"


def test_every_setting_arrives_in_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token from its variable, the rest as it is written."""
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    account = Workspace(
        account_id=7,
        token_env="MY_TOKEN",
        access_url="acme.us1.dbt.com",
        request_timeout=3,
        request_max_retries=1,
        request_retry_delay=0.1,
    ).build_account()
    assert account.model_dump() == {
        "account_id": 7,
        "token": TOKEN,
        "access_url": "acme.us1.dbt.com",
        "request_timeout": "3.0",
        "request_max_retries": 1,
        "request_retry_delay": "0.1",
    }


def test_the_environment_counts_when_the_account_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under whatever names the section gives."""
    workspace = Workspace(account_id_env="A_ID", token_env="A_TOKEN", access_url_env="A_URL")
    for name, value in (("A_ID", "9"), ("A_TOKEN", TOKEN), ("A_URL", "x.dbt.com")):
        monkeypatch.setenv(name, value)
    account = workspace.build_account()
    assert (account.account_id, account.token, account.access_url) == (9, TOKEN, "x.dbt.com")


def test_all_variables_that_are_not_set_are_named_with_the_place_to_look() -> None:
    """Those that the section does not need are not."""
    with pytest.raises(ValueError, match="not set") as caught:
        Workspace(account_id=7, token_env="MY_TOKEN").build_account("MY_JOB")
    assert str(caught.value).splitlines() == [
        "These environment variables are not set.",
        f"DBT_CLOUD_ACCESS_URL: {PLACES['access_url']}",
        f"MY_TOKEN: {PLACES['token']}",
        f"MY_JOB: {PLACES['job_id']}",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DBT_CLOUD_ACCESS_URL", "http://evil.example", "^DBT_CLOUD_ACCESS_URL 'http://evil"),
        (
            "DBT_CLOUD_ACCESS_URL",
            "https://u:p@x.dbt.com",
            "^DBT_CLOUD_ACCESS_URL is the host alone",
        ),
        ("DBT_CLOUD_ACCOUNT_ID", "0", "^DBT_CLOUD_ACCOUNT_ID 0 is not the id"),
        ("DBT_CLOUD_TOKEN", "two words", "^DBT_CLOUD_TOKEN has blanks"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """Not with the name of a setting that nobody has written."""
    good = {
        "DBT_CLOUD_ACCESS_URL": "x.dbt.com",
        "DBT_CLOUD_ACCOUNT_ID": "7",
        "DBT_CLOUD_TOKEN": TOKEN,
    }
    for name, each in {**good, variable: value}.items():
        monkeypatch.setenv(name, each)
    with pytest.raises(ValueError, match=said):
        Workspace().build_account()


def test_the_end_of_a_line_after_a_value_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes secrets are often made with one."""
    monkeypatch.setenv("DBT_CLOUD_ACCESS_URL", "x.dbt.com\n")
    monkeypatch.setenv("DBT_CLOUD_ACCOUNT_ID", "7\n")
    monkeypatch.setenv("DBT_CLOUD_TOKEN", f"{TOKEN}\n")
    account = Workspace().build_account()
    assert (account.account_id, account.token, account.access_url) == (7, TOKEN, "x.dbt.com")


@pytest.mark.parametrize("value", ["acme", "-5", "1.5"])
def test_an_account_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """With its variable and what the number is."""
    monkeypatch.setenv("MY_ID", value)
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    workspace = Workspace(account_id_env="MY_ID", token_env="MY_TOKEN", access_url="x.dbt.com")
    with pytest.raises(ValueError, match=f"^MY_ID '{value}' is not a number: it is"):
        workspace.build_account()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"token": TOKEN}, "a token stands in no file: give token_env"),
        ({"token_env": TOKEN}, "looks like a token"),
        ({"token_env": "ab12" * 10}, "looks like a token"),
        ({"token_env": "12ab" * 10}, "looks like a token"),
        ({"account_id_env": "AB12" * 8}, "looks like a token"),
        ({"access_url_env": "dbtu_abc"}, "looks like a token"),
        ({"token_env": "a-b"}, "not the name of an environment variable"),
        ({"token_env": "dbtc_abc"}, "looks like a token"),
        ({"token_env": "dbtu_abc"}, "looks like a token"),
        ({"token_env": ""}, "not the name of an environment variable"),
        ({"access_url_env": "https://x.dbt.com"}, "not the name of an environment variable"),
        ({"account_id": 7, "account_id_env": "A"}, "both given: give one"),
        ({"access_url": "x", "access_url_env": "A"}, "both given: give one"),
        ({"tokn": 1}, "Extra inputs"),
    ],
)
def test_a_workspace_that_says_nothing_of_use_is_refused(
    settings: dict[str, Any], sentence: str
) -> None:
    """Above all a literal token."""
    with pytest.raises(ValidationError) as caught:
        Workspace(**settings)
    assert sentence in caught.value.errors()[0]["msg"]


def test_a_checker_refuses_a_token_without_showing_it() -> None:
    """``dg check yaml`` and editors know the JSON schema alone."""
    validator = jsonschema.Draft202012Validator(Workspace.model().model_json_schema())
    assert validator.is_valid({"token_env": "MY_TOKEN"})
    (error,) = validator.iter_errors({"token": TOKEN})
    assert error.message == "'token' should not be valid under {'const': 'token'}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account_id", -1),
        ("access_url", "http://evil.example"),
        ("access_url", "not a host"),
        ("request_timeout", -1),
        ("request_timeout", float("inf")),
        ("request_max_retries", -1),
        ("request_retry_delay", -0.5),
    ],
)
def test_what_the_client_would_refuse_in_the_run_is_refused_at_once(name: str, value: Any) -> None:
    """In the client's own words, at the field that they name."""
    with pytest.raises(ValidationError) as caught:
        Workspace(**{name: value})
    problem = caught.value.errors()[0]["ctx"]["error"]
    assert str(problem).startswith(f"{name} ")
    assert problem.field == name


def test_storage_has_the_documented_variables_and_the_resources_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So an empty section works, with the variables and without."""
    assert Storage().build_tables().database == "data/dbt_cloud.duckdb"
    assert Storage().build_tables().schema_ == ""
    assert Storage().build_artifacts().root == "data/artifacts"
    monkeypatch.setenv("DBT_TRIGGER_DATABASE", "a.duckdb")
    monkeypatch.setenv("DBT_TRIGGER_ARTIFACTS", "b")
    assert Storage(schema="c").build_tables().database == "a.duckdb"
    assert Storage(schema="c").build_artifacts().root == "b"


def test_every_setting_arrives_in_the_storage() -> None:
    """Under the names that the file has."""
    storage = Storage(
        database="a.duckdb", schema="b", compatible_views=["elementary"], artifacts="c"
    )
    tables = storage.build_tables()
    assert (tables.database, tables.schema_) == ("a.duckdb", "b")
    assert tables.compatible_views == ["elementary"]
    assert storage.build_artifacts().root == "c"
    assert storage_resources(storage)


def test_a_variable_comes_before_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written counts where the variable is not set, or is empty."""
    storage = Storage(
        database="a.duckdb", database_env="MY_DB", artifacts="a", artifacts_env="MY_FILES"
    )
    for value in (None, ""):
        if value is not None:
            monkeypatch.setenv("MY_DB", value)
            monkeypatch.setenv("MY_FILES", value)
        assert storage.build_tables().database == "a.duckdb"
        assert storage.build_artifacts().root == "a"
    monkeypatch.setenv("MY_DB", "b.duckdb")
    monkeypatch.setenv("MY_FILES", "b")
    assert storage.build_tables().database == "b.duckdb"
    assert storage.build_artifacts().root == "b"


def test_the_same_settings_are_the_same_resources() -> None:
    """Dagster takes two of one name only if they are one object."""
    same = Workspace(account_id=1), Workspace(account_id=1)
    assert account_resources(same[0]) is account_resources(same[1])
    assert account_resources(same[0]) is not account_resources(Workspace(account_id=2))
    assert storage_resources(Storage()) is storage_resources(Storage())
    assert set(account_resources(same[0])) == {"dbt_cloud"}
    assert set(storage_resources(Storage())) == {"dbt_cloud_tables", "dbt_cloud_artifacts"}


@pytest.mark.slow
def test_defining_the_resources_reads_nothing() -> None:
    """The variables are not set; only a run fails."""
    resources = account_resources(Workspace(token_env="NOT_SET_ANYWHERE"))

    missing = pytest.raises(ValueError, match="NOT_SET_ANYWHERE")
    with dg.build_resources(dict(resources)) as made, missing:
        made.dbt_cloud.build_client()


def test_the_ui_says_which_account_and_never_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says as it is, and what a variable says by the variable's name."""
    monkeypatch.setenv("MINE", "dbtc_sesame")
    monkeypatch.setenv("DBT_CLOUD_ACCOUNT_ID", "77")
    of_variables = account_resources(Workspace(token_env="MINE"))["dbt_cloud"].description
    assert of_variables == (
        "The dbt Cloud account that DBT_CLOUD_ACCOUNT_ID names, at the host that "
        "DBT_CLOUD_ACCESS_URL names; its token is in MINE."
    )
    of_file = Workspace(account_id=5, access_url="ab123.us1.dbt.com").description
    assert of_file.startswith("The dbt Cloud account 5, at ab123.us1.dbt.com;")
