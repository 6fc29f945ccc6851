"""A debugger made of packets, and a guest beside it, on one domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.gdbstub.local import GICC, GICD, LocalTarget, bring_up
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub import packets
from vgicd.gdbstub.stub import Stub, StubOptions
from vgicd.gdbstub.target import EVERYTHING, Watcher

__all__ = ["EVERYTHING", "GICC", "GICD", "World", "op"]


class WatchedTarget(LocalTarget):
    """A target that tells watchers, and remembers what is held."""

    def __init__(self, world: World, name: str, **options: Any) -> None:
        super().__init__(world.domain, **options)
        self.who = name
        self.world = world
        self.held = 0
        self.stub: Stub

    def spread(self, outputs: int) -> None:
        self.world.spread(self.stub)

    def watch(self, watcher: Watcher) -> None:
        self.world.watch(watcher)

    def hold(self, mask: int) -> None:
        self.held = mask

    def holders(self) -> Sequence[str]:
        return [debugger.target.who for debugger in self.world.debuggers if debugger.target.held]


class Debugger:
    """One gdb: asks, and keeps what it is told without having asked."""

    def __init__(self, world: World, name: str, options: StubOptions, **target: Any) -> None:
        self.target = WatchedTarget(world, name, **target)
        self.stub = self.target.stub = Stub(self.target, options)
        self._decoder = packets.Decoder()

    def tell(self, payload: bytes) -> list[str]:
        """Send a packet; every packet and notification that came by now."""
        self.stub.receive(packets.encode(payload))
        return self.told()

    def ask(self, payload: bytes) -> str:
        """Send a packet that is answered by exactly one."""
        (answer,) = self.tell(payload)
        return answer

    def told(self) -> list[str]:
        data = bytes(self.stub.out).replace(b"%Stop:", b"$%Stop:")
        self.stub.out.clear()
        return [item.payload.decode("latin-1") for item in self._trusting(data) if isinstance(item, packets.Packet)]

    def _trusting(self, data: bytes) -> list[packets.Item]:
        self._decoder.trusting = True
        return self._decoder.feed(data)

    def connect(self, *features: str, non_stop: bool = False) -> str:
        """What gdb 13 says first; the answer to why the target stopped."""
        offered = ";".join(("multiprocess+", "swbreak+", "hwbreak+", *features))
        self.ask(b"qSupported:" + offered.encode())
        self.ask(b"QStartNoAckMode")
        if non_stop:
            assert self.ask(b"QNonStop:1") == "OK"
        return self.ask(b"?")

    def address(self, symbol: str) -> int:
        """Where the fake code called `symbol` is."""
        return next(at for name, at, _ in self.target.layout.symbols(self.target.names) if name == symbol)

    def break_at(self, symbol: str) -> None:
        assert self.ask(b"Z0,%x,1" % self.address(symbol)) == "OK"

    def pc(self, vcpu: int) -> int:
        """$pc of the thread, as gdb would fetch it."""
        assert self.ask(b"Hgp1.%x" % (vcpu + 1)) == "OK"
        words = bytes.fromhex(self.ask(b"g"))
        return int.from_bytes(words[16 * 8 : 17 * 8], "little")


class World:
    """A domain, its guest, and the debuggers that look at it."""

    def __init__(self, vcpus: int = 4, **config: Any) -> None:
        self.domain = Domain(DomainConfig(vcpus=vcpus, **config))
        self.debuggers: list[Debugger] = []
        self._watchers: list[Watcher] = []
        if not config.get("profile"):
            bring_up(self.domain)

    def debugger(self, options: StubOptions | None = None, **target: Any) -> Debugger:
        made = Debugger(self, f"gdb#{len(self.debuggers) + 1}", options or StubOptions(), **target)
        self.debuggers.append(made)
        return made

    def guest(self, operation: Any) -> Any:
        """The guest or one of its devices does something."""
        value = self.domain.apply(operation).value
        self.spread(None)
        return value

    def write(self, vcpu: int, space: int, offset: int, value: int) -> None:
        self.guest(op.Write(vcpu, space, offset, 4, value))

    def acknowledge(self, vcpu: int) -> int:
        return int(self.guest(op.Read(vcpu, GICC, 0x0C, 4)))

    def spread(self, source: object) -> None:
        events = self.domain.take_events()
        if events:
            for watcher in list(self._watchers):
                watcher.see(events, source)

    def watch(self, watcher: Watcher) -> None:
        self._watchers = [known for known in self._watchers if known is not watcher]
        if watcher.mask:
            self._watchers.append(watcher)
        mask = 0
        for known in self._watchers:
            mask |= known.mask
        self.domain.listen(mask)
