"""What gdb and stub offer each other in qSupported (gdb manual, "General Query Packets").

The minimal set is what QEMU 7.2's stub has.  A gdb before 14 keeps one table of what "the remote" understands for all
its targets: one that debugs a guest on QEMU and our domain side by side fails as soon as they differ.
"""

from __future__ import annotations

from typing import Final

from vgicd.gdbstub.packets import LIMIT

_ALWAYS: Final = ("multiprocess+", "qXfer:features:read+", "vContSupported+")
_FULL: Final = (
    "QStartNoAckMode+",
    "QNonStop+",
    "qXfer:threads:read+",
    "qXfer:memory-map:read+",
    "qXfer:osdata:read+",
    "qXfer:exec-file:read+",
    "swbreak+",
    "hwbreak+",
    "no-resumed+",
    "binary-upload+",
    "error-message+",
)
_BREAKS: Final = {"swbreak:;": b"swbreak+", "hwbreak:;": b"hwbreak+"}
"""Parts of a stop reply that only a gdb may be sent that offers the feature."""
_MINIMAL_PACKETS: Final = frozenset(
    (
        *"?!cCDgGHkmMpPsSTzZ",
        "qAttached",
        "qC",
        "qfThreadInfo",
        "qsThreadInfo",
        "qThreadExtraInfo",
        "qRcmd",
        "qSupported",
        "qXfer",
        "vAttach",
        "vCont",
        "vCont?",
        "vKill",
    )
)
MINIMAL_OBJECTS: Final = frozenset((b"features",))
"""What of qXfer the minimal set has."""


class Features:
    """What was agreed on one connection; until qSupported came, nothing beyond the oldest gdb's."""

    def __init__(self, minimal: bool = False) -> None:
        self.minimal = minimal
        self.multiprocess = False
        self.untold = frozenset(_BREAKS)  # of the reasons to stop, those that gdb does not understand
        self.error_message = False

    def agree(self, offered: bytes) -> bytes:
        """The reply to qSupported with gdb's `offered` features."""
        theirs = {feature for feature in offered.lstrip(b":").split(b";") if feature.endswith(b"+")}
        self.multiprocess = b"multiprocess+" in theirs
        self.untold = frozenset(reason for reason, feature in _BREAKS.items() if self.minimal or feature not in theirs)
        self.error_message = b"error-message+" in theirs and not self.minimal
        ours = _ALWAYS if self.minimal else _ALWAYS + _FULL
        return ";".join((f"PacketSize={LIMIT:x}", *ours)).encode()

    def offers(self, name: str) -> bool:
        """Is the packet called `name` one that this connection has?"""
        return not self.minimal or name in _MINIMAL_PACKETS
