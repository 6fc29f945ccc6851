"""The daemon's hot path answers, byte for byte, what the declarations and the domain alone would.

Two equal domains get the same frames: one behind the daemon's session, the other behind `parse_hot_frame`, which only
interprets declarations.  Equal domains stay equal, so every reply must be.
"""

from __future__ import annotations

import random
from time import perf_counter

import pytest

from vgicd import config
from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.domain.errors import RequestError
from vgicd.server.access import Peer
from vgicd.server.events import Hub
from vgicd.server.limits import LineBudget
from vgicd.server.session import Session, Shared
from vgicd_protocol import framing, messages
from vgicd_protocol.effects import Effect
from vgicd_protocol.errors import FramingFault, Status, WireError, sentence
from vgicd_protocol.frames import EFFECTS, HOT_CODEC, HOT_SIZE, NO_VCPU, SIZES, SPACES, Opcode, Role

HOT_OPCODES = (Opcode.READ, Opcode.WRITE, Opcode.LINE)
OFFSETS = (0x000, 0x004, 0x00C, 0x010, 0x100, 0x104, 0x200, 0x204, 0x400, 0x428, 0x800, 0x828, 0xC08, 0xF00, 0x1000)


def fast_session(domain: Domain, role: Role) -> Session:
    settings = config.parse({"domain": {"vcpus": 2}}, "test")
    shared = Shared(domain, Hub(domain), settings, LineBudget(0, perf_counter))
    session = Session(shared, Peer(key="test"))
    session.grant(role)
    return session


def fast(session: Session, frame: bytes) -> bytes:
    session.out.clear()
    assert session.serve(bytearray(frame), 0, HOT_SIZE, float("inf")) == HOT_SIZE
    return bytes(session.out)


def slow(domain: Domain, frame: bytes, role: Role) -> bytes:
    """What DESIGN and SPEC.md ask for, without a hot path."""
    opcode, request_id = frame[5], int.from_bytes(frame[8:12], "little")
    try:
        messages.check_flags(opcode, int.from_bytes(frame[6:8], "little"))
        require(messages.message_of(opcode).role, role)
        fields = messages.parse_hot_frame(frame)
        require(messages.access_role(opcode, fields["space"]), role)
        result = domain.apply(operation_of(opcode, fields))
    except (WireError, RequestError) as error:
        refusal = WireError(Status(error.code), error.field, error.text)
        return framing.error_reply(opcode, request_id, domain.outputs, domain.order, refusal)
    effects = [Effect(*effect) for effect in result.effects] if fields["status"] & EFFECTS else None
    value = result.value if opcode == Opcode.READ else 0
    body = framing.reply_body(opcode, value, effects)
    status = Status.ABORT if result.fault else Status.OK
    return framing.reply(opcode, request_id, result.outputs, result.order, body, status)


def require(needed: int, role: Role) -> None:
    if needed > role:
        raise WireError(Status.DENIED, "", sentence(Status.DENIED))


def operation_of(opcode: int, fields: dict[str, int]) -> op.Read | op.Write | op.Line:
    vcpu, size, space, address, value = (fields[name] for name in ("vcpu", "size", "space", "address", "value"))
    if opcode == Opcode.READ:
        return op.Read(vcpu, space & 0xF, address, size, space >> 4)
    if opcode == Opcode.WRITE:
        return op.Write(vcpu, space & 0xF, address, size, value, space >> 4)
    return op.Line(address, value, vcpu, space == 1)


def frame_of(rng: random.Random) -> bytes:
    """Two in three are well formed; all have version 1, length 32 and a hot opcode, so that the session lives on."""
    opcode = rng.choice(HOT_OPCODES)
    frame = HOT_CODEC.pack(
        HOT_SIZE,
        1,
        opcode,
        rng.choice((0, 0, 0, EFFECTS)),
        rng.getrandbits(32),
        rng.choice((0, 1, 0, 1, 2, NO_VCPU)),
        0 if opcode == Opcode.LINE else rng.choice((4, 4, 4, *SIZES)),
        rng.randrange(2) if opcode == Opcode.LINE else rng.choice((1, 1, 2, 2, *SPACES)),
        rng.randrange(26, 70) if opcode == Opcode.LINE else rng.choice(OFFSETS),
        0 if opcode == Opcode.READ else rng.randrange(2) if opcode == Opcode.LINE else rng.getrandbits(32),
    )
    if rng.random() < 1 / 3:
        damaged = bytearray(frame)
        damaged[rng.choice((6, 7, *range(12, HOT_SIZE)))] ^= 1 << rng.randrange(8)
        frame = bytes(damaged)
    return frame


@pytest.mark.parametrize("role", [Role.OBSERVE, Role.GUEST, Role.CONTROL], ids=lambda role: role.name.lower())
def test_every_reply_is_the_one_that_the_declarations_give(role: Role) -> None:
    settings = config.parse({"domain": {"vcpus": 2}}, "test").domain
    served, plain = Domain(settings), Domain(settings)
    session, rng = fast_session(served, role), random.Random(int(role))
    seen = set()
    for _ in range(6_000):
        frame = frame_of(rng)
        reply, expected = fast(session, frame), slow(plain, frame, role)
        assert reply == expected, frame.hex()
        seen.add(int.from_bytes(reply[6:8], "little"))
    assert seen >= {Status.OK, Status.BAD_SIZE, Status.BAD_VALUE, Status.RESERVED_BITS, Status.BAD_VCPU}
    assert (Status.DENIED in seen) == (role is not Role.CONTROL)
    assert served.order == plain.order


def test_another_version_ends_the_session() -> None:
    session = fast_session(Domain(config.parse({}, "test").domain), Role.CONTROL)
    frame = HOT_CODEC.pack(HOT_SIZE, 2, Opcode.READ, 0, 5, 0, 4, 1, 4, 0)
    with pytest.raises(WireError) as caught:
        messages.parse_hot_frame(frame)
    with pytest.raises(FramingFault) as noticed:
        list(framing.FrameReader().feed(frame))
    assert caught.value.code is noticed.value.code is Status.VERSION
    reply = fast(session, frame)
    assert session.closing
    assert (reply[5], reply[6]) == (0xFF, Status.VERSION)
