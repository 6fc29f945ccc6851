"""TLS over TCP: how the daemon may be reached from beyond its own host.

Both ends prove who they are: the daemon by its certificate, the client by one that the configured authorities signed
and whose common name an access rule admits.  This path is slower than the others (the stream is trio's) and serves the
same session.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from time import perf_counter
from typing import Final

import trio

from vgicd.config import ConfigError, Tls
from vgicd.logs import get_logger
from vgicd.server.access import Rules
from vgicd.server.connection import DEPARTED, Connection, unsent
from vgicd.server.limits import SLICE_SECONDS, Limits
from vgicd.server.session import Session

_RECORD: Final = 16_384  # bytes of one TLS record; what a peer takes at a time

log = get_logger()


def server_context(tls: Tls) -> ssl.SSLContext:
    """A context for TLS 1.3 that demands a client certificate. ConfigError if a file does not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.client_ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"[tls] cannot be used: {error}.") from None
    return context


def common_name(stream: trio.SSLStream[trio.SocketStream]) -> str | None:
    """The common name in the peer's verified certificate."""
    certificate = stream.getpeercert() or {}
    for group in certificate.get("subject", ()):
        for key, value in group:
            if key == "commonName":
                return str(value)
    return None


class TlsConnection(Connection):
    """Frames inside TLS."""

    def __init__(
        self, sock: socket.socket, session: Session, limits: Limits, context: ssl.SSLContext, rules: Rules
    ) -> None:
        super().__init__(session, limits)
        self._sock = sock
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._stream = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        self._rules = rules

    async def shake_hands(self) -> str:
        """Learn by TLS who the peer is and what it may do; answers why that failed, or nothing.

        Takes no longer than a peer has for its HELLO.  No session is served before.
        """
        session = self.session
        try:
            with trio.fail_after(self.limits.hello_seconds):
                await self._stream.do_handshake()
        except (*DEPARTED, trio.TooSlowError, ssl.SSLError) as error:
            return f"no TLS: {error.__cause__ or error}"
        name = common_name(self._stream)
        session.peer = session.peer._replace(certificate=name)
        session.ceiling = self._rules.highest_role(session.peer) if name is not None else None
        return ""

    async def turn_away(self) -> None:
        """As `Connection.turn_away`; to send is to wait here, for at most the write deadline."""
        with suppress(*DEPARTED), trio.move_on_after(self.limits.write_seconds):
            await self._send_all()
        await trio.aclose_forcefully(self._stream)

    async def run(self) -> None:
        """Serve as `Connection.run` does, after `shake_hands`; then close the stream."""
        try:
            await super().run()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _reader(self) -> None:
        session = self.session
        self.flush()
        while not session.closing:
            room = len(self._buffer) - self._have
            received = await self._stream.receive_some(room)
            if not received:
                self.reason = "truncated" if self._have else self.reason
                return
            self._buffer[self._have : self._have + len(received)] = received
            self._have += len(received)
            await self._serve(perf_counter() + SLICE_SECONDS)

    def _send(self) -> None:
        """Nothing can be sent without waiting; the writer does it."""

    async def _send_all(self) -> None:
        out = self.session.out
        while out:
            sending = bytes(out[:_RECORD])
            await self._stream.send_all(sending)
            del out[: len(sending)]

    def _in_kernel(self) -> int:
        return unsent(self._sock)
