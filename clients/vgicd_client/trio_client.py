"""The trio client: any number of tasks ask at once, replies and events arrive in the background.

    async with TrioClient("unix:/run/vgicd/guest.sock", role="guest") as gic:
        await gic.write(0, Space.GICD, 0x000, 1)
        async with trio.open_nursery() as nursery: ...      # requests of several tasks share the connection

Requests leave in the order of the calls and are not held back for earlier replies, so that tasks pipeline without
doing anything for it; `pipeline` does so within one task.  A call that is cancelled stops waiting: its request may
still be applied.  Lost connections and `reconnect` work as for the blocking client (see `sync_client`): a request that
may have been applied is never repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import trio

from vgicd_client import requests, session
from vgicd_client.addresses import Address, open_socket
from vgicd_client.errors import ConnectionLost, GuestAbort, ProtocolError, Refused
from vgicd_client.link import Link
from vgicd_client.methods import as_method
from vgicd_client.replies import Reply
from vgicd_client.requests import Request
from vgicd_client.wire import Arrival, decode, encode
from vgicd_protocol.errors import Status
from vgicd_protocol.events import Event, EventKind
from vgicd_protocol.frames import Plane, Role
from vgicd_protocol.image import Geometry
from vgicd_protocol.session import Welcome

P = ParamSpec("P")
T = TypeVar("T")


def _method(build: Callable[P, Request[T]]) -> Callable[Concatenate[TrioClient, P], Awaitable[T]]:
    """The method that sends what `build` makes and answers the value of its reply."""

    async def call(self: TrioClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return (await self.perform(build(*args, **kwargs))).value

    return as_method(build, call)


class TrioClient:
    """A connection to a daemon, open within its `async with` block.

    `outputs` and `order` are those of the last reply that came: the output levels (bit 2v vIRQ, bit 2v+1 vFIQ of
    vCPU v) and its operation number; a reply of one's own has them exactly (`perform`).  `welcome` is the daemon's
    introduction, as of HELLO: `reconnect` renews it after a RESET to another geometry.  Parameters and
    exceptions are those of `sync_client.connect` and of `sync_client.Client`.
    """

    def __init__(
        self,
        address: str | Address,
        role: str | Role = Role.ANY,
        *,
        name: str = "vgicd_client",
        timeout: float | None = 30.0,
        raise_aborts: bool = False,
        reconnect_idle: bool = False,
    ) -> None:
        """Not connected before the block is entered."""
        self.options = session.Options.of(address, role, name, timeout, raise_aborts, reconnect_idle)
        self.welcome: Welcome
        self._geometry: Geometry | None = None
        self._link: Link | None = None
        self._mask = 0
        self._tasks: Any = None  # the manager of `_nursery`
        self._nursery: trio.Nursery
        self._reconnecting = trio.Lock()

    # --- connection ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._tasks = trio.open_nursery()
        self._nursery = await self._tasks.__aenter__()
        try:
            await self.reconnect()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        """Close and wait for the tasks. What the block raised goes on by itself, not wrapped in a group."""
        if self._link is not None:
            self._link.close("closed")
        self._nursery.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    @property
    def connected(self) -> bool:
        """Whether the last that is known of the connection is that it lives."""
        return self._link is not None and self._link.alive

    @property
    def outputs(self) -> int:
        """The output levels of the last reply."""
        return self._link.outputs if self._link is not None else 0

    @property
    def order(self) -> int:
        """The operation number of the last reply."""
        return self._link.order if self._link is not None else 0

    async def reconnect(self) -> Welcome:
        """Connect anew, say HELLO and renew the subscription; the answer is the daemon's introduction.

        Calls that still wait get `ConnectionLost`; none is repeated.
        """
        if self._link is not None:
            self._link.close("reconnecting")
        options = self.options
        try:
            sock = await trio.to_thread.run_sync(open_socket, options.address, options.timeout, abandon_on_cancel=True)
        except OSError as error:
            raise options.unreachable(error) from error
        link = self._link = Link(sock, str(options.address))
        self._nursery.start_soon(link.run)
        try:
            self.welcome = (await self._exchange(link, options.hello(), effects=False)).value
            self._geometry = self.welcome.geometry
            link.frame_limit = self.welcome.limits.frame
            if self._mask:
                await self._exchange(link, requests.subscribe_request(self._mask), effects=False)
        except BaseException as error:
            link.close(str(error))
            raise
        return self.welcome

    # --- requests -----------------------------------------------------------------------------------------------

    async def perform(self, request: Request[T], *, effects: bool = False) -> Reply[T]:
        """Send `request` (made by a function of `requests`) and wait for its reply.

        With `effects` the reply carries the kicks and physical calls of the operation, in order.
        """
        link = self._living()
        try:
            return await self._exchange(link, request, effects=effects)
        except ConnectionLost as lost:
            if not self.options.reconnect_idle or (lost.maybe_applied and not request.harmless):
                raise
        await self._renew(link)
        return await self._exchange(self._living(), request, effects=effects)

    async def pipeline(self, many: Iterable[Request[T]], *, effects: bool = False) -> list[Reply[T] | Refused]:
        """Send all of `many` before waiting; the replies in order, with `Refused` in place of a refused one's."""
        link = self._living()
        sent = []
        for request in many:
            request_id = link.next_id()
            data = encode(request, request_id, effects=effects, limit=link.frame_limit)
            await link.wait_for_room()
            sent.append((request, request_id, link.send(request_id, data)))
        replies: list[Reply[T] | Refused] = []
        for request, request_id, waiter in sent:
            arrival = await self._in_time(link, link.reply(request_id, waiter))
            try:
                replies.append(self._decode(link, request, arrival, effects=effects))
            except Refused as refused:
                replies.append(refused)
        return replies

    async def read(self, vcpu: int, space: int, address: int, size: int = 4, plane: int = Plane.GUEST) -> int:
        """Read `size` bytes (1, 2, 4 or 8) at `address` of `space` as `vcpu`; with the guest's side effects.

        Answers 0 when the access aborts, or raises `GuestAbort` if so asked.
        """
        reply = await self.perform(requests.read(vcpu, space, address, size, plane))
        self._check(reply, vcpu, space, address, size)
        return reply.value

    async def write(
        self, vcpu: int, space: int, address: int, value: int, size: int = 4, plane: int = Plane.GUEST
    ) -> None:
        """Write the low `size` bytes of `value` (0 to 2**64 - 1) at `address` of `space` as `vcpu`.

        What does not fit into `size` bytes is cut off, as by a bus.  Raises `ValueError` for a value below 0 or of more
        than 64 bits.
        """
        reply = await self.perform(requests.write(vcpu, space, address, value, size, plane))
        self._check(reply, vcpu, space, address, size)

    peek = _method(requests.peek)
    line = _method(requests.line)
    pulse = _method(requests.pulse)
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

    async def wait_output(self, seconds: float, *, vcpu: int | None = None, outputs: int | None = None) -> bool:
        """Wait until an output is high: any, one of `vcpu`'s, or one of the bits `outputs`.

        True at once if one is high already; False when `seconds` have passed, a reconnection's time included.  At most
        16 at a time.  Raises `ConnectionLost` when the daemon is silent for the client's time limit longer.
        """
        lines = session.lines_of(outputs, vcpu, self.welcome)
        deadline = trio.current_time() + seconds
        link = self._living()
        try:
            return await self._wait(link, lines, seconds)
        except ConnectionLost:
            if not self.options.reconnect_idle:
                raise
        await self._renew(link)
        return await self._wait(self._living(), lines, max(0.0, deadline - trio.current_time()))

    # --- events -------------------------------------------------------------------------------------------------

    async def subscribe(self, kinds: Iterable[EventKind] | None = None) -> None:
        """Ask for events of `kinds` (all for None; none for an empty one) from the next operation on."""
        mask = session.event_mask(kinds)
        await self.perform(requests.subscribe_request(mask))
        self._mask = mask

    def events(self, seconds: float | None = None) -> AsyncIterator[Event]:
        """The events as they come, in order, until none has come for `seconds` (None: for ever).

        A record of kind GAP stands where events were lost; its `value` is how many.  Raises `ConnectionLost` at the
        end of the connection, after the last event.
        """
        return _Events(self._living(), seconds)

    # --- one round trip -----------------------------------------------------------------------------------------

    def _living(self) -> Link:
        if self._link is None:
            raise ConnectionLost("not connected: use the client as `async with TrioClient(...)`")
        return self._link

    async def _renew(self, lost: Link) -> None:
        """Reconnect, unless another task that lost the same link has done so."""
        async with self._reconnecting:
            if self._link is lost:
                await self.reconnect()

    async def _wait(self, link: Link, lines: int, seconds: float) -> bool:
        """One WAIT; the daemon holds its deadline, and has the usual time for the answer after it."""
        request = requests.wait_request(lines, session.milliseconds(seconds))
        request_id = link.next_id()
        waiter = link.send(request_id, encode(request, request_id))
        arrival = await self._in_time(link, link.reply(request_id, waiter), seconds)
        try:
            self._decode(link, request, arrival, effects=False)
        except Refused as refused:
            if refused.code == Status.TIMEOUT:
                return False
            raise
        return True

    async def _exchange(self, link: Link, request: Request[T], *, effects: bool) -> Reply[T]:
        request_id = link.next_id()
        data = encode(request, request_id, effects=effects, limit=link.frame_limit)
        await link.wait_for_room()
        waiter = link.send(request_id, data)
        arrival = await self._in_time(link, link.reply(request_id, waiter))
        return self._decode(link, request, arrival, effects=effects)

    async def _in_time(self, link: Link, reply: Awaitable[Arrival], seconds: float = 0) -> Arrival:
        """The reply, for which the daemon has the client's time limit and `seconds`."""
        with trio.move_on_after(_limit(self.options.timeout) + seconds):
            return await reply
        text = f"no reply within {self.options.timeout:g} s"
        link.close(text)
        raise link.failure(maybe_applied=True)

    def _decode(self, link: Link, request: Request[T], arrival: Arrival, *, effects: bool) -> Reply[T]:
        try:
            return decode(request, arrival, effects=effects, geometry=self._geometry)
        except ProtocolError as error:
            link.close(str(error))
            raise

    def _check(self, reply: Reply[Any], vcpu: int, space: int, address: int, size: int) -> None:
        if reply.fault and self.options.raise_aborts:
            raise GuestAbort(vcpu, space, address, size)


class _Events:
    """The iterator of `events`; no generator, so that leaving a loop early leaves nothing to be cleaned up."""

    def __init__(self, link: Link, seconds: float | None) -> None:
        self._link = link
        self._seconds = _limit(seconds)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        with trio.move_on_after(self._seconds):
            while (event := self._link.inbox.next_event()) is None:
                await self._link.wait_for_events()
            return event
        raise StopAsyncIteration


def _limit(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds
