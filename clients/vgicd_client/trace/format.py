"""Reading vgic-trace/1: JSON lines, plain or gzip'd; the first is a header, each other one an operation.

Every field of every operation is declared here, with its type, as an input, an observation or a label.  What is not
declared is refused: a replayer that skips what it does not know would call a difference agreement.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from vgicd_client.errors import ClientError

FORMAT: Final = "vgic-trace/1"
GZIP_MAGIC: Final = b"\x1f\x8b"
LINE_LIMIT: Final = 1 << 20
"""Characters in one line; the longest recorded ones have 60 thousand."""


class TraceError(ClientError):
    """A file that is not vgic-trace/1, or more than this reader knows; the text names file and line."""


Check = Callable[[Any], bool]


def _integer(value: Any) -> bool:
    return type(value) is int


def _unsigned(bits: int) -> Check:
    return lambda value: type(value) is int and 0 <= value < 1 << bits


def _boolean(value: Any) -> bool:
    return type(value) is bool


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


VCPU: Final = _unsigned(3)
INTID: Final = _unsigned(10)
WORD: Final = _unsigned(32)
LONG: Final = _unsigned(64)

_CALLS: Final[Mapping[str, tuple[Check, ...]]] = {
    "enable": (INTID,),
    "disable": (INTID,),
    "affinity": (INTID, _unsigned(8)),
    "type": (INTID, lambda value: value in ("level", "edge")),
    "active": (INTID, _boolean),
    "pending": (INTID, _boolean),
    "sample": (INTID, _boolean),
}


def _physical_call(value: Any) -> bool:
    if not isinstance(value, list) or not value or value[0] not in _CALLS:
        return False
    checks = _CALLS[value[0]]
    return len(value) == len(checks) + 1 and all(c(v) for c, v in zip(checks, value[1:], strict=True))


def _irq_row(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 11 and all(map(_integer, value))


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one kind of operation: what goes in, and what was observed."""

    inputs: Mapping[str, Check] = field(default_factory=dict)
    observed: Mapping[str, Check] = field(default_factory=dict)


_ACCESS: Final = {"vcpu": VCPU, "off": _unsigned(16), "size": _unsigned(4)}
_LRS: Final = _list_of(WORD)

OPERATIONS: Final[Mapping[str, Shape]] = {
    "gicd_write": Shape({**_ACCESS, "val": LONG}, {"fault": _boolean}),
    "gicd_read": Shape(_ACCESS, {"val": LONG, "fault": _boolean}),
    "line": Shape({"vcpu": _optional(VCPU), "intid": INTID, "level": _boolean}),
    "enter": Shape({"vcpu": VCPU}, {"lrs": _LRS, "hcr": WORD, "used": _unsigned(7), "misr": WORD}),
    "exit": Shape({"vcpu": VCPU}, {"lrs": _LRS, "eisr": LONG, "elrsr": LONG, "misr": WORD, "apr": WORD, "hcr": WORD}),
    "ack": Shape({"vcpu": VCPU}, {"iar": WORD}),
    "eoi": Shape({"vcpu": VCPU, "val": WORD}),
    "pmr": Shape({"vcpu": VCPU, "val": WORD}),
    "pending": Shape({"vcpu": VCPU}, {"result": _boolean}),
    "evtchn_pending": Shape({"vcpu": VCPU}, {"result": _boolean}),
    "alloc_virq": Shape({"spi": _boolean}, {"result": _integer}),
    "reserve_virq": Shape({"virq": _unsigned(16)}, {"result": _boolean}),
    "free_virq": Shape({"virq": _unsigned(16)}),
    "map_hw": Shape(
        {"vcpu": lambda value: value is None, "virq": INTID, "pirq": _optional(INTID), "connect": _boolean},
        {"result": _integer},
    ),
    "hw_desc": Shape({"virq": INTID}, {"result": _optional(INTID)}),
    "pline": Shape({"pirq": INTID, "level": _boolean}),
    "hwirq": Shape({"pirq": INTID, "virq": INTID}),
    "move_irqs": Shape({"vcpu": VCPU, "pcpu": _unsigned(8)}),
    "state": Shape(
        {"vcpu": VCPU},
        {
            "running": _list_of(VCPU),
            "ctlr": WORD,
            "aplist": _list_of(INTID),
            "priv": _list_of(_irq_row),
            "spi": _list_of(_irq_row),
        },
    ),
}

COMMON: Final[Mapping[str, Check]] = {
    "kicks": _list_of(VCPU),
    "hw": _list_of(_physical_call),
    "deact": _optional(INTID),
}
"""Observations that any operation may carry and that are simply missing when empty."""

EMPTY: Final[Mapping[str, Any]] = {"kicks": [], "hw": [], "deact": None}

LABELS: Final[Mapping[str, Check]] = {
    "soft": _list_of(_text),
    "quirk": _list_of(_text),
    "quirk_irqs": _list_of(_integer),
    "stale": _boolean,
    "crash": _text,
}

_HEADER: Final[Mapping[str, Check]] = {
    "format": _text,
    "vcpus": _integer,
    "spis": _integer,
    "nr_spis": _integer,
    "init_result": _integer,
    "lrs": _integer,
    "domu": _boolean,
    "patched": _list_of(_text),
}
_HEADER_OPTIONAL: Final[Mapping[str, Check]] = {
    "kind": lambda value: value in ("directed", "random", "quirk"),
    "source": _text,
    "about": _text,
    "seed": _integer,
    "soft": _boolean,
}

