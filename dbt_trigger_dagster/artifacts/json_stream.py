"""Reads sections of JSON files of any size in bounded memory, and of broken ones what can be read.

Parsed by ijson (yajl): one element is in memory at a time. What strict JSON forbids and dbt or a
disk may write all the same (a byte order mark, NaN, Infinity, broken UTF-8, control characters in
text) is read on a second pass, which mends it; so a good file is never touched.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, groupby
from math import isfinite
from typing import Any, BinaryIO

import ijson

OpenFile = Callable[[], BinaryIO]
"""Opens a file from its beginning; may be called again."""

Element = tuple[str, str | None, Any]
"""An element of a section: the section, the element's key where it has one, and its value."""

_Event = tuple[str, str, Any]
"""Where the parser is, what it has found there, and its value."""

_CHUNK = 1 << 17
_ITEM = ".item"
_CARRIED = 16
_NOT_JSON = re.compile(r"(?<=[:\[,\s])(?:-?Infinity|NaN)(?=\s*[,\]}])")
_CONTROL = re.compile(r"[\x00-\x1f]")
_NOT_READ = (ijson.JSONError, ArithmeticError)  # the latter for an exponent beyond all decimals


class BrokenFileError(Exception):
    """A file ends too soon or is no JSON; what could be read has been handed out before."""


def read_sections(open_file: OpenFile, sections: Sequence[str]) -> Iterator[Element]:
    """The elements of some sections of a JSON file, as the file has them.

    Args:
        open_file: Opens the file; it is closed again.
        sections: Names of objects in the file, whose keys and values are wanted, or of arrays, with
            ``.item`` behind, whose elements are wanted.

    Raises:
        BrokenFileError: The file is broken; raised after everything that can be read.
    """
    read = Counter[str]()
    try:
        for element in _parse(_chunks(open_file), sections):
            read[element[0]] += 1
            yield element
    except _NOT_READ as error:
        first = error
    else:
        return
    try:
        for element in _parse(_mended(_chunks(open_file)), sections):
            read[element[0]] -= 1
            if read[element[0]] < 0:  # the others have been handed out before
                yield element
    except _NOT_READ:
        raise BrokenFileError(_reason(first)) from first


def read_objects(open_file: OpenFile, *names: str) -> list[Mapping[str, Any]]:
    """Some objects of a JSON file, with what can be read of each; empty where there is none."""
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    try:
        for name, key, value in read_sections(open_file, names):
            found[name][str(key)] = plain(value)
    except BrokenFileError:
        pass  # told by who reads the rest of the file
    return [*found.values()]


def results_in(open_file: OpenFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """The results of run_results.json or sources.json, which are alike: a node's id, and its own.

    Raises:
        BrokenFileError: The file is broken; raised after everything that can be read.
    """
    for _, _, result in read_sections(open_file, ["results.item"]):
        unique_id = result.get("unique_id") if isinstance(result, Mapping) else None
        if isinstance(unique_id, str) and unique_id:
            yield unique_id, plain(result)


def plain(value: Any) -> Any:
    """A parsed value with floats for decimals; what no database takes for a number is null."""
    if isinstance(value, Decimal):
        number = float(value)
        return number if isfinite(number) else None
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def _parse(chunks: Iterator[bytes], sections: Sequence[str]) -> Iterator[Element]:
    wanted = {section.removesuffix(_ITEM): section for section in sections}
    for place, events in groupby(_events(chunks), key=_section_of):
        section = wanted.get(place, "")
        if section.endswith(_ITEM):
            yield from ((section, None, value) for value in ijson.items(events, section))
        elif section:
            yield from ((section, str(key), value) for key, value in ijson.kvitems(events, section))


def _section_of(event: _Event) -> str:
    return event[0].partition(".")[0]


def _events(chunks: Iterator[bytes]) -> Iterator[_Event]:
    """What the parser finds, all of it also where it then finds no JSON."""
    found = ijson.sendable_list()
    parser = ijson.parse_coro(found)
    for chunk in chain(chunks, [b""]):
        broken = None
        try:
            parser.send(chunk) if chunk else parser.close()
        except _NOT_READ as error:
            broken = error
        yield from found
        found.clear()
        if broken is not None:
            raise broken


def _chunks(open_file: OpenFile) -> Iterator[bytes]:
    with open_file() as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _mended(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same text, as JSON that a strict parser takes."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    carried = ""
    for chunk in chunks:
        text = _NOT_JSON.sub("null", carried + decoder.decode(chunk))
        text = _CONTROL.sub(" ", text)
        carried = text[-_CARRIED:]
        yield text[: len(text) - len(carried)].encode()
    yield _NOT_JSON.sub("null", carried + decoder.decode(b"", final=True)).encode()


def _reason(error: Exception) -> str:
    """What is wrong, in the parser's first line."""
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return text.strip().partition("\n")[0].strip() or "it cannot be parsed"
