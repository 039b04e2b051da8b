"""The account and the artifacts' store: every setting arrives, and the token shows nowhere."""

import traceback
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import responses
from dagster._core.remote_representation.external_data import RepositorySnap

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudError,
    DbtCloudResource,
    DbtCloudTableIOManager,
    StorageError,
    build_dbt_cloud_job_assets,
)
from dbt_trigger_dagster.dbt_cloud.models import Run

TOKEN = "dbtc_Zx81-very-unusual"
HOST = "ab123.us1.dbt.com"
SETTINGS: dict[str, Any] = {
    "account_id": 4242,
    "token": TOKEN,
    "access_url": HOST,
    "request_timeout": 7.5,
    "request_max_retries": 3,
    "request_retry_delay": 0.125,
}
"""Every field, with a value that no default has."""

BY_ENVIRONMENT: dict[str, Any] = {
    "account_id": dg.EnvVar.int("TEST_ACCOUNT_ID"),
    "token": dg.EnvVar("TEST_TOKEN"),
    "access_url": dg.EnvVar("TEST_ACCESS_URL"),
    "request_timeout": dg.EnvVar("TEST_REQUEST_TIMEOUT"),
    "request_max_retries": dg.EnvVar.int("TEST_REQUEST_MAX_RETRIES"),
    "request_retry_delay": dg.EnvVar("TEST_REQUEST_RETRY_DELAY"),
}


def what_arrives(resource: DbtCloudResource) -> dict[str, Any]:
    """The settings as they are seen on the wire, and in the client where they never get there."""
    with (
        responses.RequestsMock() as wire,
        dg.build_resources({"dbt_cloud": resource}) as ready,
        ready.dbt_cloud.build_client() as client,
    ):
        account = wire.get(f"https://{HOST}/api/v2/accounts/4242/", json={"data": {"id": 4242}})
        client.get_account()
        request: Any = account.calls[0].request
        return {
            "account_id": client.account_id,
            "token": request.headers["Authorization"].removeprefix("Token "),
            "access_url": client.access_url.removeprefix("https://"),
            "request_timeout": request.req_kwargs["timeout"],
            "request_max_retries": client.retry_policy.max_retries,
            "request_retry_delay": client.retry_policy.delay,
        }


def test_no_field_is_forgotten_here() -> None:
    """A field that is added must be shown to arrive, too, literally and from the environment."""
    assert set(DbtCloudResource.model_fields) == SETTINGS.keys() == BY_ENVIRONMENT.keys()
    defaults = {name: field.default for name, field in DbtCloudResource.model_fields.items()}
    assert not [name for name, value in SETTINGS.items() if str(defaults[name]) == str(value)]


@pytest.mark.slow
def test_every_field_arrives_in_the_client() -> None:
    """Given literally."""
    assert what_arrives(DbtCloudResource(**SETTINGS)) == SETTINGS


@pytest.mark.slow
def test_every_field_arrives_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read when a run begins, not when the resource is defined."""
    resource = DbtCloudResource(**BY_ENVIRONMENT)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"TEST_{name.upper()}", str(value))
    assert what_arrives(resource) == SETTINGS


def test_the_defaults_are_the_contract() -> None:
    """Half a minute, five repetitions, half a second; and no host, because hosts differ."""
    fields = DbtCloudResource.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    assert required == ["account_id", "token", "access_url"]
    with DbtCloudResource(account_id=1, token="t", access_url=HOST).build_client() as client:
        assert (client.retry_policy.max_retries, client.retry_policy.delay) == (5, 0.5)
    assert float(fields["request_timeout"].default) == 30


@pytest.mark.parametrize("resource", [DbtCloudResource, DbtCloudArtifactStore])
def test_every_field_is_described(resource: type[dg.ConfigurableResource[Any]]) -> None:
    """The UI shows the descriptions."""
    assert all(field.description for field in resource.model_fields.values())


def test_the_token_is_in_no_repr() -> None:
    """A repr ends up in logs, in tracebacks and in debuggers."""
    resource = DbtCloudResource(**SETTINGS)
    with resource.build_client() as client:
        for shown in (resource, [resource], client, client._transport):
            assert TOKEN not in repr(shown)
            assert TOKEN not in str(shown)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"access_url": f"http://{HOST}"}, "would send the token unencrypted"),
        ({"access_url": f"https://{HOST}/api"}, "the host alone"),
        ({"access_url": ""}, "not the address of a host"),
        ({"account_id": 0}, "account_id 0 is not the id of a dbt Cloud account"),
        ({"account_id": -1}, "account_id -1"),
        ({"token": " "}, "token is empty"),
        ({"token": f"{TOKEN}\n{TOKEN}"}, "token has blanks"),
        ({"request_timeout": 0}, "request_timeout 0.0 must be more than 0"),
        ({"request_timeout": "soon"}, "request_timeout 'soon' is no number of seconds"),
        ({"request_max_retries": -1}, "must be 0 or more"),
        ({"request_retry_delay": -0.5}, "must be 0 or more"),
        ({"request_retry_delay": "a while"}, "request_retry_delay 'a while' is no number"),
    ],
)
def test_a_setting_that_cannot_be_used_is_a_clear_sentence(
    settings: dict[str, Any], message: str
) -> None:
    """It says which and why, and the token is not in the traceback either."""
    resource = DbtCloudResource(**{**SETTINGS, **settings})
    with pytest.raises(ValueError, match=message) as caught:
        resource.build_client()
    assert "\n" not in str(caught.value)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("access_url", "expected"),
    [
        (HOST, f"https://{HOST}"),
        (f"https://{HOST}/", f"https://{HOST}"),
        (f"  {HOST}/ ", f"https://{HOST}"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_access_url_may_be_written_as_people_do(access_url: str, expected: str) -> None:
    """A bare host gets https; plain http is for this machine only."""
    with DbtCloudResource(**{**SETTINGS, "access_url": access_url}).build_client() as client:
        assert client.access_url == expected


def test_the_token_is_not_in_the_error_of_a_refusal() -> None:
    """Neither in its words nor in the traceback with its causes."""
    with responses.RequestsMock() as wire, DbtCloudResource(**SETTINGS).build_client() as client:
        wire.get(f"https://{HOST}/api/v2/accounts/4242/", status=401, body="no")
        with pytest.raises(DbtCloudError) as caught:
            client.get_account()
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


# The artifacts' store


def a_run() -> Run:
    """A run as the API gives it."""
    return Run.from_payload({"id": 42, "account_id": 7, "job_id": 9, "status": 10})


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Account, job and run, so that nothing of one run overwrites another's."""
    store = DbtCloudArtifactStore(root=str(tmp_path / "kept"))
    assert store.files().uri(store.folder_of(a_run())) == str(tmp_path / "kept" / "7" / "9" / "42")


