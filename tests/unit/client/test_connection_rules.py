"""What both clients do when a connection ends, stays silent, or comes back: a scripted daemon decides when.

A request that may have been applied is never repeated; the script would see it twice and fail the test.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from vgicd_client import ConnectionLost, GuestAbort, ProtocolError, Refused, Space, TrioClient, connect, requests
from vgicd_client.errors import ClientError
from vgicd_client.requests import Request
from vgicd_protocol import framing, messages
from vgicd_protocol.errors import FramingFault, Status
from vgicd_protocol.events import GAP, Event, EventKind
from vgicd_protocol.frames import Opcode

Perform = Callable[..., Any]


def sync_perform(address: str, *todo: Request[Any], **options: Any) -> list[Any]:
    """The values of `todo`, or the exceptions, by the blocking client."""
    found: list[Any] = []
    with connect(address, **options) as client:
        for request in todo:
            try:
                found.append(_by_method(client, request))
            except ClientError as error:
                found.append(error)
    return found


def trio_perform(address: str, *todo: Request[Any], **options: Any) -> list[Any]:
    """The same by the trio client."""

    async def main() -> list[Any]:
        found: list[Any] = []
        async with TrioClient(address, **options) as client:
            for request in todo:
                try:
                    found.append(await _by_method(client, request))
                except ClientError as error:
                    found.append(error)
        return found

    return trio.run(main)


def _by_method(client: Any, request: Request[Any]) -> Any:
    """READ and WRITE by the method that programs use, which is a way of its own in the blocking client."""
    f = request.fields
    if request.opcode == Opcode.READ:
        return client.read(f["vcpu"], f["space"] & 0xF, f["address"], f["size"], f["space"] >> 4)
    if request.opcode == Opcode.WRITE:
        return client.write(f["vcpu"], f["space"] & 0xF, f["address"], f["value"], f["size"], f["space"] >> 4)
    return getattr(client, request.opcode.name.lower())(**f)


both = pytest.mark.parametrize("perform", [sync_perform, trio_perform], ids=["sync", "trio"])
READ = requests.read(0, Space.GICD, 4)
PEEK = requests.peek(0, Space.GICD, 4)
WRITE = requests.write(0, Space.GICD, 0, 1)
ENTER = requests.enter(0)
PING = requests.ping()


@both
def test_values_come_back(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.answer(peer.expect(Opcode.READ), 0x22)
        peer.reply(peer.expect(Opcode.PING))

    assert perform(scripted(script), READ, PING) == [0x22, None]


@both
def test_an_abort_answers_zero_or_raises_as_asked(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.answer(peer.expect(Opcode.READ), 0, status=Status.ABORT)
        peer.answer(peer.expect(Opcode.WRITE), 0, status=Status.ABORT)

    assert perform(scripted(script), READ, WRITE) == [0, None]
    first, second = perform(scripted(script), READ, WRITE, raise_aborts=True)
    assert isinstance(first, GuestAbort)
    assert isinstance(second, GuestAbort)
    assert "vCPU 0: 4-byte access at 0x4" in str(first)


@both
def test_after_a_refusal_the_connection_goes_on(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.answer(peer.expect(Opcode.READ), 0, status=Status.BAD_VCPU)
        peer.reply(peer.expect(Opcode.ENTER), messages.build_error("vcpu", "not now"), status=Status.BAD_STATE)
        peer.reply(peer.expect(Opcode.PING))

    first, second, third = perform(scripted(script), READ, ENTER, PING)
    assert isinstance(first, Refused)
    assert first.code == Status.BAD_VCPU
    assert isinstance(second, Refused)
    assert (second.code, second.field, second.text) == (Status.BAD_STATE, "vcpu", "not now")
    assert third is None


@both
@pytest.mark.parametrize("request_", [WRITE, ENTER, READ], ids=["write", "enter", "read"])
@pytest.mark.parametrize("automatic", [False, True])
def test_what_may_have_been_applied_is_never_repeated(
    scripted: Any, perform: Perform, request_: Request[Any], automatic: bool
) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.expect(request_.opcode)  # taken, perhaps applied, never answered

    (lost,) = perform(scripted(script), request_, reconnect_idle=automatic)
    assert isinstance(lost, ConnectionLost)
    assert lost.maybe_applied


@both
@pytest.mark.parametrize("request_", [PEEK, PING], ids=["peek", "ping"])
def test_a_harmless_request_is_repeated_if_so_asked(scripted: Any, perform: Perform, request_: Request[Any]) -> None:
    def dies(peer: Any) -> None:
        peer.hello()
        peer.expect(request_.opcode)

    def lives(peer: Any) -> None:
        peer.hello()
        frame = peer.expect(request_.opcode)
        if request_.opcode == Opcode.READ:
            peer.answer(frame, 7)
        else:
            peer.reply(frame)

    assert perform(scripted(dies, lives), request_, reconnect_idle=True) == [7 if request_ is PEEK else None]
    (lost,) = perform(scripted(dies), request_)
    assert isinstance(lost, ConnectionLost), "not unless asked for"


@both
def test_a_connection_lost_while_idle_is_made_anew_if_so_asked(scripted: Any, perform: Perform) -> None:
    def ends(peer: Any) -> None:
        peer.hello()
        peer.reply(peer.expect(Opcode.PING))

    def serves(peer: Any) -> None:
        peer.hello()
        peer.answer(peer.expect(Opcode.WRITE), 0)

    def idly(address: str) -> list[Any]:
        if perform is sync_perform:
            with connect(address, reconnect_idle=True) as client:
                client.ping()
                time.sleep(0.05)
                return [client.write(0, Space.GICD, 0, 1)]

        async def main() -> list[Any]:
            async with TrioClient(address, reconnect_idle=True) as client:
                await client.ping()
                with pytest.raises(ConnectionLost):
                    await anext(client.events())  # until it is known
                return [await client.write(0, Space.GICD, 0, 1)]

        return trio.run(main)

    assert idly(scripted(ends, serves)) == [None], "nothing of the write had been sent"


@both
def test_after_a_loss_every_call_says_so(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.expect(Opcode.ENTER)

    first, second, third = perform(scripted(script), ENTER, WRITE, PING)
    assert isinstance(first, ConnectionLost)
    assert first.maybe_applied
    for later in (second, third):
        assert isinstance(later, ConnectionLost)
        assert not later.maybe_applied, "nothing was sent"


@both
def test_a_daemon_that_stops_is_named(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.expect(Opcode.ENTER)
        peer.sock.sendall(framing.reply(Opcode.BYE, 0, 0, 0))

    (lost,) = perform(scripted(script), ENTER)
    assert "the daemon has stopped" in str(lost)


@both
def test_a_framing_fault_is_told_in_the_daemons_words(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.expect(Opcode.ENTER)
        peer.sock.sendall(framing.error_frame(FramingFault(Status.FRAME_LENGTH, "far too long")))

    first, second = perform(scripted(script), ENTER, PING)
    assert isinstance(first, ProtocolError)
    assert "far too long" in str(first)
    assert isinstance(second, ConnectionLost | ProtocolError)


@both
@pytest.mark.parametrize("noise", [b"HTTP/1.1 400\r\n" * 4, bytes(64)], ids=["http", "zeros"])
def test_a_peer_of_another_protocol_is_noticed(scripted: Any, perform: Perform, noise: bytes) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.expect(Opcode.READ)
        peer.sock.sendall(noise)

    (found,) = perform(scripted(script), READ)
    assert isinstance(found, ProtocolError)


@both
def test_silence_is_not_waited_for_for_ever(scripted: Any, perform: Perform) -> None:
    answered = threading.Event()

    def script(peer: Any) -> None:
        peer.hello()
        peer.expect(Opcode.WRITE)
        answered.wait(10)

    address = scripted(script)
    start = time.monotonic()
    try:
        first, second = perform(address, WRITE, PING, timeout=2.0)
    finally:
        answered.set()
    assert 2.0 <= time.monotonic() - start < 3.5, "once, not once for each way of waiting"
    assert isinstance(first, ConnectionLost)
    assert "no reply" in str(first)
    assert first.maybe_applied
    assert isinstance(second, ConnectionLost)


@both
def test_a_reply_in_pieces_is_put_together(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        frame = peer.expect(Opcode.READ)
        data = framing.reply(frame.opcode, frame.request_id, 0, 0, (5).to_bytes(8, "little"))
        for byte in data:
            peer.sock.sendall(bytes([byte]))
        peer.reply(peer.expect(Opcode.PING))

    assert perform(scripted(script), READ, PING) == [5, None]


@both
def test_events_among_replies_are_not_lost(scripted: Any, perform: Perform) -> None:
    sent = [Event(n, EventKind.KICK, n) for n in range(3)]

    def script(peer: Any) -> None:
        peer.hello()
        peer.reply(peer.expect(Opcode.SUBSCRIBE))
        frame = peer.expect(Opcode.READ)
        peer.sock.sendall(
            framing.event_frames(0, 0, 0, sent[:2])
            + framing.reply(frame.opcode, frame.request_id, 3, 9, (5).to_bytes(8, "little"))
            + framing.event_frames(0, 0, 0, [*sent[2:], Event(3, GAP, value=4)])
        )

    address = scripted(script)
    if perform is sync_perform:
        with connect(address) as client:
            client.subscribe()
            assert client.read(0, Space.GICD, 4) == 5
            assert (client.outputs, client.order) == (3, 9)
            events = client.events(5)
            found = [next(events) for _ in range(4)]
            with pytest.raises(ConnectionLost):
                next(events)
    else:

        async def main() -> list[Event]:
            async with TrioClient(address) as client:
                await client.subscribe()
                assert await client.read(0, Space.GICD, 4) == 5
                assert (client.outputs, client.order) == (3, 9)
                events = client.events(5)
                taken = [await anext(events) for _ in range(4)]
                with pytest.raises(ConnectionLost):
                    await anext(events)
                return taken

        found = trio.run(main)
    assert found[:3] == sent
    assert (found[3].kind, found[3].value) == (GAP, 4)


@both
def test_reconnecting_says_hello_and_subscribes_again(scripted: Any, perform: Perform) -> None:
    masks = []

    def script(peer: Any) -> None:
        peer.hello()
        frame = peer.expect(Opcode.SUBSCRIBE)
        masks.append(messages.parse_request(Opcode.SUBSCRIBE, frame.body)["mask"])
        peer.reply(frame)

    address = scripted(script, script)
    if perform is sync_perform:
        with connect(address) as client:
            client.subscribe([EventKind.KICK])
            assert client.reconnect().domain == "scripted"
    else:

        async def main() -> None:
            async with TrioClient(address) as client:
                await client.subscribe([EventKind.KICK])
                assert (await client.reconnect()).domain == "scripted"

        trio.run(main)
    assert masks == [1 << EventKind.KICK] * 2


@both
def test_packets_carry_whole_frames(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        peer.answer(peer.expect(Opcode.READ), 5)
        peer.reply(peer.expect(Opcode.PING))

    assert perform(scripted(script, kind=socket.SOCK_SEQPACKET), READ, PING) == [5, None]


def stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@both
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path, "no daemon listens there"),
        (stale_socket, "no daemon listens there any more"),
    ],
    ids=["nothing", "stale"],
)
def test_an_unreachable_daemon_is_explained(tmp_path: Path, perform: Perform, make: Any, words: str) -> None:
    path = tmp_path / "socket"
    make(path)
    with pytest.raises(ConnectionLost, match=words):
        perform(f"unix:{path}", PING)


@both
def test_a_refused_role_is_a_refusal(scripted: Any, perform: Perform) -> None:
    def script(peer: Any) -> None:
        peer.reply(peer.expect(Opcode.HELLO), messages.build_error("role", "you may observe"), status=Status.DENIED)

    with pytest.raises(Refused, match="you may observe"):
        perform(scripted(script), PING, role="control")


@pytest.mark.parametrize("bad", [{"role": "king"}, {"timeout": 0}, {"timeout": -1}])
def test_options_are_checked_before_connecting(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"role|timeout"):
        connect("unix:/nowhere", **bad)
    with pytest.raises(ValueError, match=r"role|timeout"):
        TrioClient("unix:/nowhere", **bad)


# --- what only one of them does -------------------------------------------------------------------------------------


def test_an_interrupted_call_closes_the_connection(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reply would otherwise be taken for the next call's."""

    def script(peer: Any) -> None:
        peer.hello()
        peer.expect(Opcode.ENTER)
        peer.frame()

    with connect(scripted(script)) as client:

        def interrupted(_: object) -> list[Any]:
            raise KeyboardInterrupt

        monkeypatch.setattr(client, "_poll", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.enter(0)
        assert not client.connected


def test_threads_share_a_client(scripted: Any) -> None:
    calls, threads = 200, 4

    def script(peer: Any) -> None:
        peer.hello()
        for _ in range(calls * threads):
            frame = peer.expect(Opcode.READ)
            address = messages.parse_request(Opcode.READ, frame.body)["address"]
            peer.answer(frame, address)

    found: list[int] = []
    with connect(scripted(script)) as client:

        def work(first: int) -> None:
            found.extend(client.read(0, Space.GICD, first + n) - first - n for n in range(calls))

        workers = [threading.Thread(target=work, args=(1000 * n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert found == [0] * (calls * threads), "every caller got its own reply"


def test_tasks_pipeline_without_doing_anything_for_it(scripted: Any) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        frames = [peer.expect(Opcode.READ) for _ in range(8)]  # all before the first reply
        for frame in frames:
            peer.answer(frame, messages.parse_request(Opcode.READ, frame.body)["address"])

    async def main() -> dict[int, int]:
        found = {}
        async with TrioClient(scripted(script)) as client, trio.open_nursery() as nursery:

            async def work(offset: int) -> None:
                found[offset] = await client.read(0, Space.GICD, offset)

            for n in range(8):
                nursery.start_soon(work, 4 * n)
        return found

    assert trio.run(main) == {4 * n: 4 * n for n in range(8)}


def test_a_cancelled_pipeline_leaves_nothing_behind(scripted: Any) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        frames = [peer.expect(Opcode.PING) for _ in range(3)]
        last = peer.expect(Opcode.READ)
        for frame in frames:
            peer.reply(frame)
        peer.reply(last, (5).to_bytes(8, "little"))

    async def main() -> None:
        async with TrioClient(scripted(script)) as client:
            with trio.move_on_after(0.05):
                await client.pipeline([PING] * 3)
            assert await client.read(0, Space.GICD, 4) == 5
            assert client._link is not None
            assert not client._link._waiters

    trio.run(main)


def test_a_cancelled_call_does_not_disturb_the_next(scripted: Any) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        late = peer.expect(Opcode.READ)
        frame = peer.expect(Opcode.WRITE)
        peer.answer(late, 5)
        peer.answer(frame, 0)
        peer.answer(peer.expect(Opcode.READ), 6)

    async def main() -> int:
        async with TrioClient(scripted(script)) as client:
            with trio.move_on_after(0.1) as scope:
                await client.read(0, Space.GICD, 4)
            assert scope.cancelled_caught
            await client.write(0, Space.GICD, 0, 1)
            return await client.read(0, Space.GICD, 4)

    assert trio.run(main) == 6


def test_what_a_block_raises_is_not_wrapped(scripted: Any) -> None:
    def script(peer: Any) -> None:
        peer.hello()

    async def main() -> None:
        async with TrioClient(scripted(script)):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        trio.run(main)


def test_a_pipeline_answers_in_order_with_refusals_in_place(scripted: Any) -> None:
    def script(peer: Any) -> None:
        peer.hello()
        frames = [peer.expect(Opcode.READ) for _ in range(3)]
        peer.answer(frames[0], 1)
        peer.answer(frames[1], 0, status=Status.BAD_ADDRESS)
        peer.answer(frames[2], 3)

    async def main() -> list[Any]:
        async with TrioClient(scripted(script)) as client:
            return list(await client.pipeline([READ] * 3))

    first, second, third = trio.run(main)
    assert (first.value, third.value) == (1, 3)
    assert isinstance(second, Refused)
    assert second.code == Status.BAD_ADDRESS


def test_a_backlog_is_sent_whole_when_the_daemon_is_slow(scripted: Any) -> None:
    count = 20_000

    def script(peer: Any) -> None:
        peer.hello()
        time.sleep(0.2)  # the socket's buffers fill up
        for _ in range(count):
            peer.answer(peer.expect(Opcode.READ), 1)

    async def main() -> int:
        async with TrioClient(scripted(script)) as client:
            return len(await client.pipeline([READ] * count))

    assert trio.run(main) == count


@pytest.mark.parametrize("blocking", [True, False], ids=["sync", "trio"])
def test_a_repeated_wait_has_only_the_time_that_is_left(scripted: Any, blocking: bool) -> None:
    deadlines: list[int] = []

    def waits(peer: Any) -> Any:
        peer.hello()
        frame = peer.expect(Opcode.WAIT)
        deadlines.append(messages.parse_request(Opcode.WAIT, frame.body)["milliseconds"])
        return frame

    def dies(peer: Any) -> None:
        waits(peer)
        time.sleep(0.3)

    def passes(peer: Any) -> None:
        peer.reply(waits(peer), messages.build_error("", "too late"), status=Status.TIMEOUT)

    address = scripted(dies, passes)
    if blocking:
        with connect(address, reconnect_idle=True) as client:
            assert not client.wait_output(5)
    else:

        async def main() -> None:
            async with TrioClient(address, reconnect_idle=True) as client:
                assert not await client.wait_output(5)

        trio.run(main)
    first, second = deadlines
    assert first == 5000
    assert second <= 4700
