"""Ids in paths."""

from starlette.convertors import Convertor, register_url_convertor

from dbt_trigger_dagster.sandbox.account.errors import invalid

LARGEST_ID = 2**63 - 1
_MOST_DIGITS = len(str(LARGEST_ID))


class _IdConvertor(Convertor[int]):
    """As Starlette's own for integers, but for those that Python refuses to read."""

    regex = "[0-9]+"

    def convert(self, value: str) -> int:
        """Read an id.

        Raises:
            ApiError: It is larger than any id can be.
        """
        if len(value) > _MOST_DIGITS:
            raise invalid(f"{value[:_MOST_DIGITS]}... is greater than the maximum of {LARGEST_ID}")
        return int(value)

    def to_string(self, value: int) -> str:
        """Write an id."""
        return str(value)


def register_ids() -> None:
    """Let routes say ``{run_id:id}``."""
    register_url_convertor("id", _IdConvertor())
