"""Editors attach through the Debug Adapter Protocol of a new gdb: threads, stack and values are what gdb shows."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gdb.conftest import Board
from tests.gdb.gdbs import Gdb
from vgicd_client import Space

PATIENCE = 30.0


class Editor:
    """The client's half of the protocol, over the pipes of a `gdb -i=dap`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._buffer = b""
        self._sequence = 0

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The body of the successful response to a request."""
        number = self.send(command, **arguments)
        while True:
            message = self.message()
            if message["type"] == "response" and message["request_seq"] == number:
                assert message["success"], message
                body: dict[str, Any] = message.get("body", {})
                return body

    def send(self, command: str, **arguments: Any) -> int:
        self._sequence += 1
        request = {"seq": self._sequence, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()
        return self._sequence

    def message(self) -> dict[str, Any]:
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        length = int(head.split(b":")[1])
        while len(self._buffer) < length:
            self._receive()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        found: dict[str, Any] = json.loads(body)
        return found

    def _receive(self) -> None:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert ready, "gdb says nothing"
        data = os.read(self._process.stdout.fileno(), 1 << 16)
        assert data, "gdb has ended"
        self._buffer += data


@contextmanager
def editor(gdb: Gdb) -> Iterator[Editor]:
    process = subprocess.Popen(
        [*gdb.command, "-i=dap"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(gdb.environment)
    )
    with process:
        try:
            yield Editor(process)
        finally:
            process.kill()


@pytest.mark.long
@pytest.mark.gdbs("new")
def test_an_editor_attaches_and_sees_threads_stack_and_values(gdb: Gdb, board: Board) -> None:
    gic = board.gic
    gic.write(0, Space.GICD, 0, 1)
    gic.write(0, Space.GICC, 0, 1)
    gic.write(0, Space.GICC, 4, 0xF0)
    gic.write(0, Space.GICD, 0x100, 1 << 27)
    gic.line(27, 1, 0)
    assert gic.read(0, Space.GICC, 0x0C) == 27
    with editor(gdb) as vscode:
        vscode.ask("initialize", adapterID="test", linesStartAt1=True)
        attached = vscode.send("attach", target=board.gdb)
        vscode.ask("configurationDone")
        while vscode.message().get("request_seq") != attached:
            pass
        threads = vscode.ask("threads")["threads"]
        assert len(threads) == 4
        frames = vscode.ask("stackTrace", threadId=threads[0]["id"])["stackFrames"]
        assert [frame["name"] for frame in frames] == ["idle", "irq27_vtimer"]
        value = vscode.ask("evaluate", expression="gich.LR[0].VirtualID", frameId=frames[0]["id"])
        assert value["result"] == "27"
        vscode.ask("disconnect", terminateDebuggee=False)
    assert gic.read(0, Space.GICC, 0x14) == 0, "the guest goes on"
