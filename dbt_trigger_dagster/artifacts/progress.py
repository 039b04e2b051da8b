"""How far a run in flight is, as its steps and their logs tell."""

from dbt_trigger_dagster.artifacts.step_log import nodes_done
from dbt_trigger_dagster.dbt_cloud.models import Run, RunStatus


def progress_of(run: Run) -> str:
    """The step that runs and how many nodes it has done, in words; empty where nobody knows.

    Args:
        run: The run, with its steps.
    """
    running = [step for step in run.steps if step.status in {RunStatus.STARTING, RunStatus.RUNNING}]
    if not running:
        return ""
    step = running[-1]
    done, total = nodes_done(step.logs.splitlines())
    nodes = f", {done} of {total} nodes" if total else f", {done} nodes done" if done else ""
    return f"step {step.index}: {step.name}{nodes}"
