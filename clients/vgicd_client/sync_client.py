"""The blocking client: one request, one reply, as fast as Python allows.

    with connect("unix:/run/vgicd/guest.sock", role="guest") as gic:
        gic.write(0, Space.GICD, 0x000, 1)
        gic.line(40, 1)
        if gic.outputs & 1: ...                      # vCPU 0's vIRQ, as of the last reply

Every call is one round trip and one at a time per client; a lock makes a client safe to share between threads, though
a client per thread never waits for another.  Before a read it polls: a reader that blocks in a UNIX stream socket is
woken once for nothing whenever the daemon takes a request out of it, which costs a third of a round trip.

When a connection is lost, the call raises `ConnectionLost`, and so does every later one until `reconnect`.  With
`reconnect_idle=True` a request of which no byte had been sent, and a harmless one (a DEBUG read, a query), reconnects
by itself and is sent again, once; any other request whose reply never came may have been applied and is never
repeated.  A reconnection says the same HELLO and renews the subscription; the domain's state is the daemon's, so what
other clients did meanwhile is there, and events of the time between are lost.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Concatenate, Final, NoReturn, ParamSpec, Self, TypeVar

from vgicd_client import refusals, requests, session
from vgicd_client.addresses import Address, open_socket
from vgicd_client.errors import ConnectionLost, GuestAbort, ProtocolError, Refused
from vgicd_client.methods import as_method
from vgicd_client.replies import Reply
from vgicd_client.requests import Request
from vgicd_client.wire import Arrival, Inbox, decode, encode, following, frames_of
from vgicd_protocol.errors import Status
from vgicd_protocol.events import Event, EventKind
from vgicd_protocol.frames import (
    FRAME_LIMIT,
    HOT_CODEC,
    HOT_REPLY_CODEC,
    HOT_SIZE,
    NO_VCPU,
    REPLY_BIT,
    VERSION,
    Opcode,
    Plane,
    Role,
)
from vgicd_protocol.image import Geometry
from vgicd_protocol.session import Welcome

P = ParamSpec("P")
T = TypeVar("T")

_RECEIVE: Final = 1 << 18
_TIMEVAL: Final = struct.Struct("@ll")
_ABORT: Final = Status.ABORT.value
_READ: Final = Opcode.READ.value
_WRITE: Final = Opcode.WRITE.value
_LINE: Final = Opcode.LINE.value
_DEBUG_BITS: Final = Plane.DEBUG << 4
_PACK: Final = HOT_CODEC.pack
_UNPACK: Final = HOT_REPLY_CODEC.unpack_from


def connect(
    address: str | Address,
    role: str | Role = Role.ANY,
    *,
    name: str = "vgicd_client",
    timeout: float | None = 30.0,
    raise_aborts: bool = False,
    reconnect_idle: bool = False,
) -> Client:
    """A connected client: HELLO has been said and answered.

    `role` is what to ask for ("any": the highest that the daemon grants); `timeout` the seconds to connect and to
    wait for a reply, None for ever; with `raise_aborts` a guest access that aborts raises `GuestAbort` instead of
    answering 0.  Raises `AddressError`, `ConnectionLost`, and `Refused` when the daemon does not grant the role.
    """
    client = Client(session.Options.of(address, role, name, timeout, raise_aborts, reconnect_idle))
    client.reconnect()
    return client


def _method(build: Callable[P, Request[T]]) -> Callable[Concatenate[Client, P], T]:
    """The method that sends what `build` makes and answers the value of its reply."""

    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.perform(build(*args, **kwargs)).value

    return as_method(build, call)


class Client:
    """A connection to a daemon; made by `connect`, closed by `close` or its `with` block.

    `outputs`, `order` and `aborted` are those of the last reply: the output levels (bit 2v vIRQ, bit 2v+1 vFIQ of
    vCPU v), its operation number, and whether the guest's access aborted.  `welcome` is the daemon's introduction,
    as of HELLO: `reconnect` renews it after a RESET to another geometry.

    All methods raise `Refused` when the daemon refuses (nothing changed, the connection is unharmed),
    `ConnectionLost` when it is gone, and `ProtocolError` when it breaks the protocol; after those two the client is
    closed until `reconnect`.
    """

    def __init__(self, options: session.Options) -> None:
        """Not connected yet; `connect` is the way to make one."""
        self.options = options
        self.welcome: Welcome
        self._geometry: Geometry | None = None
        self.outputs = 0
        self.order = 0
        self.aborted = False
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._packets = options.address.kind == socket.SOCK_SEQPACKET
        self._why_closed = "not connected"
        self._id = 0
        self._mask = 0
        self._frame_limit = FRAME_LIMIT
        self._inbox = Inbox()
        self._buffer = bytearray(_RECEIVE)
        self._view = memoryview(self._buffer)
        self._patience = None if options.timeout is None else options.timeout * 1000  # milliseconds, as poll has it
        self._poll: Callable[[float | None], Any]
        self._send_bytes: Callable[[bytes], int]
        self._receive_into: Callable[[bytearray], int]
        self._detach()

    # --- connection ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether the last that is known of the connection is that it lives."""
        return self._socket is not None

    def close(self) -> None:
        """End the connection. What was asked has been answered, so that nothing is lost; idempotent."""
        with self._lock:
            self._drop("closed")

    def reconnect(self) -> Welcome:
        """Connect anew, say HELLO and renew the subscription; the answer is the daemon's introduction.

        No request is repeated.  Raises as `connect` does.
        """
        with self._lock:
            self._drop("reconnecting")
            options = self.options
            try:
                sock = open_socket(options.address, options.timeout)
            except OSError as error:
                raise options.unreachable(error) from error
            self._attach(sock)
            try:
                self.welcome = self._exchange(options.hello(), effects=False).value
                self._geometry = self.welcome.geometry
                self._frame_limit = self.welcome.limits.frame
                if self._mask:
                    self._exchange(requests.subscribe_request(self._mask), effects=False)
            except BaseException as error:
                self._drop(str(error))
                raise
            return self.welcome

    # --- requests -----------------------------------------------------------------------------------------------

    def perform(self, request: Request[T], *, effects: bool = False) -> Reply[T]:
        """Send `request` (made by a function of `requests`) and wait for its reply.

        With `effects` the reply carries the kicks and physical calls of the operation, in order.
        """
        with self._lock:
            try:
                return self._exchange(request, effects=effects)
            except ConnectionLost as lost:
                if not self._may_repeat(lost, harmless=request.harmless):
                    raise
            self.reconnect()
            return self._exchange(request, effects=effects)

    def read(self, vcpu: int, space: int, address: int, size: int = 4, plane: int = 0) -> int:
        """Read `size` bytes (1, 2, 4 or 8) at `address` of `space` as `vcpu`; with the guest's side effects.

        Answers 0 when the access aborts (`aborted` is then True), or raises `GuestAbort` if so asked.
        """
        value = self._hot(_READ, vcpu, size, plane << 4 | space, address, 0)
        if self.aborted and self.options.raise_aborts:
            raise GuestAbort(vcpu, space, address, size)
        return value

    def peek(self, vcpu: int, space: int, address: int, size: int = 4) -> int:
        """What `read` would answer now, without its side effects, ever."""
        return self._hot(_READ, vcpu, size, _DEBUG_BITS | space, address, 0)

    def write(self, vcpu: int, space: int, address: int, value: int, size: int = 4, plane: int = 0) -> None:
        """Write the low `size` bytes of `value` (0 to 2**64 - 1) at `address` of `space` as `vcpu`.

        What does not fit into `size` bytes is cut off, as by a bus; `aborted` says if the access aborted.  Raises
        `ValueError` for a value below 0 or of more than 64 bits.
        """
        self._hot(_WRITE, vcpu, size, plane << 4 | space, address, value)
        if self.aborted and self.options.raise_aborts:
            raise GuestAbort(vcpu, space, address, size)

    def line(self, intid: int, level: int, vcpu: int | None = None) -> None:
        """Drive the input line of an SPI (`vcpu` None) or of `vcpu`'s PPI to `level`, 0 or 1."""
        self._hot(_LINE, NO_VCPU if vcpu is None else vcpu, 0, 0, intid, level)

    def pulse(self, intid: int, vcpu: int | None = None) -> None:
        """Raise and lower a line in one operation: one trigger of an edge interrupt."""
        self._hot(_LINE, NO_VCPU if vcpu is None else vcpu, 0, 1, intid, 1)

    vector = _method(requests.vector)
    enter = _method(requests.enter)
    exit = _method(requests.exit)
    mode = _method(requests.mode)
    lr_get = _method(requests.lr_get)
    lr_set = _method(requests.lr_set)
    gich = _method(requests.gich)
    irq_info = _method(requests.irq_info)
    dump = _method(requests.dump)
    stats = _method(requests.stats)
    pending_check = _method(requests.pending_check)
    event_channel_pending = _method(requests.event_channel_pending)
    virq_alloc = _method(requests.virq_alloc)
    virq_reserve = _method(requests.virq_reserve)
    virq_free = _method(requests.virq_free)
    hw_connect = _method(requests.hw_connect)
    hw_disconnect = _method(requests.hw_disconnect)
    hw_desc = _method(requests.hw_desc)
    phys_line = _method(requests.phys_line)
    hw_irq = _method(requests.hw_irq)
    vcpu_move = _method(requests.vcpu_move)
    vcpu_power = _method(requests.vcpu_power)
    set_irq_level = _method(requests.set_irq_level)
    event_channel = _method(requests.event_channel)
    console = _method(requests.console)
    time = _method(requests.time)
    snapshot = _method(requests.snapshot)
    restore = _method(requests.restore)
    reset = _method(requests.reset)
    ping = _method(requests.ping)

    def wait_output(self, seconds: float, *, vcpu: int | None = None, outputs: int | None = None) -> bool:
        """Wait until an output is high: any, one of `vcpu`'s, or one of the bits `outputs`.

        True at once if one is high already; False when `seconds` have passed, a reconnection's time included.  Blocks
        this client meanwhile.  Raises `ConnectionLost` when the daemon is silent for the client's time limit longer.
        """
        lines = session.lines_of(outputs, vcpu, self.welcome)
        deadline = time.monotonic() + seconds
        with self._lock:
            try:
                return self._wait(lines, seconds)
            except ConnectionLost as lost:
                if not self._may_repeat(lost, harmless=True):
                    raise
            self.reconnect()
            return self._wait(lines, max(0.0, deadline - time.monotonic()))

    def _wait(self, lines: int, seconds: float) -> bool:
        """One WAIT; the daemon holds its deadline, and has the usual time for the answer after it."""
        patience = self._patience
        milliseconds = session.milliseconds(seconds)
        if patience is not None:
            self._patience = patience + milliseconds
        try:
            self._exchange(requests.wait_request(lines, milliseconds), effects=False)
        except Refused as refused:
            if refused.code == Status.TIMEOUT:
                return False
            raise
        finally:
            self._patience = patience
        return True

    # --- events -------------------------------------------------------------------------------------------------

    def subscribe(self, kinds: Iterable[EventKind] | None = None) -> None:
        """Ask for events of `kinds` (all for None; none for an empty one) from the next operation on."""
        mask = session.event_mask(kinds)
        self.perform(requests.subscribe_request(mask))
        self._mask = mask

    def events(self, seconds: float | None = None) -> Iterator[Event]:
        """The events as they come, in order, until none has come for `seconds` (None: for ever).

        A record of kind GAP stands where events were lost; its `value` is how many.  Events that arrive with
        other replies are kept for the next call.
        """
        while True:
            event = self._next_event(seconds)
            if event is None:
                return
            yield event

    def fileno(self) -> int:
        """The socket's file descriptor, for `select` beside others: readable when events may have come.

        Take those that are here already first, with `events(0)`.  Raises `ConnectionLost` when closed.
        """
        if self._socket is None:
            raise ConnectionLost(self._why_closed)
        return self._socket.fileno()

    def _next_event(self, seconds: float | None) -> Event | None:
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._lock:
            while (event := self._inbox.next_event()) is None:
                left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
                try:
                    if not self._poll(left):
                        return None
                    self._took(self._receive_into(self._buffer))
                except OSError as error:
                    raise self._lost(error, maybe_applied=False) from error
                except ProtocolError as error:
                    self._drop(str(error))
                    raise
            return event

    # --- one round trip -----------------------------------------------------------------------------------------

    def _hot(self, opcode: int, vcpu: int, size: int, space: int, address: int, value: int, again: bool = False) -> int:
        """READ, WRITE or LINE without building anything but its 32 bytes; what is unusual goes the long way."""
        with self._lock:
            self._id = request_id = self._id % 0xFFFF_FFFF + 1
            try:
                frame = _PACK(HOT_SIZE, VERSION, opcode, 0, request_id, vcpu, size, space, address, value)
            except struct.error:
                raise refusals.unpackable(opcode, _hot_fields(vcpu, size, space, address, value)) from None
            sent = 0
            try:
                sent = self._send_bytes(frame)
                if sent == HOT_SIZE:
                    if not self._poll(self._patience):
                        self._give_up()
                    count = self._receive_into(self._buffer)
                    if count == HOT_SIZE and self._inbox.idle:
                        _, _, answered, status, its_id, outputs, _, order, datum = _UNPACK(self._buffer)
                        if its_id == request_id and answered == opcode | REPLY_BIT and status <= _ABORT:
                            self.outputs = outputs
                            self.order = order
                            self.aborted = status == _ABORT
                            return datum  # type: ignore[no-any-return]  # a tuple of ints, to the codec's types Any
                    self._took(count)
                self._send_all(frame[sent:])
                arrival = self._await(request_id)
            except OSError as error:
                lost = self._lost(error, maybe_applied=sent > 0)
            except ConnectionLost as error:
                lost = error
            except BaseException as error:
                self._drop(f"a call was interrupted by {error!r}")
                raise
            else:
                asked = Request(Opcode(opcode), _hot_fields(vcpu, size, space, address, value), _datum)
                return self._finish(asked, arrival, effects=False).value
            harmless = opcode == _READ and space >> 4 == Plane.DEBUG
            if again or not self._may_repeat(lost, harmless=harmless):
                raise lost
            self.reconnect()
            return self._hot(opcode, vcpu, size, space, address, value, again=True)

    def _exchange(self, request: Request[T], *, effects: bool) -> Reply[T]:
        """One round trip of any request."""
        self._id = request_id = following(self._id)
        data = encode(request, request_id, effects=effects, limit=self._frame_limit)
        sent = 0
        try:
            for part in frames_of(data) if self._packets else (data,):
                while part:  # a packet goes out whole, a stream may take a part
                    count = self._send_bytes(part)
                    sent, part = sent + count, part[count:]
            arrival = self._await(request_id)
        except OSError as error:
            raise self._lost(error, maybe_applied=sent > 0) from error
        except ConnectionLost:
            raise
        except BaseException as error:
            self._drop(f"a call was interrupted by {error!r}")
            raise
        return self._finish(request, arrival, effects=effects)

    def _finish(self, request: Request[T], arrival: Arrival, *, effects: bool) -> Reply[T]:
        self.outputs, self.order, self.aborted = arrival.outputs, arrival.order, arrival.status == _ABORT
        try:
            return decode(request, arrival, effects=effects, geometry=self._geometry)
        except ProtocolError as error:
            self._drop(str(error))
            raise

    def _may_repeat(self, lost: ConnectionLost, *, harmless: bool) -> bool:
        return self.options.reconnect_idle and (harmless or not lost.maybe_applied)

    def _await(self, request_id: int) -> Arrival:
        """The reply with that id. Those of earlier calls that were interrupted are dropped."""
        while True:
            while self._inbox.arrivals:
                arrival = self._inbox.arrivals.popleft()
                if arrival.request_id == request_id:
                    return arrival
            if not self._poll(self._patience):
                self._give_up()
            self._took(self._receive_into(self._buffer))

    def _give_up(self) -> NoReturn:
        """No reply has come in time: close the connection."""
        text = f"no reply from {self.options.address} within {self.options.timeout:g} s"
        self._drop(text)
        raise ConnectionLost(text, maybe_applied=True)

    def _took(self, count: int) -> None:
        """`count` bytes have come; 0 is the end of the connection."""
        if not count:
            raise ConnectionResetError(0, "the daemon closed it")
        self._inbox.feed(self._view[:count])

    def _send_all(self, data: bytes) -> None:
        while data:
            data = data[self._send_bytes(data) :]

    # --- the socket ---------------------------------------------------------------------------------------------

    def _attach(self, sock: socket.socket) -> None:
        timeout = self.options.timeout
        if timeout is not None:
            # the kernel's own timeout: Python's would poll before every send
            seconds, rest = divmod(timeout, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(seconds), int(rest * 1e6) or 1))
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        self._inbox = Inbox()
        self._socket = sock
        self._poll, self._send_bytes, self._receive_into = poller.poll, sock.send, sock.recv_into

    def _detach(self) -> None:
        self._socket = None
        self._poll, self._send_bytes, self._receive_into = self._gone, self._gone, self._gone

    def _gone(self, _: object) -> Any:
        raise ConnectionLost(self._why_closed)

    def _drop(self, why: str) -> None:
        """Close the socket; `why` is what later calls are told."""
        if self._socket is not None:
            self._socket.close()
            self._why_closed = f"not connected to {self.options.address}: {why}"
            self._detach()

    def _lost(self, error: OSError, *, maybe_applied: bool) -> ConnectionLost:
        """Close the connection after `error`; the reason is the daemon's own if it sent one before it ended."""
        why = error.strerror or str(error)
        try:
            if self._poll(0):
                self._took(self._receive_into(self._buffer))
        except ProtocolError as words:
            why = str(words)
        except OSError:
            pass  # nothing more was said
        if self._inbox.departed:
            why = "the daemon has stopped"
        text = f"lost {self.options.address}: {why}"
        self._drop(why)
        return ConnectionLost(text, maybe_applied=maybe_applied)


def _hot_fields(vcpu: int, size: int, space: int, address: int, value: int) -> requests.Fields:
    return {"vcpu": vcpu, "size": size, "space": space, "address": address, "value": value}


def _datum(body: requests.Fields) -> int:
    value: int = body["value"]
    return value
