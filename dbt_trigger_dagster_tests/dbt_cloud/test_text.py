"""Texts of others, in a log."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbt_trigger_dagster.dbt_cloud.text import lines, one_line


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("as it is: größe, 日本, 👩‍💻 <b>*x*</b>", "as it is: größe, 日本, 👩‍💻 <b>*x*</b>"),
        ("two\nlines\r\nof\u2028all\u2029kinds\x85here\x0b\x0c\x1c", "two lines of all kinds here"),
        ("\x1b[31mred\x1b[0m, \x1b[1;32;4mgreen\x1b[m", "red, green"),
        ("up\x1b[2A\x1b[2K\x1b[1Gand over it", "upand over it"),
        ("\x1b]0;a title\x07a \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "a link"),
        ("\x1b]8;;never ends", ""),
        ("\x1b(B\x1b7\x1bcreset", "reset"),
        ("over\x08\x08\x08\x08it \x9b2J \x07\x00", "over����it �2J ��"),
        ("user\u202etxt.exe", "user�txt.exe"),
        ("half \ud83d", "half �"),
        ("none at all \ufffe\uffff", "none at all ��"),
        ("\x1b\x1b[31m", "�"),
        ("", ""),
    ],
    ids=ascii,
)
def test_one_line_is_one_and_tells_a_terminal_nothing(text, printed) -> None:
    """Colours are dropped; other commands to a terminal leave a trace, if any."""
    assert one_line(text) == printed


def test_lines_are_told_apart_wherever_a_terminal_would() -> None:
    """A carriage return would write one over the other."""
    text = "  one  \n\n\x1b[31mtwo\x1b[0m\rthree\x1b[1A\r\n\t\n four"
    assert lines(text) == ["  one", "two", "three", " four"]


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b[]0;m\x07\\\r\n\ud800")))
def test_no_text_gets_a_control_character_into_a_log(text) -> None:
    """Nor half a surrogate pair, which cannot be written."""
    for line in [one_line(text), *lines(text)]:
        assert len(line.splitlines()) <= 1
        assert not {unicodedata.category(char) for char in line.replace("\t", "")} & {"Cc", "Cs"}
        line.encode()
