"""JSON of any size and in any state: what can be read is read, and never more than asked for."""

import io
import itertools
import json
import tracemalloc

import pytest

from dbt_trigger_dagster.artifacts.json_stream import (
    BrokenFileError,
    Element,
    OpenFile,
    plain,
    read_objects,
    read_sections,
)


def _opener(content) -> OpenFile:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda: io.BytesIO(raw)


def _read(content, *sections: str) -> tuple[list[Element], str]:
    """What is read, and why no more."""
    found = []
    try:
        found.extend(read_sections(_opener(content), sections))
    except BrokenFileError as error:
        return found, str(error)
    return found, ""


def test_objects_and_arrays_are_read_side_by_side() -> None:
    """In the order of the file, keys with their values, elements without keys; all else is left."""
    content = {
        "nodes": {"a": {"x": 1}},
        "big": [1, 2, 3],
        "results": [{"y": 2}],
        "nodes2": {"n": 1},
    }
    assert _read(content, "nodes", "results.item") == (
        [("nodes", "a", {"x": 1}), ("results.item", None, {"y": 2})],
        "",
    )


@pytest.mark.parametrize(
    "content", [b"", b"   ", b"<html>no</html>", b"\x00\x01\x02", b"{", b"1e%d" % 10**20]
)
def test_what_is_no_json_has_no_elements_and_says_why(content) -> None:
    """An error page, a file of 0 bytes, binary, a number that is none."""
    found, reason = _read(content, "nodes")
    assert found == []
    assert reason


@pytest.mark.parametrize("content", [b"[1, 2]", b"null", b'{"nodes": null}', b'{"nodes": [1]}'])
def test_json_of_another_shape_has_no_elements(content) -> None:
    """It is whole, so nothing is wrong with it."""
    assert _read(content, "nodes") == ([], "")


def test_of_a_torn_file_everything_before_the_tear_is_read() -> None:
    """Wherever it is torn."""
    whole = json.dumps({"results": [{"n": n} for n in range(8)], "args": {"which": "run"}}).encode()
    for length in range(len(whole)):
        found, reason = _read(whole[:length], "results.item")
        assert [element[2] for element in found] == [{"n": n} for n in range(len(found))]
        assert len(found) == whole[:length].count(b"}") - (b'"run"}' in whole[:length])
        assert reason


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'{"n": NaN}', {"n": None}),
        (b'{"n": [-Infinity, Infinity , 1]}', {"n": [None, None, 1]}),
        (b'\xef\xbb\xbf{"n": 1}', {"n": 1}),
        (b'{"n": "\xff\xfe"}', {"n": "\ufffd\ufffd"}),
        (b'{"n": "a\tb\nc"}', {"n": "a b c"}),
        (b'{"n": "\\ud800"}', {"n": "?"}),
        ('{"n": "\\ud83d\\ude00 \u00fc"}'.encode(), {"n": "\U0001f600 \u00fc"}),
    ],
)
def test_what_strict_json_forbids_is_mended(written, read) -> None:
    """NaN, infinities, a byte order mark, broken UTF-8, control characters, half a surrogate."""
    content = b'{"nodes": {"before": {}, "a": ' + written.removeprefix(b"\xef\xbb\xbf") + b"}}"
    if written.startswith(b"\xef\xbb\xbf"):
        content = b"\xef\xbb\xbf" + content
    assert _read(content, "nodes") == ([("nodes", "before", {}), ("nodes", "a", read)], "")


def test_the_words_nan_and_infinity_in_a_text_stay() -> None:
    """A file that needs no mending is not touched."""
    text = "select NaN, -Infinity, 1"
    assert _read({"nodes": {"a": text}}, "nodes") == ([("nodes", "a", text)], "")


def test_nan_is_found_wherever_the_pieces_of_the_file_end() -> None:
    """The file is read in pieces of 128 KiB."""
    for padding in range((1 << 17) - 34, (1 << 17) - 10, 3):
        content = b'{"nodes": {"a": "' + b"x" * padding + b'", "b": NaN, "c": -Infinity}}'
        found, reason = _read(content, "nodes")
        assert reason == ""
        assert [element[2] for element in found[1:]] == [None, None]


def test_one_section_is_read_as_an_object() -> None:
    """With floats for decimals; of a torn file, what there is."""
    content = b'{"args": {"which": "build", "n": 1.5, "huge": 1e400}, "x": '
    assert read_objects(_opener(content), "args") == [{"which": "build", "n": 1.5, "huge": None}]


def test_plain_values_are_those_that_json_can_say() -> None:
    """Integers stay integers, of any size."""
    ((_, _, value),), _ = _read(b'{"a": {"x": [1.25, 123456789012345678901234567890, true]}}', "a")
    assert plain(value) == [1.25, 123456789012345678901234567890, True]


def test_a_large_file_is_never_whole_in_memory() -> None:
    """50 MB of nodes take a few MB: one element at a time, and a piece of the file."""
    node = json.dumps({"code": "x" * 50_000}).encode()
    pieces = itertools.chain(
        [b'{"nodes": {'],
        (b'"n%d": %b%b' % (n, node, b"," if n < 999 else b"}}") for n in range(1000)),
    )
    tracemalloc.start()
    count = sum(1 for _ in read_sections(lambda: _Pieces(pieces), ["nodes"]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1000
    assert peak < 4_000_000


class _Pieces(io.RawIOBase):
    """A stream that never has more of its content than one piece."""

    def __init__(self, pieces) -> None:
        self._pieces = pieces

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002  # as any stream has it
        return next(self._pieces, b"")
