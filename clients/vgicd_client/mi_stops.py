"""What gdb tells about a target, as records of its own: stops, frames, threads, breakpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from vgicd_client.mi_records import Payload

_VCPU: Final = re.compile(r"vcpu([0-9]{1,4})", re.ASCII)
_WATCHED: Final = ("wpt", "hw-rwpt", "hw-awpt")  # watch, rwatch, awatch


class Frame(NamedTuple):
    """A stack frame: `level` 0 is the innermost; `function` is "" where gdb has no symbol."""

    level: int
    function: str
    address: int | None


class Thread(NamedTuple):
    """A thread of the target. `number` is gdb's; `vcpu` the daemon's, None where neither name nor core tells.

    `details` is what the target says of it: the vCPU's line of state ("irq=HIGH lr=1/4 hppi=27").  `frame` is None
    while it runs.
    """

    number: int
    vcpu: int | None
    name: str
    details: str
    running: bool
    frame: Frame | None


class Breakpoint(NamedTuple):
    """A breakpoint or watchpoint that gdb has made: its number, and its location or expression."""

    number: int
    what: str
    address: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why and where the target stopped.

    `reason` is gdb's ("breakpoint-hit", "watchpoint-trigger", "access-watchpoint-trigger", "signal-received",
    "exited" ...; "" for the stop that a connection begins with).  `thread` is gdb's number and `vcpu` the daemon's.
    `breakpoint` is the number of what was hit, `breakpoints` all of them if one access hit several; `expression`,
    `old` and `new` are a watchpoint's, `old` None when the access did not change the value.  `threads` are the
    numbers of the threads that stand, None for all.  `payload` is the whole record.
    """

    reason: str
    thread: int | None
    vcpu: int | None
    function: str
    address: int | None
    breakpoint: int | None = None
    breakpoints: tuple[int, ...] = ()
    expression: str = ""
    old: str | None = None
    new: str | None = None
    signal: str = ""
    threads: frozenset[int] | None = None
    payload: Payload = field(default_factory=dict, repr=False, compare=False)


def stop_of(payload: Payload) -> Stop:
    """The stop of a `*stopped` record."""
    frame = frame_of(_first(payload.get("frame")) or {})
    watched = [point for key in _WATCHED for point in _many(payload.get(key)) if isinstance(point, dict)]
    numbers = [_number(text) for text in (*_many(payload.get("bkptno")), *(point.get("number") for point in watched))]
    hit = tuple(number for number in numbers if number is not None)
    value = _first(payload.get("value")) or {}
    value = value if isinstance(value, dict) else {}
    standing = payload.get("stopped-threads", "all")
    return Stop(
        reason=str(_first(payload.get("reason")) or ""),
        thread=_number(payload.get("thread-id")),
        vcpu=_number(payload.get("core")),
        function=frame.function,
        address=frame.address,
        breakpoint=hit[0] if hit else None,
        breakpoints=hit,
        expression=str(watched[0].get("exp", "")) if watched else "",
        old=value.get("old"),
        new=value.get("new", value.get("value")),
        signal=str(payload.get("signal-name", "")),
        threads=None if standing == "all" else numbers_of(standing),
        payload=payload,
    )


def numbers_of(threads: object) -> frozenset[int]:
    """The thread numbers that a record lists."""
    return frozenset(number for text in _many(threads) if (number := _number(text)) is not None)


def frame_of(payload: Payload) -> Frame:
    """The frame of a `frame={...}`."""
    function = str(payload.get("func", ""))
    return Frame(_number(payload.get("level")) or 0, "" if function == "??" else function, _number(payload.get("addr")))


def thread_of(payload: Payload) -> Thread:
    """The thread of an item of `-thread-info`."""
    name = str(payload.get("name", ""))
    named = _VCPU.fullmatch(name)
    frame = payload.get("frame")
    return Thread(
        number=int(payload["id"]),
        vcpu=int(named[1]) if named else _number(payload.get("core")),
        name=name,
        details=str(payload.get("details", "")),
        running=payload.get("state") == "running",
        frame=frame_of(frame) if isinstance(frame, dict) else None,
    )


def breakpoint_of(payload: Payload) -> Breakpoint:
    """The breakpoint of an answer to `-break-insert` or `-break-watch`."""
    for key in ("bkpt", *_WATCHED):
        made = _first(payload.get(key))
        if isinstance(made, dict) and (number := _number(made.get("number"))) is not None:
            what = made.get("exp") or made.get("original-location") or made.get("func") or ""
            return Breakpoint(number, str(what), _number(made.get("addr")))
    raise ValueError(f"no breakpoint in {payload}")


def _many(value: object) -> list[Any]:
    """A value that gdb gives once, or several times under one name, which pygdbmi makes a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _first(value: object) -> Any:
    many = _many(value)
    return many[0] if many else None


def _number(value: object) -> int | None:
    """A decimal or hexadecimal number; None for what is none ("<PENDING>", "<MULTIPLE>", an inferior's "1.2")."""
    try:
        return int(value, 0) if isinstance(value, str) else None
    except ValueError:
        return None
