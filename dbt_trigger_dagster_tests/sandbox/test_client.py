"""The small client that the tests of the sandbox share."""

from typing import TYPE_CHECKING, Any

import requests

from dbt_trigger_dagster.sandbox import Sandbox
from dbt_trigger_dagster_tests.clocks import until

if TYPE_CHECKING:
    from typing_extensions import Self

IN_PROGRESS = {1, 2, 3}


class Api:
    """Speaks to a sandbox as its token's owner."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.root = f"{sandbox.access_url}/api/v2/accounts/{sandbox.account_id}"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Token {sandbox.token}"

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET a path below the account."""
        return self.session.get(f"{self.root}{path}", params=params, timeout=10)

    def post(self, path: str, body: Any = None) -> requests.Response:
        """POST to a path below the account."""
        return self.session.post(f"{self.root}{path}", json=body, timeout=10)

    def data(self, path: str, **params: Any) -> Any:
        """GET a path that must answer with data, and return these."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def trigger(self, position: int = 0, **overrides: Any) -> dict[str, Any]:
        """Start a run of the job at a position, and return it."""
        job_id = self.sandbox.jobs[position].id
        response = self.post(f"/jobs/{job_id}/run/", {"cause": "a test", **overrides})
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def run(self, run_id: int, related: str = "run_steps") -> dict[str, Any]:
        """Return a run as it is now, with its steps."""
        return self.data(f"/runs/{run_id}/", include_related=related)

    def finished_run(self, run_id: int) -> dict[str, Any]:
        """Wait until a run is over, and return it with its steps."""
        bare = f"/runs/{run_id}/"  # with its steps come all logs
        until(lambda: self.data(bare)["status"] not in IN_PROGRESS, f"run {run_id} is over")
        return self.run(run_id)
