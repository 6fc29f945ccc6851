"""Any bytes at all: the daemon answers in frames or closes, stays, and its domain keeps its invariants."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import trio

from vgicd.domain.domain import Domain
from vgicd_protocol import framing, messages, session, vector
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import HEAD_CODEC, HOT_CODEC, SPACES, VERSION, Opcode, Role

from .conftest import Serving

EDGES = (0, 1, 2, 3, 4, 7, 8, 11, 12, 31, 32, 33, 0x7F, 0x80, 0xFF, 0xFFFF, 0x10000, 0x10001, 1 << 31, (1 << 32) - 1)
OPCODES = sorted(messages.MESSAGES)
Maker = Callable[[random.Random], bytes]


def noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((1, 4, 12, 13, 32, 100, 5000)))


def any_head(chance: random.Random) -> bytes:
    body = chance.randbytes(chance.randrange(64))
    length = chance.choice((12 + len(body),) * 8 + EDGES)
    version = VERSION if chance.random() < 0.95 else chance.randrange(256)
    opcode = chance.choice(OPCODES) if chance.random() < 0.9 else chance.randrange(256)
    flags = chance.choice((0, 0, 0, 1, 2, 3, chance.getrandbits(16)))
    return HEAD_CODEC.pack(length, version, opcode, flags, chance.getrandbits(32)) + body


def any_hot(chance: random.Random) -> bytes:
    return HOT_CODEC.pack(
        32,
        VERSION,
        chance.choice((Opcode.READ, Opcode.WRITE, Opcode.LINE)),
        chance.choice((0, 0, 0, 1, 2)),
        chance.getrandbits(32),
        chance.choice((0, 1, 2, 0xFFFF)),
        chance.choice((0, 1, 2, 4, 4, 4, 8, 3)),
        chance.choice((*SPACES, 1, 1, 2, 2, chance.randrange(256))),
        chance.choice((chance.randrange(0x1000), chance.randrange(0x1000) & ~3, chance.getrandbits(64), 40, 27)),
        chance.choice((0, 1, chance.getrandbits(32), chance.getrandbits(64))),
    )


def any_vector(chance: random.Random) -> bytes:
    count = chance.randrange(1, 40)
    entries = b"".join(
        vector.ENTRY_CODEC.pack(
            chance.getrandbits(32) if operation & 0xF == vector.WRITE else 0,
            chance.randrange(0x1000),
            chance.choice((0, 0, 1, 1, 2)) if chance.random() < 0.1 else 0,
            operation,
            chance.choice((1, 2, 1, 2, 0x11, chance.choice(SPACES))),
        )
        for operation in chance.choices(vector.OPERATIONS, k=count)
    )
    return framing.request(Opcode.VECTOR, chance.getrandbits(32), count.to_bytes(4, "little") + entries)


def bent(chance: random.Random) -> bytes:
    """A well-formed frame with a byte changed."""
    frame = bytearray(chance.choice((any_hot, any_vector))(chance))
    frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
    return bytes(frame)


MAKERS: tuple[Maker, ...] = (noise, any_head, any_hot, any_hot, any_hot, any_vector, bent)
HELLO = framing.request(Opcode.HELLO, 1, messages.build_request(Opcode.HELLO, session.Hello().fields()))


@pytest.mark.parametrize("seed", range(6))
async def test_hostile_bytes_hurt_nobody_else(serving: Serving, seed: int) -> None:
    chance = random.Random(seed)
    config = chance.choice(({}, {"variant": "xen"}, {"profile": "xen-guest"}, {"lrs": 1, "vcpus": 1}))
    async with serving(domain=config, limits={"log_lines": 0}) as served:
        witness = await served.connect(Role.OBSERVE)
        for _ in range(25):
            attacker = await served.connect(None)
            if chance.random() < 0.95:
                await attacker.send(HELLO)
            attack = b"".join(chance.choice(MAKERS[2:] if i < 20 else MAKERS)(chance) for i in range(30))

            async def attempt(data: bytes = attack, attacker: object = attacker) -> None:
                try:
                    await attacker.send(data)  # type: ignore[attr-defined]
                    attacker.sock.shutdown(trio.socket.SHUT_WR)  # type: ignore[attr-defined]
                except OSError:
                    pass

            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt)
                last_order = 0
                try:
                    while True:
                        reply = await attacker.receive_any()
                        assert reply.status != Status.INTERNAL, (seed, reply)
                        assert reply.order >= last_order
                        last_order = reply.order
                except (EOFError, ConnectionError):
                    pass
            domain: Domain = served.daemon.domain
            domain.check_invariants()
            await witness.expect(Opcode.PING)
        assert served.daemon.domain.order > 0


async def test_the_fast_path_and_the_declarations_answer_alike(serving: Serving) -> None:
    """Whatever 32 bytes come as READ, WRITE or LINE: what is refused is what the declarations refuse."""
    chance = random.Random(7)
    async with serving(domain={"strict_abort": True}) as served:
        peer = await served.connect(Role.CONTROL)
        refused = 0
        for _ in range(4000):
            frame = any_hot(chance)
            try:
                messages.parse_hot_frame(frame)
                expected = None
            except WireError as error:
                expected = error.code
            await peer.send(frame)
            reply = await peer.receive()
            refused += expected is not None
            if expected is not None:
                assert reply.status == expected
                assert reply.body == bytes(8)
            else:
                assert reply.status not in (Status.BAD_BODY, Status.RESERVED_BITS, Status.UNSUPPORTED)
        assert 400 < refused < 3600


async def test_an_unexpected_exception_is_answered_internal_and_harms_no_connection(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgicd.server import session as server_session

    failures: list[tuple[str, object]] = []

    class Recorder:
        def exception(self, event: str, **fields: object) -> None:
            failures.append((event, fields["opcode"]))

        def info(self, *_: object, **__: object) -> None: ...

    monkeypatch.setattr(server_session, "log", Recorder())
    async with serving() as served:
        peer, other = await served.connect(Role.GUEST), await served.connect(Role.GUEST)

        def fail(_: object) -> None:
            raise ZeroDivisionError("a defect of the core")

        apply = served.daemon.domain.apply
        monkeypatch.setattr(served.daemon.domain, "apply", fail)
        assert (await peer.access(Opcode.READ, 4)).status == Status.INTERNAL
        assert await peer.refused(Opcode.STATS) == (Status.INTERNAL, "")
        monkeypatch.setattr(served.daemon.domain, "apply", apply)
        assert await peer.read(4) == await other.read(4)
        assert failures == [("request.failed", Opcode.READ), ("request.failed", Opcode.STATS)]


async def test_a_failure_outside_a_request_ends_that_connection_only(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgicd.server.session import Session

    async with serving() as served:
        other = await served.connect(Role.GUEST)

        def fail(*_: object) -> int:
            raise ZeroDivisionError("a defect of the session")

        with monkeypatch.context() as patch:
            patch.setattr(Session, "serve", fail)
            peer = await served.connect(None)
            await peer.send(HELLO)
            await peer.closed()
        await other.expect(Opcode.PING)
        await (await served.connect(Role.GUEST)).expect(Opcode.PING)
