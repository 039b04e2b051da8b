"""The token, taken out of everything that dbt Cloud says, where it comes in.

Servers and what stands before them do repeat what they got: in messages, logs, links and headers.
"""

import html
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

_INSTEAD = "(the token)"


class Redaction:
    """Takes a token out, in any letter case, as HTTP, JSON, URLs, HTML and Python write it.

    Args:
        token: The token.
    """

    def __init__(self, token: str) -> None:
        forms = {
            token,
            json.dumps(token)[1:-1],
            quote(token),
            quote(token, safe=""),
            quote_plus(token),
            html.escape(token),
            repr(token)[1:-1],
        }
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
        self._lower = tuple({form.lower() for form in forms})

    def __repr__(self) -> str:
        return "Redaction()"

    def text(self, text: str) -> str:
        """A text without the token."""
        lower = text.lower()  # to look first costs a twentieth of replacing
        if any(form in lower for form in self._lower):
            return self._pattern.sub(_INSTEAD, text)
        return text

    def data(self, value: Any) -> Any:
        """What JSON holds, with the same done to each text in it."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.data(part) for part in value]
        if isinstance(value, dict):
            return {self.text(name): self.data(part) for name, part in value.items()}
        return value
