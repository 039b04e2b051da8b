"""dbt Cloud on a laptop: a server that speaks its Administrative API and runs jobs with dbt Core.

Started by ``python -m dbt_trigger_dagster.sandbox``, or from Python as a context manager, with
real dbt or with scripts in its place, and with faults injected on purpose.
"""

from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.faults import Fault, RecordedRequest
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.account.scripts import GeneratedBytes, Script, ScriptStep
from dbt_trigger_dagster.sandbox.runners.seeds import SeededRun
from dbt_trigger_dagster.sandbox.server import Sandbox

__all__ = [
    "Fault",
    "GeneratedBytes",
    "RecordedRequest",
    "Sandbox",
    "SandboxError",
    "SandboxJob",
    "Script",
    "ScriptStep",
    "SeededRun",
]