PATCHES: Final[Mapping[str, str]] = {"sgipend-index": "D2"}
"""Local corrections in the recorder's Xen, and the defect that each removes."""


@dataclass(frozen=True, slots=True)
class Header:
    """The domain that was recorded. `xen_without` are the numbers of the defects that it lacked."""

    vcpus: int
    spis: int
    nr_spis: int
    init_result: int
    lrs: int
    domu: bool
    xen_without: tuple[str, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One line: `number` counts from 1. `expected` has every observation of its kind, unless it crashed."""

    number: int
    kind: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    crash: str | None
    labels: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole file, checked."""

    path: Path
    header: Header
    operations: tuple[Operation, ...]


def load(path: Path) -> Trace:
    """Read and check `path`. Raises `TraceError`, also for what the operating system refuses."""
    lines = _lines(path)
    try:
        header = _header(_object(path, 1, next(lines, None)), path)
        operations = tuple(
            _operation(_object(path, number + 1, line), path, number) for number, line in enumerate(lines, 1)
        )
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error  # without the path again
        raise TraceError(f"{path}: cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: is not UTF-8 text: {error}") from error
    if header.init_result and operations:
        raise TraceError(f"{path}: the domain could not be created, but operations follow")
    for operation in operations[:-1]:
        if operation.crash is not None:
            raise TraceError(f"{path}: operation {operation.number} crashed but is not the last one")
    return Trace(path, header, operations)


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as raw:
        packed = raw.peek(2)[:2] == GZIP_MAGIC  # not the name: a file keeps its meaning when it is renamed
        plain: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
        file = io.TextIOWrapper(plain, encoding="utf-8")
        while line := file.readline(LINE_LIMIT + 1):
            if len(line) > LINE_LIMIT:
                raise TraceError(f"{path}: a line is longer than {LINE_LIMIT} characters")
            if line.strip():
                yield line


def _object(path: Path, line_number: int, line: str | None) -> dict[str, Any]:
    if line is None:
        raise TraceError(f"{path}: is empty; its first line should be a {FORMAT} header")
    try:
        value = json.loads(line, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{path}: line {line_number} is not one JSON object: {error}") from error
    if not isinstance(value, dict):
        raise TraceError(f"{path}: line {line_number} is not a JSON object")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _header(fields: dict[str, Any], path: Path) -> Header:
    where = f"{path}: the header"
    if fields.get("format") != FORMAT:
        raise TraceError(f"{where} says format {fields.get('format')!r}; this reader knows {FORMAT!r} only")
    _check(fields, _HEADER, _HEADER_OPTIONAL, where)
    if len(set(fields["patched"])) != len(fields["patched"]):
        raise TraceError(f"{where} names a patch twice")
    if unknown := [patch for patch in fields["patched"] if patch not in PATCHES]:
        raise TraceError(f"{where} names the unknown patch {unknown[0]!r}; known are {', '.join(PATCHES)}")
    return Header(
        vcpus=fields["vcpus"],
        spis=fields["spis"],
        nr_spis=fields["nr_spis"],
        init_result=fields["init_result"],
        lrs=fields["lrs"],
        domu=fields["domu"],
        xen_without=tuple(PATCHES[patch] for patch in fields["patched"]),
        about=fields.get("about", ""),
    )


def _operation(fields: dict[str, Any], path: Path, number: int) -> Operation:
    kind = fields.pop("op", None)
    where = f"{path}: operation {number}"
    if not isinstance(kind, str) or kind not in OPERATIONS:
        raise TraceError(f"{where} is {kind!r}, which is not an operation of {FORMAT}")
    shape = OPERATIONS[kind]
    for name, check in shape.inputs.items():
        if name not in fields and check(None):
            fields[name] = None  # the format leaves out what is empty
    crash = fields.get("crash")
    if crash is None:
        _check(fields, {**shape.inputs, **shape.observed}, {**COMMON, **LABELS}, f"{where} ({kind})")
    else:
        _check(fields, shape.inputs, {**shape.observed, **COMMON, **LABELS}, f"{where} ({kind})")
    if kind == "map_hw" and fields["connect"] and fields["pirq"] is None:
        raise TraceError(f"{where}: map_hw connects to no pirq")
    observed = {**shape.observed, **COMMON}
    return Operation(
        number=number,
        kind=kind,
        inputs={name: fields[name] for name in shape.inputs},
        expected={} if crash is not None else {name: fields.get(name, EMPTY.get(name)) for name in observed},
        crash=crash,
        labels={name: fields[name] for name in LABELS if name in fields},
    )


def _check(fields: Mapping[str, Any], required: Mapping[str, Check], optional: Mapping[str, Check], where: str) -> None:
    known = {**required, **optional}
    for name, value in fields.items():
        if name not in known:
            raise TraceError(f"{where} has the unknown field {name!r}")
        if not known[name](value):
            raise TraceError(f"{where}: {name} is {json.dumps(value)[:80]}, which that field cannot be")
    for name in required:
        if name not in fields:
            raise TraceError(f"{where} lacks the field {name!r}")
