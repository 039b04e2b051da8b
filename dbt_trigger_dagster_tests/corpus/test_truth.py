"""What the documents say of ours beside others' is what the corpus gives."""

from pathlib import Path

from dbt_trigger_dagster_tests.corpus.truth import Step, ours, score, steps

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


def test_every_node_is_told_right() -> None:
    """None wrong, none missing; as the document says."""
    counts = score(ours)
    assert set(counts) == {"right"}
    assert counts["right"] >= 140
    assert f"| this package | {counts['right']} | 0 | 0 | 0 |" in DOCUMENT.read_text("utf-8")


def test_a_wrong_and_a_missing_claim_would_be_told() -> None:
    """If none were found, nothing would be scored."""

    def all_passed(step: Step) -> dict[str, str]:
        return {row["unique_id"]: "passed" for row in step.found.results.values()}

    wrong, silent = score(all_passed), score(lambda _: {})
    assert wrong["right"] > 0
    assert wrong["wrong"] > 0
    assert silent["missing"] > 0
    assert set(score(_raises)) == {"raises", *silent}
    assert score(_raises)["raises"] == len(list(steps()))


def _raises(step: Step) -> dict[str, str]:
    raise ValueError(step.command.text)
