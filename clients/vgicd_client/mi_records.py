"""Lines of gdb's machine interface as records; nothing that gdb or its target prints can stop or stall the parser.

pygdbmi's `parse_response` loops for ever on an unterminated `[`, recurses as deep as its input nests and raises on a
tuple of bare values, so that it sees only lines that have been found whole: bounded, of the grammar of "GDB/MI Output
Syntax" in gdb's manual, every string, list and tuple closed.  Whatever else arrives is an `Unparsed` record.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, TypeAlias

from pygdbmi import gdbmiparser

LINE_LIMIT: Final = 16 << 20
"""Bytes of the longest line that is parsed: 8 MiB of target memory in one answer."""
DEPTH_LIMIT: Final = 64
"""Lists and tuples inside each other; gdb's own go to about ten, each level costs the parser three stack frames."""
EXCERPT: Final = 200
"""Characters of a line that an `Unparsed` keeps."""

Payload: TypeAlias = dict[str, Any]
"""The named values of a record, as pygdbmi has them: text, lists and further payloads; all numbers are text."""


class Result(NamedTuple):
    """`TOKEN^kind,payload`: the answer to a command. One that resumes the target may have two: running, then error."""

    token: int | None
    kind: str  # done, running, connected, error, exit
    payload: Payload


class Notice(NamedTuple):
    """`*kind,payload` or `=kind,payload`: what happened without being asked for."""

    kind: str  # stopped, running, thread-created, ...
    payload: Payload


class Output(NamedTuple):
    """`~"text"`, `@"text"` or `&"text"`: what gdb says, what its target says, what gdb says of itself."""

    stream: str  # console, target, log
    text: str


class Prompt(NamedTuple):
    """`(gdb)`: gdb has said what it had to say."""


class Unparsed(NamedTuple):
    """A line that is no record: its beginning, why not, and the token if it looks like an answer."""

    text: str
    reason: str
    token: int | None = None


Record: TypeAlias = Result | Notice | Output | Prompt | Unparsed

_PROMPT: Final = Prompt()
_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'  # possessive: an unclosed one is given up at once
_NAME: Final = r'[^\s"=,{}\[\]\\]+'
_HEAD: Final = re.compile(r"([0-9]{0,18})([\^*=])([A-Za-z][\w-]*)(?=,|$)", re.ASCII)
_FLAT: Final = re.compile(rf"(?:,{_NAME}={_STRING})*")
_STREAM: Final = re.compile(rf"[~@&]{_STRING}")
_TOKEN: Final = re.compile(rf"({_STRING})|({_NAME})=|([\[{{])|([\]}}])|(,)")
_STREAMS: Final = {"~": "console", "@": "target", "&": "log"}
_ANSWER: Final = re.compile(r"([0-9]{1,18})\^", re.ASCII)


def parse(line: bytes) -> Record | None:
    """The record of one line without its end; None for an empty line. Raises nothing, and takes linear time."""
    if line == b"(gdb) ":
        return _PROMPT
    if len(line) > LINE_LIMIT:
        return too_long(line)
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not text:
        return None
    if text.rstrip() == "(gdb)":
        return _PROMPT
    return _unparsed(text, reason) if (reason := _fault(text)) else _parsed(text)


def too_long(start: bytes) -> Unparsed:
    """The record of a line of more than `LINE_LIMIT` bytes, of which `start` is the first part."""
    text = start[:EXCERPT].decode("utf-8", "replace")
    return _unparsed(text, f"the line is longer than {LINE_LIMIT} bytes")


def _unparsed(text: str, reason: str) -> Unparsed:
    answer = _ANSWER.match(text)
    return Unparsed(text[:EXCERPT], reason, int(answer[1]) if answer else None)


def _fault(text: str) -> str:
    """Why `text` is not a whole record; "" if it is one."""
    if text[0] in _STREAMS:
        return "" if _STREAM.fullmatch(text) else "the string of a stream record is not closed"
    head = _HEAD.match(text)
    if head is None:
        return "neither an answer nor a notice nor a stream record"
    flat = _FLAT.match(text, head.end())
    at = flat.end() if flat else head.end()
    return "" if at == len(text) else _shape(text, at)


def _shape(text: str, at: int) -> str:
    """Why what follows at `at` is not `,name=value...`; "" if it is, to the end, and closed.

    `wanted` is what may come next: a "," before another member, a "name", a "value", or either ("item").
    """
    open_: list[str] = []
    wanted, may_close = ",", False
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return f"unexpected {text[at]!r} at column {at + 1}"
        _, name, opening, closing, comma = token.groups()
        at = token.end()
        if closing:
            if not may_close or not open_ or open_.pop() != closing:
                return f"{closing!r} at column {at} closes nothing"
        elif comma:
            if wanted != ",":
                return f"unexpected ',' at column {at}"
            wanted, may_close = ("item" if open_ and open_[-1] == "]" else "name"), False
            continue
        elif name:
            if wanted not in ("name", "item"):
                return f"unexpected name {name[:EXCERPT]!r} before column {at}"
            wanted, may_close = "value", False
            continue
        elif wanted not in ("value", "item"):
            return f"unexpected value before column {at}"
        elif opening:
            open_.append("]" if opening == "[" else "}")
            if len(open_) > DEPTH_LIMIT:
                return f"nested deeper than {DEPTH_LIMIT} levels"
            wanted, may_close = ("item" if opening == "[" else "name"), True
            continue
        wanted, may_close = ",", bool(open_)
    missing = repr(open_[-1]) if open_ else f"a {wanted}" if wanted != "," else ""
    return missing and f"the line ends where {missing} is missing"


def _parsed(text: str) -> Record:
    stream = _STREAMS.get(text[0])
    # pygdbmi takes quadratic time for a stream's text, and linear for the same as a value.
    line = text if stream is None else f"^done,text={text[1:]}"
    try:
        record = gdbmiparser.parse_response(line)
    except Exception as error:  # somebody else's parser: an escape that it does not know must not end the session
        return _unparsed(text, f"pygdbmi: {error or type(error).__name__}")
    payload = record["payload"] or {}
    if stream is not None:
        return Output(stream, payload["text"])
    match record["type"]:
        case "result":
            return Result(record["token"], record["message"], payload)
        case "notify":
            return Notice(record["message"], payload)
        case other:
            return _unparsed(text, f"pygdbmi calls it {other!r}")


class Lines:
    """Cuts received bytes into lines and keeps no more of one than `LINE_LIMIT` bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()  # of the line that has not ended
        self._skipping = False  # until the end of a line that was too long

    @property
    def begun(self) -> bool:
        """Whether a line has begun that has not ended."""
        return bool(self._rest) or self._skipping

    def feed(self, data: bytes) -> list[bytes | Unparsed]:
        """The lines that `data` completes, without their ends; `Unparsed` in place of one that is too long."""
        *ended, rest = data.split(b"\n")
        lines: list[bytes | Unparsed] = []
        if ended:
            first, *others = ended
            if self._skipping:
                self._skipping = False
            elif self._rest:
                self._rest += first
                lines.append(bytes(self._rest))
                self._rest.clear()
            else:
                lines.append(first)
            lines += others
        if not self._skipping:
            self._rest += rest
            if len(self._rest) > LINE_LIMIT:
                lines.append(too_long(bytes(self._rest[:EXCERPT])))
                self._rest.clear()
                self._skipping = True
        return lines
