"""What a gdb server says of itself before anybody debugs with it (gdb manual, "Remote Protocol")."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from typing import Final

_PACKET: Final = re.compile(rb"\$([^#]*)#[0-9a-fA-F]{2}")
_ARCHITECTURE: Final = re.compile(rb"<architecture>([\w:.+-]+)</architecture>")
_LONGEST: Final = 0x1000  # of a packet; the architecture is one of the first elements
_GDB_SECONDS: Final = 10.0


def architecture(sock: socket.socket, seconds: float) -> str:
    """The architecture in the target description, by gdb's name for it; "" if none is told within `seconds`.

    Asks only for features and target.xml, not for the target's state: nobody is stopped for it.
    """
    sock.settimeout(seconds)
    try:
        _ask(sock, b"qSupported:xmlRegisters=i386,arm")
        found = _ARCHITECTURE.search(_ask(sock, b"qXfer:features:read:target.xml:0,%x" % (_LONGEST // 4)))
    except (OSError, EOFError):
        return ""
    return found[1].decode("ascii", "replace") if found else ""


def _ask(sock: socket.socket, request: bytes) -> bytes:
    sock.sendall(b"$%b#%02x" % (request, sum(request) & 0xFF))
    data = b""
    while not (answer := _PACKET.search(data)):
        part = sock.recv(_LONGEST)
        if not part or len(data) > _LONGEST:
            raise EOFError
        data += part
    sock.sendall(b"+")
    return answer[1]


def gdb_takes(program: str, architecture: str) -> bool:
    """Whether the gdb at path `program` knows that architecture; True also if it cannot be asked."""
    command = [program, "-nx", "-batch", "-ex", f"set architecture {architecture}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GDB_SECONDS,
            check=False,
            env=os.environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return "Undefined item" not in done.stderr