def test_the_root_is_below_the_working_directory_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is data/artifacts; the folder's address is absolute all the same."""
    monkeypatch.chdir(tmp_path)
    assert DbtCloudArtifactStore().files().uri("7") == str(tmp_path / "data" / "artifacts" / "7")
    assert list(tmp_path.iterdir()) == []


def test_the_root_may_be_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde means what it means in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert DbtCloudArtifactStore(root="~/kept").files().uri("7") == str(tmp_path / "kept" / "7")


def test_the_check_tries_the_folder_of_the_job(tmp_path: Path) -> None:
    """The root may be written, and a job's own folder not, because someone else made it."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "9").write_text("in the way")
    store = DbtCloudArtifactStore(root=str(tmp_path))
    store.check()
    store.check(7, 8)
    with pytest.raises(StorageError, match="7/9 cannot be written"):
        store.check(7, 9)


@pytest.mark.slow
def test_the_root_arrives_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read when a run begins."""
    store = DbtCloudArtifactStore(root=dg.EnvVar("TEST_ROOT"))
    monkeypatch.setenv("TEST_ROOT", str(tmp_path / "kept"))
    with dg.build_resources({"store": store}) as ready:
        ready.store.check()
    assert (tmp_path / "kept").is_dir()
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("root", ["ftp://host/x", "file:///x", "http://host/x", "s3://", "md:x://"])
def test_a_root_of_another_kind_is_refused(root: str) -> None:
    """It must not silently become a folder of that name."""
    with pytest.raises(StorageError, match="not supported: give the path of a folder, or a URL"):
        DbtCloudArtifactStore(root=root).check()


@pytest.mark.parametrize(
    "root", ["s3://KEY:SESAME@bucket/x", "az://box/x?sig=SESAME", "s3://bucket/x#SESAME"]
)
def test_a_url_that_holds_more_than_a_place_is_refused(root: str) -> None:
    """Half of it would be ignored, and secrets would stand in each row's uri."""
    with pytest.raises(StorageError, match="give keys, tokens and settings as options") as caught:
        DbtCloudArtifactStore(root=root).check()
    assert "SESAME" not in str(caught.value)


def test_a_folder_has_no_options(tmp_path: Path) -> None:
    """Whoever gives some means another root."""
    with pytest.raises(StorageError, match="is a folder, which has no options"):
        DbtCloudArtifactStore(root=str(tmp_path), options={"region": "x"}).check()


def test_the_options_of_a_store_stand_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in its repr, nor in what Dagster's webserver is told of the code location."""
    monkeypatch.setenv("TEST_SECRET", "sesame-from-the-environment")
    options = {
        "access_key_id": "key",
        "secret_access_key": "sesame",
        "session_token": dg.EnvVar("TEST_SECRET"),
    }
    store = DbtCloudArtifactStore(root="s3://bucket/x", options=options)
    assets = build_dbt_cloud_job_assets(job_id=1)
    resources = {
        "dbt_cloud": DbtCloudResource(**SETTINGS),
        "dbt_cloud_tables": DbtCloudTableIOManager(),
        "dbt_cloud_artifacts": store,
    }
    snapshot = dg.serialize_value(
        RepositorySnap.from_def(dg.Definitions(assets, resources=resources).get_repository_def())
    )
    assert "s3://bucket/x" in snapshot
    assert "sesame" not in repr(store) + repr(store.files()) + snapshot


def test_a_root_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """Before a run is triggered whose artifacts could not be kept."""
    (tmp_path / "file").write_text("")
    store = DbtCloudArtifactStore(root=str(tmp_path / "file" / "kept"))
    with pytest.raises(StorageError, match="cannot be written") as caught:
        store.check()
    assert str(tmp_path / "file" / "kept") in str(caught.value)
