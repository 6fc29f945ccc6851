"""The domain as the daemon serves it to one debugger: the hub's and the freeze's side of `Target`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import trio

from vgicd import __version__
from vgicd.domain.events import Event
from vgicd.gdbstub.arch import Arch
from vgicd.gdbstub.target import ClientInfo, Target, Watcher
from vgicd.logs import get_logger
from vgicd.server.session import Shared
from vgicd_protocol.frames import Role

log = get_logger()


class ServedTarget(Target):
    """One debugger's way to a domain that others use as well.

    It stands between the hub and the debugger's watcher: a watcher that fails must harm nobody's request but end the
    debugger's own connection, for which `failed` is called.  Operations are spread as the watcher's own, once it has
    watched.
    """

    def __init__(
        self,
        shared: Shared,
        arch: Arch,
        role: Role,
        number: int,
        names: Mapping[int, str],
        clients: Callable[[], Sequence[ClientInfo]],
    ) -> None:
        super().__init__(shared.domain, arch, role, f"gdb#{number}", shared.config.name, __version__, names)
        self.mask = 0  # as a watcher
        self.held_since: float | None = None  # trio's clock; None while nothing is held
        self.failed: Callable[[], None] = lambda: None
        self._hub = shared.hub
        self._clients = clients
        self._watcher: Watcher | None = None

    def spread(self, outputs: int) -> None:
        """Tell watchers, subscribers and waits what the operation just applied has caused."""
        if self._hub.armed:
            self._hub.spread(self, outputs)

    def publish(self) -> None:
        """Send others what has been caused for them."""
        self._hub.publish()

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher`, of which a debugger has one, of events from now on, by its mask (0: no more)."""
        self._watcher = watcher
        self.mask = watcher.mask
        self._hub.watch(self)

    def see(self, events: Sequence[Event], source: object) -> None:
        """The operation that `source` just had applied caused `events`; for the hub."""
        watcher = self._watcher
        if watcher is None:
            return
        try:
            watcher.see(events, watcher if source is self else source)
        except Exception:
            log.exception("gdb.failed", who=self.who)
            self.failed()

    def hold(self, mask: int) -> None:
        """Hold what `mask` says, instead of what was held for this debugger before; 0 releases."""
        if not mask:
            self.held_since = None
        elif self.held_since is None:
            self.held_since = trio.current_time()
        self._hub.freeze.hold(self, mask)

    def holders(self) -> Sequence[str]:
        """Who holds anything at present."""
        return [str(holder) for holder in self._hub.freeze.holders]

    def clients(self) -> Sequence[ClientInfo]:
        """Everybody connected, debuggers included."""
        return self._clients()

    def leave(self) -> None:
        """Watch and hold nothing any longer, whatever the debugger's stub believes."""
        self.mask = 0
        self._watcher = None
        self._hub.watch(self)
        self.hold(0)

    def __str__(self) -> str:
        return self.who
