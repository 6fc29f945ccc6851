"""The daemon: one domain, its listeners, its connections, and the few tasks that watch over them.

Starting either succeeds completely or raises with nothing left open.  Stopping is one path for SIGTERM, SIGINT and
`Daemon.stop`: no new connections, what was received is answered, every peer is told, sockets are removed; all that
within `limits.drain_seconds`.
"""

from __future__ import annotations

import gc
import signal
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import trio

from vgicd import __version__, compiled
from vgicd.config import Config, ConfigError
from vgicd.domain.domain import Domain
from vgicd.domain.errors import CreationError, RequestError
from vgicd.gdbstub.target import ClientInfo
from vgicd.logs import get_logger
from vgicd.server.access import Peer, Rules, unix_peer
from vgicd.server.connection import Connection, SocketConnection
from vgicd.server.events import Hub
from vgicd.server.gdb import Debuggers, check_gdb, peer_text
from vgicd.server.limits import LineBudget
from vgicd.server.listeners import Listener, ListenError, Transport, check_addresses, open_listeners
from vgicd.server.packets import PacketConnection
from vgicd.server.qtest import QTEST, QtestSession, Rig
from vgicd.server.requests import geometry
from vgicd.server.session import Session, Shared
from vgicd.server.systemd import Notifier
from vgicd.server.tls import TlsConnection, server_context
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import Role

_ACCEPT_RETRY: Final = 0.1  # seconds without accepting, when the process is out of descriptors
_HANDSHAKES: Final = 2  # times the limits of connections, with TLS handshakes counted: beyond that, closed unheard

log = get_logger()

Conversation = Callable[[socket.socket, Peer, Transport], Coroutine[Any, Any, None]]


def create_domain(config: Config) -> Domain:
    """The domain that `config` describes. ConfigError, with the reason, if it cannot exist."""
    try:
        return Domain(config.domain)
    except CreationError as error:
        version = config.domain.gic_version
        if version != 2:
            raise ConfigError(f"GICv{version} is not supported: Xen's new VGIC refuses it ({error.errno}).") from None
        raise ConfigError(f"The domain cannot be created (errno {error.errno}): {error.text}") from None
    except RequestError as error:
        raise ConfigError(f"domain.{error.field}: {error.text}") from None


def check(config: Config) -> None:
    """Everything that `run` would refuse before it listens. ConfigError, AccessError or ListenError."""
    create_domain(config)
    rules = Rules(config.access)
    if config.tls.enabled:
        server_context(config.tls)
        if not rules.names_certificates:
            raise ConfigError("With [tls], [access] must name at least one peer as cert:COMMON-NAME.")
    check_addresses(config)
    check_gdb(config)
    QTEST.check(config, config.qtest.listen)


def run(config: Config) -> None:
    """Serve until a signal. ConfigError, AccessError or ListenError if it cannot start."""
    trio.run(_run, config)


async def _run(config: Config) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:  # before there is anything to remove
        daemon = Daemon(config)
        await daemon.serve(signals)


