"""Replaying a trace: every observed field compared exactly, up to the first difference.

Labels excuse nothing.  An operation that crashed the recorded Xen must be answered FATAL_ASSERTION, except its
self-deadlock (D17), which is a matter of a C library and need not be reproduced: there any answer will do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from vgicd_client import requests
from vgicd_client.errors import Refused
from vgicd_client.replies import Reply
from vgicd_client.requests import Request
from vgicd_client.trace.explain import explain, title
from vgicd_client.trace.format import EMPTY, Header, Operation, Trace
from vgicd_client.trace.observe import observation, request_of
from vgicd_client.trace.white_box import state_of
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import Space

T = TypeVar("T")

TYPER: Final = 0x004

DEADLOCK: Final = "DEADLOCK"
"""How the text of a self-deadlock begins in `crash`."""


class World(Protocol):
    """A domain that traces are replayed on."""

    def create(self, config: dict[str, Any]) -> int:
        """Replace the domain by one of `config`; 0, or the negative errno with which creation was refused."""

    def perform(self, request: Request[T]) -> Reply[T]:
        """Carry out `request`, with its effects. Raises `Refused`."""

    def image(self) -> Mapping[str, Sequence[int]]:
        """The domain's state image."""


@dataclass(frozen=True, slots=True)
class Report:
    """A replay without a difference: operations in the file, operations compared, fields compared in them."""

    ops: int
    compared: int
    fields: int


class Difference(Exception):
    """The first field that differs. `number` is 0 for the creation of the domain."""

    def __init__(self, operation: Operation | None, field: str, expected: Any, got: Any, note: str = "") -> None:
        super().__init__(f"{field}: expected {expected!r}, got {got!r}")
        self.operation = operation
        self.field = field
        self.expected = expected
        self.got = got
        self.note = note

    @property
    def number(self) -> int:
        """The operation's number, from 1; 0 for the creation of the domain."""
        return self.operation.number if self.operation else 0

    def lines(self) -> list[str]:
        """The report for people: where, what was expected, what came, and both in words."""
        head = f"operation {self.number}: {title(self.operation)}" if self.operation else "creation of the domain"
        lines = [f"{head}: {self.field} differs{': ' + self.note if self.note else ''}"]
        for label, value in (("expected", self.expected), ("got", self.got)):
            lines.append(f"  {label:<8} {json.dumps(value)}")
            words = explain(self.operation, self.field, value) if self.operation else ()
            lines.extend(f"           {word}" for word in words)
        return lines


def configuration(header: Header) -> dict[str, Any]:
    """The domain that `header` describes, as the fields of a domain configuration."""
    return {
        "vcpus": header.vcpus,
        "spis": header.spis,
        "lrs": header.lrs,
        "variant": "xen",
        "profile": "trace",
        "xen_without": header.xen_without,
        "hardware_domain": not header.domu,
        "eoi_when_idle": "ignore",  # the recorder's model does nothing then (format, section 7)
    }


def replay(trace: Trace, world: World) -> Report:
    """Replay `trace` on `world`; raises `Difference` at the first field that differs."""
    created = world.create(configuration(trace.header))
    if created != trace.header.init_result:
        raise Difference(None, "init_result", trace.header.init_result, created)
    if created == 0 and (spis := _spis(world)) != trace.header.nr_spis:
        raise Difference(None, "nr_spis", trace.header.nr_spis, spis)
    compared = fields = 0
    for operation in trace.operations:
        if operation.crash is not None:
            compared += _crash(operation, world)
            continue
        fields += _compare(operation, _observe(operation, world))
        compared += 1
    return Report(len(trace.operations), compared, fields)


def _spis(world: World) -> int:
    """The SPI count in force, as GICD_TYPER tells it."""
    typer = world.perform(requests.peek(0, Space.GICD, TYPER)).value
    return 32 * (typer & 0x1F)


def _observe(operation: Operation, world: World) -> dict[str, Any]:
    if operation.kind == "state":
        return {**state_of(world.image(), operation.inputs["vcpu"]), **EMPTY}
    try:
        reply = world.perform(request_of(operation))
    except Refused as refused:
        raise Difference(operation, "status", "OK", _status(refused.code), str(refused)) from refused
    if reply.fault and "fault" not in operation.expected:
        raise Difference(operation, "fault", False, True)
    return observation(operation, reply)


def _compare(operation: Operation, seen: dict[str, Any]) -> int:
    for name, expected in operation.expected.items():
        if seen[name] != expected:
            raise Difference(operation, name, expected, seen[name])
    return len(operation.expected)


def _crash(operation: Operation, world: World) -> int:
    """Whether the crash was compared: 1, or 0 for the one that need not be reproduced."""
    try:
        world.perform(request_of(operation))
    except Refused as refused:
        if refused.code == Status.FATAL_ASSERTION:
            return 1
        got, note = _status(refused.code), str(refused)
    else:
        got, note = "OK", ""
    if str(operation.crash).startswith(DEADLOCK):
        return 0
    raise Difference(operation, "status", "FATAL_ASSERTION", got, note or f"Xen: {operation.crash}")


def _status(code: int) -> str:
    try:
        return Status(code).name
    except ValueError:
        return f"{code:#x}"
