"""The marker: it stands at the end of each cause, whatever the rest is."""

import json

from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.marker import marked, marker, marker_key, without_marker
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import MAX_CAUSE_LENGTH, TriggerRequest


@given(
    cause=st.text(
        st.characters() | st.sampled_from("[]\"'\\\ud83d\U0001f469"),
        min_size=1,
        max_size=MAX_CAUSE_LENGTH,
    ).filter(str.strip),
    prefix=st.text("abc_-/", max_size=40),
)
def test_a_marked_cause_keeps_its_marker_and_fits(cause: str, prefix: str) -> None:
    """Brackets, quotes and any length: the user's part makes room, never the marker."""
    key = f"0e3c6a5e-7f0f-4f0e-9d5b-3f8f2f6f9a11/{prefix}"
    sent = marked(TriggerRequest(cause=cause), key).cause
    assert sent.endswith(marker(key))
    assert len(sent) <= MAX_CAUSE_LENGTH
    assert sent.startswith(cause[:100].rstrip())
    arrived = json.loads(json.dumps({"id": 1, "trigger": {"cause": sent}}))
    run = Run.from_payload(arrived)
    assert run.cause.endswith(marker(key))
    assert marker_key(run) == key
    assert cause.startswith(without_marker(run.cause))
