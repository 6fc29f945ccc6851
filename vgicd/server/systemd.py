"""systemd: the sockets it passes us and the state we tell it, by its documented interfaces (sd_listen_fds(3),
sd_notify(3)). Without systemd's variables in the environment every function here does nothing.
"""

from __future__ import annotations

import os
import socket
from typing import Final, NamedTuple

_FIRST_FD: Final = 3


class PassedSocket(NamedTuple):
    """A listening socket from a socket unit, and the FileDescriptorName= it was given."""

    sock: socket.socket
    name: str


def take_sockets() -> list[PassedSocket]:
    """The sockets passed to this process, non-blocking and not inheritable.

    The variables are removed, so that a child cannot take them for its own and a second call answers [].
    OSError if a passed descriptor is no socket.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    passed = []
    for index in range(int(count)):
        fd = _FIRST_FD + index
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        passed.append(PassedSocket(sock, names[index] if index < len(names) else ""))
    return passed


class Notifier:
    """The service manager's notification socket."""

    def __init__(self) -> None:
        """Read and remove NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        ours = microseconds.isdecimal() and pid in ("", str(os.getpid()))
        self.watchdog_seconds: float | None = int(microseconds) / 1e6 if ours and self._address else None

    def notify(self, **fields: str | int) -> None:
        """Send assignments such as `READY=1`. OSError if the manager's socket does not take them."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(f"{key}={value}" for key, value in fields.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.sendto(message.encode(), address)
