"""QEMU's QMP socket: which CPU there is, and why the machine has ended."""

from __future__ import annotations

import json
from typing import Any

from vgicd_bridge.channel import Channel
from vgicd_bridge.errors import EmulatorLost


class Control:
    """`ending` is the reason of QEMU's SHUTDOWN event, "" before it."""

    def __init__(self, channel: Channel) -> None:
        """Waits for the greeting and leaves negotiation."""
        self.channel = channel
        self._data = b""
        self._answers: list[dict[str, Any]] = []
        self.ending = ""
        while not self._greeted():
            channel.wait()
        self.command("qmp_capabilities")

    def _greeted(self) -> bool:
        self.take()
        return any("QMP" in answer for answer in self._answers)

    def command(self, name: str, **arguments: str) -> Any:
        """What the command returns. Raises `EmulatorLost` when QEMU refuses it."""
        self._answers.clear()
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.channel.send(json.dumps({"execute": name, "arguments": given}).encode() + b"\n")
        while not self._answers:
            self.channel.wait()
            self.take()
        answer = self._answers.pop(0)
        if "return" not in answer:
            raise EmulatorLost(f"QEMU refuses {name}: {answer.get('error', answer)}")
        return answer["return"]

    def cpu(self) -> str:
        """The QOM path of the CPU."""
        return str(self.command("query-cpus-fast")[0]["qom-path"])

    def monitor(self, line: str) -> str:
        """What QEMU's monitor for people says to `line`."""
        return str(self.command("human-monitor-command", command_line=line))

    def take(self) -> None:
        """Take in what has come, without waiting."""
        *lines, self._data = (self._data + self.channel.take()).split(b"\n")
        for line in filter(None, map(bytes.strip, lines)):
            try:
                message = json.loads(line)
            except ValueError:
                raise EmulatorLost(f"QEMU says {line[:80]!r} at its control socket") from None
            if message.get("event") == "SHUTDOWN":
                self.ending = str(message["data"]["reason"])
            elif "event" not in message:
                self._answers.append(message)