class Daemon:
    """One domain and everybody connected to it."""

    def __init__(self, config: Config) -> None:
        """Create the domain and open the listeners. ConfigError, AccessError or ListenError."""
        check(config)
        self.config = config
        self.domain = create_domain(config)
        self.connections: set[Connection] = set()
        self._rules = Rules(config.access)
        self._tls: ssl.SSLContext | None = server_context(config.tls) if config.tls.enabled else None
        self._notifier = Notifier()
        self._per_peer: Counter[str] = Counter()
        self._handshakes: Counter[str] = Counter()  # under way, by peer
        self._transports: dict[Connection, Transport] = {}
        self._stopping = False
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()
        self.listeners: list[Listener] = open_listeners(config)
        self.qtest_listeners: list[Listener] = []
        try:
            self.qtest_listeners = QTEST.open(config, config.qtest.listen)
            self.debuggers = Debuggers(config, self._clients)
        except ListenError:
            for listener in (*self.listeners, *self.qtest_listeners):
                listener.close()
            raise

    @property
    def addresses(self) -> list[str]:
        """Where clients find the daemon, as they write it."""
        return [listener.address for listener in self.listeners]

    def _notify(self, **fields: str | int) -> None:
        try:
            self._notifier.notify(**fields)
        except OSError as error:
            log.warning("notify.failed", error=str(error))

    async def serve(
        self,
        signals: AsyncIterator[int] | None = None,
        *,
        task_status: trio.TaskStatus[Daemon] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until one of `signals` or `stop`; `task_status` is told when connections are accepted."""
        clock = trio.current_time
        self.lines = LineBudget(self.config.limits.log_lines, clock)
        self.hub = Hub(self.domain)
        self.shared = Shared(self.domain, self.hub, self.config, self.lines)
        self._rig = Rig(self.config, self.domain)
        try:
            with self._serving:
                async with trio.open_nursery() as nursery:
                    if signals is not None:
                        nursery.start_soon(self._watch_signals, signals)
                    nursery.start_soon(self._watch_connections)
                    nursery.start_soon(self.hub.watch_deadlines)
                    if self._notifier.watchdog_seconds is not None:
                        nursery.start_soon(self._feed_watchdog, self._notifier.watchdog_seconds / 3)
                    async with trio.open_nursery() as connections:
                        with self._accepting:
                            async with trio.open_nursery() as accepting:
                                for listener in self.listeners:
                                    accepting.start_soon(self._accept, listener, connections, self._converse)
                                for listener in self.qtest_listeners:
                                    accepting.start_soon(self._accept, listener, connections, self._qtest)
                                for listener in self.debuggers.listeners:
                                    accepting.start_soon(self._accept, listener, connections, self._debug)
                                if not self._stopping:
                                    self._ready()
                                task_status.started(self)
                        await self._drain()
                        connections.cancel_scope.cancel()
                    nursery.cancel_scope.cancel()
        finally:
            self._close_listeners()
            log.info("serve.stopped", operations=self.domain.order, suppressed=self.lines.take_suppressed())

    def _ready(self) -> None:
        gc.collect()
        gc.freeze()  # a full collection would otherwise walk every module on each run
        domain = self.domain.config
        log.info(
            "serve.ready",
            version=__version__,
            name=self.config.name,
            addresses=self.addresses,
            variant=domain.variant,
            profile=domain.profile,
            vcpus=domain.vcpus,
            spis=geometry(self.domain).spis,
            lrs=domain.lrs,
            core="compiled" if compiled.in_use() else "interpreted",
            **({"gdb": self.debuggers.addresses} if self.debuggers.addresses else {}),
            **({"qtest": [listener.address for listener in self.qtest_listeners]} if self.qtest_listeners else {}),
        )
        self._notify(READY=1, STATUS=f"Serving {self.config.name} on {', '.join(self.addresses)}")

    def stop(self, reason: str) -> None:
        """Begin to stop; `serve` returns when everything is done."""
        if self._stopping:
            return
        self._stopping = True
        log.info("serve.stopping", reason=reason, connections=len(self.connections))
        self._notify(STOPPING=1, STATUS="Answering what has been asked")
        self._accepting.cancel()

    async def _drain(self) -> None:
        self._close_listeners()
        self.debuggers.stop()
        self.hub.freeze.end()
        for connection in list(self.connections):
            connection.finish()
        with trio.move_on_after(self.config.limits.drain_seconds):
            for connection in list(self.connections):
                await connection.until_drained()
        for connection in list(self.connections):
            connection.close("daemon stopped")

    def _close_listeners(self) -> None:
        for listener in (*self.listeners, *self.qtest_listeners):
            listener.close()
        self.debuggers.close()

    # --- accepting ----------------------------------------------------------------------------------------------

    async def _accept(self, listener: Listener, connections: trio.Nursery, conversation: Conversation) -> None:
        while True:
            try:
                sock, address = listener.sock.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(listener.sock)
                continue
            except ConnectionError:
                continue  # gone before it was accepted
            except OSError as error:  # out of descriptors or memory: serve those we have
                log.warning("accept.failed", listener=listener.address, error=error.strerror)
                await trio.sleep(_ACCEPT_RETRY)
                continue
            connections.start_soon(self._handle, sock, address, listener.transport, conversation)
            await trio.lowlevel.checkpoint()

    async def _handle(
        self, sock: socket.socket, address: object, transport: Transport, conversation: Conversation
    ) -> None:
        """A whole connection. Whatever goes wrong in it ends it, and nothing else."""
        try:
            sock.setblocking(False)
            peer = _peer(sock, address, transport)
        except OSError:
            sock.close()  # the peer has left already
            return
        try:
            await conversation(sock, peer, transport)
        except Exception:
            log.exception("conn.failed", **peer.described())
        finally:
            sock.close()

    async def _converse(self, sock: socket.socket, peer: Peer, transport: Transport) -> None:
        await self._talk(sock, Session(self.shared, peer), transport)

    async def _qtest(self, sock: socket.socket, peer: Peer, transport: Transport) -> None:
        """A qtest client's connection."""
        await self._talk(sock, QtestSession(self.shared, peer, self._rig), transport)

    async def _talk(self, sock: socket.socket, session: Session, transport: Transport) -> None:
        peer = session.peer
        connection = self._connection(sock, session, transport)
        if isinstance(connection, TlsConnection):
            failure = await self._shake_hands(connection)
            if failure:
                self._log_refusal(failure, session.peer, transport)
                return
        else:
            session.ceiling = self._rules.highest_role(peer)
        refusal = self._refusal(session.ceiling, peer, transport, session.least)
        if refusal is not None:
            code, reason, text = refusal
            self._log_refusal(reason, session.peer, transport)
            session.refuse(code, text)
        elif self._stopping:
            session.say_goodbye()
        if session.closing:
            await connection.turn_away()
            return
        self._transports[connection] = transport
        self.connections.add(connection)
        self._per_peer[peer.key] += 1
        opened = self.lines.allows()
        if opened:
            log.info(
                f"{session.kind}.open", session=session.number, transport=transport.value, **session.peer.described()
            )
        try:
            await connection.run()
        finally:
            self.hub.leave(session)
            self.connections.discard(connection)
            del self._transports[connection]
            _release(self._per_peer, peer.key)
            if opened:
                log.info(
                    f"{session.kind}.close",
                    session=session.number,
                    reason=connection.reason,
                    requests=session.requests,
                )

    async def _debug(self, sock: socket.socket, peer: Peer, transport: Transport) -> None:
        """A debugger's connection."""
        role = self._rules.highest_role(peer)
        refusal = self._refusal(role, peer, transport)
        if refusal is not None:
            _, reason, text = refusal
            self._log_refusal(reason, peer, transport)
            await self.debuggers.turn_away(sock, text)
        elif role is not None and not self._stopping:
            self._per_peer[peer.key] += 1
            try:
                await self.debuggers.converse(self.shared, sock, peer, role, transport)
            finally:
                _release(self._per_peer, peer.key)

    def _clients(self) -> list[ClientInfo]:
        """Who is connected over the wire, for debuggers to see."""
        return [
            _described(connection, transport)
            for connection, transport in sorted(self._transports.items(), key=lambda item: item[0].session.number)
        ]

    def _connection(self, sock: socket.socket, session: Session, transport: Transport) -> Connection:
        limits = self.config.limits
        match transport:
            case Transport.TLS if self._tls is not None:
                return TlsConnection(sock, session, limits, self._tls, self._rules)
            case Transport.SEQPACKET:
                return PacketConnection(sock, session, limits)
            case _:
                return SocketConnection(sock, session, limits)

    async def _shake_hands(self, connection: TlsConnection) -> str:
        """As `TlsConnection.shake_hands`, unless there are too many even to be told so."""
        limits, key = self.config.limits, connection.session.peer.key
        most, most_of_peer = (_HANDSHAKES * limit for limit in (limits.connections, limits.connections_per_uid))
        in_all = len(self.connections) + len(self.debuggers.connections) + self._handshakes.total()
        if in_all >= most or self._per_peer[key] + self._handshakes[key] >= most_of_peer:
            return "too many handshakes"
        self._handshakes[key] += 1
        try:
            return await connection.shake_hands()
        finally:
            _release(self._handshakes, key)

    def _refusal(
        self, role: Role | None, peer: Peer, transport: Transport, least: Role = Role.OBSERVE
    ) -> tuple[Status, str, str] | None:
        limits = self.config.limits
        if role is None:
            named = "your certificate" if transport is Transport.TLS else "you"
            return Status.DENIED, "not allowed", f"No access rule of this daemon names {named}."
        if role < least:
            text = f"Here a client acts, for which it needs role {least.name.lower()}: you have {role.name.lower()}."
            return Status.DENIED, "not allowed", text
        if len(self.connections) + len(self.debuggers.connections) >= limits.connections:
            return Status.BUSY, "too many", f"{limits.connections} connections are open, which is the limit."
        if self._per_peer[peer.key] >= limits.connections_per_uid:
            return Status.BUSY, "too many of one peer", f"You have {limits.connections_per_uid} connections, the limit."
        return None

    def _log_refusal(self, reason: str, peer: Peer, transport: Transport) -> None:
        if self.lines.allows():
            log.warning("conn.refused", reason=reason, transport=transport.value, **peer.described())

    # --- watching -----------------------------------------------------------------------------------------------

    async def _watch_signals(self, signals: AsyncIterator[int]) -> None:
        """Stop at the first signal; a second one does not wait for anybody."""
        async for number in signals:
            if self._stopping:
                self._serving.cancel()
            else:
                self.stop(signal.Signals(number).name)

    async def _watch_connections(self) -> None:
        """Close connections whose deadlines have passed, and tell how many log lines were suppressed."""
        period = self.config.limits.watch_seconds
        told = trio.current_time()
        while True:
            await trio.sleep(period)
            now = trio.current_time()
            for connection in list(self.connections):
                connection.watch(now)
            if now - told >= 1:
                told = now
                suppressed = self.lines.take_suppressed()
                if suppressed:
                    log.warning("log.suppressed", lines=suppressed)

    async def _feed_watchdog(self, period: float) -> None:
        """A loop that does not turn does not get here, and systemd restarts it."""
        while True:
            self._notify(WATCHDOG=1)
            await trio.sleep(period)


def _release(held: Counter[str], key: str) -> None:
    """One less for `key`, which is forgotten when it holds nothing."""
    held[key] -= 1
    if not held[key]:
        del held[key]


def _described(connection: Connection, transport: Transport) -> ClientInfo:
    session = connection.session
    return ClientInfo(
        number=str(session.number),
        peer=peer_text(session.peer),
        role=Role(session.role).name.lower() if session.greeted else "none yet",
        transport=transport.value if session.kind == Session.kind else f"{transport.value} {session.kind}",
        requests=session.requests,
        waits=session.waits,
        state="held" if session.held else "behind" if session.blocked else "running",
    )


def _peer(sock: socket.socket, address: object, transport: Transport) -> Peer:
    if transport in (Transport.UNIX, Transport.SEQPACKET):
        return unix_peer(sock)
    with suppress(OSError):  # a kernel may refuse it on sockets passed to us; it is an optimisation
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    host = address[0] if isinstance(address, tuple) else str(address)
    return Peer(key=f"address:{host}", address=str(host))
