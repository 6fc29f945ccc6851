"""A scripted daemon: a thread behind a real UNIX socket that answers HELLO and then does what the test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from vgicd_protocol import framing, messages
from vgicd_protocol.frames import Opcode, Role
from vgicd_protocol.image import Geometry
from vgicd_protocol.session import Welcome, Window

WELCOME = Welcome(
    role=Role.CONTROL,
    geometry=Geometry(vcpus=2, spis=64, lrs=4, variant="correct", profile="virt"),
    windows=(Window("GICD", 0x0800_0000, 0x1000),),
    domain="scripted",
    server="a thread",
)


class Peer:
    """The daemon's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = framing.FrameReader()
        self._frames: list[framing.Frame] = []

    def frame(self) -> framing.Frame | None:
        """The next request frame, None at the end of the stream."""
        while not self._frames:
            data = self.sock.recv(1 << 16)
            if not data:
                return None
            self._frames.extend(self._reader.feed(data))
        return self._frames.pop(0)

    def expect(self, opcode: Opcode) -> framing.Frame:
        """The next frame, which must be of `opcode`."""
        frame = self.frame()
        if frame is None or frame.opcode != opcode:
            raise AssertionError(f"{opcode.name} expected, got {frame}")
        return frame

    def reply(
        self, frame: framing.Frame, body: bytes = b"", *, status: int = 0, outputs: int = 0, order: int = 0
    ) -> None:
        """Answer `frame`."""
        self.sock.sendall(framing.reply(frame.opcode, frame.request_id, outputs, order, body, status))

    def answer(self, frame: framing.Frame, value: int, *, status: int = 0, outputs: int = 0, order: int = 0) -> None:
        """Answer a READ, WRITE or LINE."""
        self.reply(frame, value.to_bytes(8, "little"), status=status, outputs=outputs, order=order)

    def hello(self) -> None:
        """Take HELLO and welcome the client."""
        self.reply(self.expect(Opcode.HELLO), messages.build_reply(Opcode.HELLO, WELCOME.fields()))


Script = Callable[[Peer], None]
Scripted = Callable[..., str]


@contextmanager
def _serving(path: Path, scripts: tuple[Script, ...], kind: socket.SocketKind) -> Iterator[str]:
    failures: list[BaseException] = []

    def serve() -> None:
        for script in scripts:
            sock, _ = server.accept()
            with sock:
                sock.settimeout(20)
                try:
                    script(Peer(sock))
                except BaseException as error:
                    failures.append(error)

    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(20)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{'seqpacket' if kind == socket.SOCK_SEQPACKET else 'unix'}:{path}"
        thread.join(20)
    assert not failures, failures
    assert not thread.is_alive(), "the script waits for more connections than the client made"


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    """Start a scripted daemon; each script serves one connection, in order. Answers the address."""
    with ExitStack() as stack:

        def start(*scripts: Script, kind: socket.SocketKind = socket.SOCK_STREAM) -> str:
            return stack.enter_context(_serving(tmp_path / f"s{len(list(tmp_path.iterdir()))}", scripts, kind))

        yield start
