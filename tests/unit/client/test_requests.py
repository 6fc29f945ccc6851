"""One declaration, many uses: requests, replies and both clients agree with the protocol and the operations."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest

from vgicd.domain import operations
from vgicd_client import Client, TrioClient, replies, requests
from vgicd_client.ctl.worlds import LocalWorld, _operation
from vgicd_client.requests import Entry, Request
from vgicd_client.wire import encode
from vgicd_protocol import bodies, framing, messages
from vgicd_protocol.frames import NO_VCPU, Opcode
from vgicd_protocol.image import Geometry, StateImage
from vgicd_protocol.vector import ENTRY_CODEC

IMAGE = StateImage(Geometry(1, 32, 4, "correct", "virt"), {"a": (1, 2)})

EXAMPLES: list[Request[Any]] = [
    requests.read(1, 1, 0x104, 1, 1),
    requests.peek(1, 2, 0x0C),
    requests.write(1, 1, 0x104, 5, 1),
    requests.line(40, 1),
    requests.line(27, 0, 3),
    requests.pulse(40),
    requests.vector([Entry.reading(0, 1, 4), Entry.writing(0, 1, 0x100, 1), Entry.driving(40, 1)]),
    requests.enter(0),
    requests.exit(0),
    requests.mode(True),
    requests.lr_get(0),
    requests.lr_set(0, 1, 2),
    requests.gich(0, 0, 1),
    requests.irq_info(40),
    requests.irq_info(27, 1),
    requests.dump(1),
    requests.stats(),
    requests.pending_check(0),
    requests.event_channel_pending(0),
    requests.virq_alloc(True),
    requests.virq_reserve(40),
    requests.virq_free(40),
    requests.hw_connect(40, 77),
    requests.hw_disconnect(40),
    requests.hw_disconnect(40, 77),
    requests.hw_desc(40),
    requests.phys_line(77, 1),
    requests.hw_irq(77, 40),
    requests.vcpu_move(0, 3),
    requests.vcpu_power(0, False),
    requests.set_irq_level(40, 1),
    requests.event_channel(0, True),
    requests.console(b"hello"),
    requests.time(1 << 40),
    requests.snapshot(),
    requests.restore(IMAGE),
    requests.reset(),
    requests.reset({"vcpus": 2, "xen_without": ("D2",)}),
    requests.ping(),
    requests.wait_request(1, 10),
    requests.subscribe_request(1),
]
BUILDERS = {
    name: value
    for name, value in vars(requests).items()
    if inspect.isfunction(value) and value.__module__ == requests.__name__ and not name.startswith("_")
}
HELPERS = {"wait_request", "subscribe_request"}
"""What the clients offer under other names, with more than a round trip behind them."""


@pytest.mark.parametrize("request_", EXAMPLES, ids=lambda r: r.opcode.name)
def test_the_protocol_accepts_what_a_request_says(request_: Request[Any]) -> None:
    if request_.opcode in framing.HOT_OPCODES:
        frame = messages.parse_hot_frame(encode(request_, 1))
        assert request_.fields.items() <= frame.items()
        return
    body = messages.build_request(request_.opcode, request_.fields)
    assert messages.parse_request(request_.opcode, body) == request_.fields


def test_every_opcode_has_a_request() -> None:
    spoken = {request.opcode for request in EXAMPLES}
    silent = {Opcode.HELLO, Opcode.BYE, Opcode.JOURNAL, Opcode.EVENT, Opcode.ERROR}
    assert spoken | silent == set(Opcode)


@pytest.mark.parametrize("client", [Client, TrioClient])
@pytest.mark.parametrize("name", sorted(BUILDERS.keys() - HELPERS))
def test_every_request_is_a_method_of_both_clients(client: type, name: str) -> None:
    method, builder = getattr(client, name), BUILDERS[name]
    of_method = list(inspect.signature(method).parameters.values())
    of_builder = list(inspect.signature(builder).parameters.values())
    assert of_method.pop(0).name == "self"
    assert [p.name for p in of_method] == [p.name for p in of_builder]
    assert [p.default for p in of_method] == [p.default for p in of_builder]
    (answer,) = get_args(inspect.signature(builder, eval_str=True).return_annotation)
    if name not in ("read", "peek", "write", "line", "pulse"):  # written out in a client for speed
        assert inspect.signature(method).return_annotation == (None if answer is type(None) else answer)
    assert method.__name__ == name
    assert method.__doc__, "a public method says what it does"


@pytest.mark.parametrize("name", ["wait_output", "subscribe", "events", "perform", "reconnect"])
def test_what_is_more_than_a_round_trip_is_in_both_clients_alike(name: str) -> None:
    signatures = [inspect.signature(getattr(client, name)) for client in (Client, TrioClient)]
    assert signatures[0].parameters == signatures[1].parameters


@pytest.mark.parametrize(
    ("record", "body"),
    [
        (replies.EnterState, bodies.ENTER_STATE),
        (replies.ExitState, bodies.EXIT_STATE),
        (replies.LrState, bodies.LR_STATE),
        (replies.IrqState, bodies.IRQ_STATE),
        (replies.ConsoleState, messages.MESSAGES[Opcode.CONSOLE].reply),
    ],
)
def test_records_have_the_fields_of_the_bodies(record: Any, body: Any) -> None:
    assert set(record._fields) == messages.field_names(body)
    assert set(get_type_hints(record)) == set(record._fields)


def test_an_entry_has_the_fields_of_the_wire() -> None:
    assert Entry._fields == ENTRY_CODEC.names


SESSION = (Opcode.VECTOR, Opcode.PING, Opcode.WAIT, Opcode.SUBSCRIBE, Opcode.RESTORE)
"""Requests that a connection serves, or that carry more than an operation's fields."""


@pytest.mark.parametrize("request_", [r for r in EXAMPLES if r.opcode not in SESSION], ids=lambda r: r.opcode.name)
def test_every_request_is_an_operation_of_the_domain(request_: Request[Any]) -> None:
    name, fields = _operation(request_.opcode, request_.fields)
    record = getattr(operations, name)(**fields)
    assert record._asdict() | fields == record._asdict()


def test_a_line_keeps_its_owner_and_its_kind() -> None:
    assert operations.Line(**_operation(Opcode.LINE, requests.pulse(27, 3).fields)[1]) == (27, 1, 3, True)
    assert operations.Line(**_operation(Opcode.LINE, requests.line(40, 0).fields)[1]) == (40, 0, NO_VCPU, False)


def test_harmless_requests_need_no_more_than_looking() -> None:
    for request in EXAMPLES:
        if request.harmless and request.opcode not in (Opcode.WAIT, Opcode.HW_DESC):
            fields = {"size": 4} | request.fields
            assert messages.request_role(request.opcode, fields) <= messages.Role.OBSERVE, request


def test_the_local_world_creates_and_refuses_as_a_daemon_does() -> None:
    world = LocalWorld()
    assert world.create({"vcpus": 1, "spis": 988, "variant": "xen"}) == -22
    assert world.create({"vcpus": 1, "spis": 32}) == 0
    reply = world.perform(requests.read(0, 1, 4))
    assert (reply.value, reply.fault) == (1, False)
