"""Faults on purpose: what goes wrong with which requests, and the requests that came."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config

_REMEMBERED_REQUESTS = 100_000

FaultKind = Literal["status", "hang", "reset", "truncate"]
FaultTime = Literal["before", "after"]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with some requests.

    Attributes:
        kind: ``status`` answers with an error, ``hang`` waits, ``reset`` closes the connection
            without an answer, ``truncate`` closes it after half of the body.
        method: The requests' method; ``*`` matches all.
        path: The requests' path, as a shell pattern.
        when: ``before``: the request has no effect. ``after``: it has, but its answer is lost or
            late; a run is started, for example.
        skip: How many matching requests pass first.
        count: How many requests are hit then; ``None`` hits all.
        status: The status code of ``status``.
        body: Its body: text is sent as it is, anything else as JSON.
        headers: Its headers, such as ``Retry-After``.
        seconds: How long ``hang`` waits; the request goes on if the client is still there.
    """

    kind: FaultKind = "status"
    method: str = "*"
    path: str = "*"
    when: FaultTime = "before"
    skip: Annotated[int, Field(ge=0)] = 0
    count: Annotated[int, Field(ge=0)] | None = 1
    status: Annotated[int, Field(ge=200, le=599)] = 500
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: Annotated[float, Field(ge=0)] = 0


@dataclass(frozen=True)
class RecordedRequest:
    """A request that came.

    Attributes:
        method: Its method.
        path: Its path.
        query: Its query string.
        connection: The client's port, one for each TCP connection.
    """

    method: str
    path: str
    query: str
    connection: int


@dataclass
class _ArmedFault:
    fault: Fault
    seen: int = 0

    def hits(self, request: RecordedRequest) -> bool:
        """Count a request if it matches, and tell whether it is to be hit."""
        fault = self.fault
        if fault.method not in {"*", request.method} or not fnmatchcase(request.path, fault.path):
            return False
        self.seen += 1
        hit = self.seen - fault.skip
        return hit > 0 and (fault.count is None or hit <= fault.count)


class FaultBoard:
    """The faults that are in force and the requests that came; safe to use from any thread."""

    def __init__(self) -> None:
        # Each step below is one operation on a list or a deque, which Python makes atomic.
        self._armed: list[_ArmedFault] = []
        self._requests: deque[RecordedRequest] = deque(maxlen=_REMEMBERED_REQUESTS)

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests that came, oldest first."""
        return list(self._requests)

    def inject(self, fault: Fault) -> None:
        """Put a fault in force, after those that already are."""
        self._armed.append(_ArmedFault(fault))

    def clear(self) -> None:
        """Lift all faults."""
        self._armed.clear()

    def record(self, request: RecordedRequest) -> Fault | None:
        """Remember a request, and return the fault that hits it."""
        self._requests.append(request)
        return next((armed.fault for armed in list(self._armed) if armed.hits(request)), None)
