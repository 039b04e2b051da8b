"""What can go wrong with a request, and the endpoints with which it can."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from dbt_trigger_dagster.sandbox import Fault, RecordedRequest, Script
from faults.graph import MAX_RETRIES, REQUEST_TIMEOUT

ARTIFACTS: Mapping[str, bytes] = {
    "manifest.json": b'{"nodes": {}}' * 1000,
    "run_results.json": b'{"results": []}' * 1000,
    "compiled/shop/orders.sql": b"select 1 as one\n" * 1000,
}
"""What each dbt run leaves."""

FAILS = Script(outcome="error", artifacts=ARTIFACTS)
"""A dbt run that ends in error, after which dbt Cloud can retry it."""

PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"
"""What a proxy or a login in front of dbt Cloud may answer."""

_HANG = 3 * REQUEST_TIMEOUT


def _refusal(status: int, said: str) -> dict[str, Any]:
    return {"status": {"code": status, "is_success": False, "user_message": said}, "data": None}


BEFORE: Mapping[str, Fault] = {
    "reset before": Fault("reset"),
    "reset after": Fault("reset", when="after"),
    "hang before": Fault("hang", seconds=_HANG),
    "hang after": Fault("hang", when="after", seconds=_HANG),
    "500": Fault(status=500, body=_refusal(500, "Internal server error.")),
    "502 HTML": Fault(status=502, body=PAGE),
    "503": Fault(status=503, body=PAGE),
    "429": Fault(status=429, body=_refusal(429, "Slow down."), headers={"Retry-After": "1"}),
    "200 HTML": Fault(status=200, body=PAGE),
    "truncated": Fault("truncate"),
    "404": Fault(status=404, body=_refusal(404, "The requested resource was not found.")),
    "401": Fault(status=401, body=_refusal(401, "Invalid token.")),
}
"""Faults of any request; those without "after" keep it from having an effect."""

AFTER: Mapping[str, Fault] = {
    f"{name} after": replace(BEFORE[name], when="after") for name in ("500", "502 HTML", "200 HTML")
}
"""Faults of requests with effects: the answer is lost although dbt Cloud has acted."""

_LOST = replace(BEFORE["reset after"], method="POST", path="*/run/")
_NEVER_ARRIVED = replace(BEFORE["reset before"], method="POST", path="*/run/")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint, and what makes the graph ask it.

    Attributes:
        name: What it is called in the table.
        method: The requests' method.
        path: The requests' path, as a shell pattern.
        repeats: Whether a good run asks it several times; of one that is asked once, the second
            and the last request are repetitions, after 503 was answered to those before.
        script: What the dbt run does.
        next_script: What the dbt run does that continues it; the fault then comes in the Dagster
            run that resumes the one which failed.
        wait: Config of dbt_cloud_run.
        provoked_by: Faults without which it would not be asked at all.
        provoked_later_by: The same for its second and last request.
    """

    name: str
    method: str
    path: str
    repeats: bool = False
    script: Script = field(default_factory=lambda: Script(artifacts=ARTIFACTS))
    next_script: Script | None = None
    wait: Mapping[str, Any] = field(default_factory=dict)
    provoked_by: tuple[Fault, ...] = ()
    provoked_later_by: tuple[Fault, ...] = ()

    def fault(self, kind: Fault, skip: int = 0) -> Fault:
        """A fault of this endpoint."""
        return replace(kind, method=self.method, path=self.path, skip=skip)

    def asked(self, requests: Sequence[RecordedRequest]) -> int:
        """How many of the requests went to this endpoint."""
        return sum(self.is_asked_by(request.method, request.path) for request in requests)

    def is_asked_by(self, method: str, path: str) -> bool:
        """Whether a request goes to this endpoint."""
        return method == self.method and fnmatchcase(path, self.path)

    @property
    def kinds(self) -> Mapping[str, Fault]:
        """The faults of this endpoint."""
        return {**BEFORE, **AFTER} if self.method == "POST" else BEFORE

    @property
    def is_cancelled(self) -> bool:
        """Whether the dbt run is meant to be cancelled."""
        return self.wait.get("on_timeout") == "cancel"


TRIGGER = Endpoint("trigger", "POST", "*/run/")
SEARCH = Endpoint(
    "search",
    "GET",
    "*/runs/",
    repeats=True,
    provoked_by=(_LOST,),
    provoked_later_by=(_NEVER_ARRIVED,),
)
GET_RUN = Endpoint(
    "get run",
    "GET",
    "*/runs/*[0-9]/",
    repeats=True,
    script=Script(seconds=1.5, artifacts=ARTIFACTS),
)
CANCEL = Endpoint(
    "cancel",
    "POST",
    "*/cancel/",
    script=Script(seconds=600, artifacts=ARTIFACTS, outcome="cancelled"),
    wait={"max_wait_time": 0.5, "on_timeout": "cancel"},
)
RETRY = Endpoint(
    "retry",
    "POST",
    "*/retry/",
    script=FAILS,
    next_script=Script(artifacts=ARTIFACTS),
)
LIST_ARTIFACTS = Endpoint("list artifacts", "GET", "*/artifacts/")
DOWNLOAD = Endpoint("download", "GET", "*/artifacts/?*", repeats=True)

ENDPOINTS = (TRIGGER, SEARCH, GET_RUN, CANCEL, RETRY, LIST_ARTIFACTS, DOWNLOAD)
"""The endpoints, in the order in which they are asked."""

POSITIONS = ("first", "second", "last")
"""Which request to an endpoint is hit."""


def armed(endpoint: Endpoint, kind: Fault | None, position: str, usual: int) -> list[Fault]:
    """The faults that hit one request to an endpoint.

    Args:
        endpoint: Which.
        kind: What goes wrong with that request; None for nothing.
        position: Which of `POSITIONS`.
        usual: How many requests to the endpoint a run without the fault makes.
    """
    provoking = endpoint.provoked_by if position == "first" else endpoint.provoked_later_by
    if kind is None:
        return list(provoking)
    if endpoint.repeats:
        return [
            *provoking,
            endpoint.fault(kind, {"first": 0, "second": 1}.get(position, usual - 1)),
        ]
    refused = {"first": 0, "second": 1}.get(position, MAX_RETRIES)
    busy = replace(endpoint.fault(BEFORE["503"]), count=refused)
    # What one fault hits, those after it do not count.
    return [*provoking, *([busy] if refused else []), endpoint.fault(kind)]
