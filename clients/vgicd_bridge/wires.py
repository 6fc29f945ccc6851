"""QEMU's qtest socket: the CPU's interrupt inputs and timer outputs, and registers of QEMU's own devices."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from vgicd_bridge import qtest
from vgicd_bridge.channel import Channel
from vgicd_bridge.errors import EmulatorLost
from vgicd_bridge.qtest import Notice

VIRQ_PIN: Final = 2
VFIQ_PIN: Final = 3
"""Of QEMU's CPU, after IRQ and FIQ: those two are its own GIC's, which pulls them low at every change of any line."""


class Wires:
    """Commands are answered in order; `notices` keeps what the intercepted outputs did meanwhile."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._decoder = qtest.Decoder()
        self._driven = 0
        self._cpu = ""
        self._posted = 0  # commands whose answers are of no interest and have not come yet

    @property
    def notices(self) -> deque[Notice]:
        """Changes of the CPU's timer outputs that nobody has taken yet."""
        return self._decoder.notices

    def attach(self, cpu: str) -> None:
        """Have the outputs of the CPU at QOM path `cpu` told from now on, and drive its inputs."""
        self._cpu = cpu
        self.run((qtest.intercept(cpu),))

    def take(self) -> None:
        """Take in what has come, without waiting."""
        self._feed(self.channel.take())
        self._skip_posted()

    def drive(self, outputs: int) -> None:
        """Bit 0: the level of VIRQ, bit 1: of VFIQ. Returns when the CPU has them."""
        changed = outputs ^ self._driven
        if changed:
            pins = [(VIRQ_PIN + bit, outputs >> bit & 1) for bit in (0, 1) if changed >> bit & 1]
            self.run([qtest.drive(self._cpu, pin, level) for pin, level in pins])
            self._driven = outputs

    def read(self, address: int) -> int:
        """A word of a device of QEMU's, at a physical address."""
        return self.run((qtest.read(address),))[0]

    def write(self, *words: tuple[int, int]) -> None:
        """(address, value): words of devices of QEMU's."""
        self.run([qtest.write(address, value) for address, value in words])

    def post(self, address: int, value: int) -> None:
        """As `write` of one word, without waiting for it to be done."""
        self.channel.send((qtest.write(address, value) + "\n").encode())
        self._posted += 1

    def run(self, commands: Sequence[str]) -> list[int]:
        """The answers to `commands`. Raises `EmulatorLost` when QEMU refuses one or does not answer."""
        self.channel.send(("\n".join(commands) + "\n").encode())
        answers = self._decoder.answers
        while len(answers) < len(commands) + self._posted:
            self.channel.wait()
            self._feed(self.channel.take())
        self._skip_posted()
        return [answers.popleft() for _ in commands]

    def _feed(self, data: bytes) -> None:
        try:
            self._decoder.feed(data)
        except qtest.QtestError as error:
            raise EmulatorLost(f"QEMU's qtest: {error}") from error

    def _skip_posted(self) -> None:
        """Answers come in order, so that those to what was posted are the first."""
        answers = self._decoder.answers
        while self._posted and answers:
            answers.popleft()
            self._posted -= 1
