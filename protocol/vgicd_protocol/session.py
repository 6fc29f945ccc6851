"""HELLO and WELCOME: who is speaking, in which version, with which role and under which limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import IntFlag
from typing import Any, Final, NamedTuple

from construct import Int8ul, Int16ul, Int32ul, Int64ul, Struct, this

from vgicd_protocol.errors import Status
from vgicd_protocol.frames import (
    FRAME_LIMIT,
    MAGIC,
    REPLY_HEAD_SIZE,
    UPLOAD_LIMIT,
    VECTOR_LIMIT,
    VERSION,
    WAIT_LIMIT,
    Role,
)
from vgicd_protocol.image import Geometry
from vgicd_protocol.strict import FLAG, Bits, Fixed, Items, OneOf, Require, Reserved, ZeroPad, count_of, text

NAME_LIMIT: Final = 64
WINDOW_LIMIT: Final = 64


class Feature(IntFlag):
    """What a server offers beyond the messages themselves; append-only."""

    VECTOR = 1 << 0
    EFFECTS = 1 << 1
    EVENTS = 1 << 2
    WAIT = 1 << 3
    SNAPSHOT = 1 << 4
    DEVICES = 1 << 5  # the profile has the vtimer and the event channel
    CONSOLE = 1 << 6  # the profile has the vPL011
    JOURNAL = 1 << 7  # reserved, never offered in version 1


BASE_FEATURES: Final = Feature.VECTOR | Feature.EFFECTS | Feature.EVENTS | Feature.WAIT | Feature.SNAPSHOT
ALL_FEATURES: Final = sum(Feature)


def limit(default: int, about: str) -> int:
    """A field of `Limits` with its description."""
    number: int = field(default=default, metadata={"about": about})
    return number


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server, in the order of WELCOME; the defaults are those of an unconfigured daemon."""

    frame: int = limit(FRAME_LIMIT, "bytes of a frame, head included")
    upload: int = limit(UPLOAD_LIMIT, "bytes of the body of a request that is split over frames")
    entries: int = limit(VECTOR_LIMIT, "entries of a VECTOR")
    waits: int = limit(WAIT_LIMIT, "unanswered WAITs of a connection")
    turn: int = limit(256, "operations of one connection before another gets its turn")
    connections: int = limit(128, "connections in all")
    connections_per_uid: int = limit(16, "connections of one user")
    reply_queue: int = limit(256 << 10, "bytes of unread replies before the server stops reading")
    event_queue: int = limit(4096, "events not yet sent before the oldest are lost")
    hello_ms: int = limit(5_000, "milliseconds from connecting to HELLO")
    frame_ms: int = limit(10_000, "milliseconds from a frame's first byte to its last")
    write_ms: int = limit(5_000, "milliseconds for a client to take some of what is queued for it")
    events_ms: int = limit(30_000, "milliseconds for which an event queue may stay full")
    wait_ms: int = limit(3_600_000, "milliseconds a WAIT may last")
    log_lines: int = limit(10, "log lines a second that guests and peers may cause; the rest is counted")


class Window(NamedTuple):
    """A frame of the guest's physical address map."""

    name: str
    base: int
    size: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client opens with. `role` ANY asks for the highest that the server grants it."""

    role: Role = Role.ANY
    features: int = 0  # required; the server refuses if it lacks one
    client: str = ""  # a name for the server's log
    lowest: int = VERSION
    highest: int = VERSION

    def fields(self) -> dict[str, Any]:
        """The fields of the HELLO body."""
        return asdict(self)

    @classmethod
    def from_fields(cls, body: dict[str, Any]) -> Hello:
        """From a parsed HELLO body."""
        return cls(Role(body["role"]), body["features"], body["client"], body["lowest"], body["highest"])


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the server answers."""

    role: Role
    geometry: Geometry
    windows: tuple[Window, ...]
    domain: str
    server: str
    features: int = int(BASE_FEATURES)
    explicit: bool = False  # the world-switch mode at this moment
    limits: Limits = field(default_factory=Limits)
    version: int = VERSION

    def fields(self) -> dict[str, Any]:
        """The fields of the WELCOME body."""
        return {
            "version": self.version,
            "role": self.role,
            "explicit": self.explicit,
            "features": self.features,
            "limits": asdict(self.limits),
            "vcpus": self.geometry.vcpus,
            "spis": self.geometry.spis,
            "lrs": self.geometry.lrs,
            "variant": self.geometry.variant,
            "profile": self.geometry.profile,
            "domain": self.domain,
            "server": self.server,
            "windows": [window._asdict() for window in self.windows],
        }

    @classmethod
    def from_fields(cls, body: dict[str, Any]) -> Welcome:
        """From a parsed WELCOME body."""
        return cls(
            role=Role(body["role"]),
            geometry=Geometry(body["vcpus"], body["spis"], body["lrs"], body["variant"], body["profile"]),
            windows=tuple(Window(w["name"], w["base"], w["size"]) for w in body["windows"]),
            domain=body["domain"],
            server=body["server"],
            features=body["features"],
            explicit=body["explicit"],
            limits=Limits(**body["limits"]),
            version=body["version"],
        )


HELLO: Final = Struct(
    "magic" / Fixed(Int32ul, MAGIC) * '0x63696776 ("vgic")',
    "lowest" / Int8ul * "first version that the client speaks, at least 1",
    "highest" / Int8ul * "last version that it speaks",
    "role" / OneOf(Int8ul, Role, "0 to 3") * "0 the highest granted, 1 observe, 2 guest, 3 control",
    "reserved" / Reserved(Int8ul),
    "features" / Int32ul * "required features; see the features",
    "client" / text(NAME_LIMIT) * "a name for the server's log",
    Require("lowest", lambda hello: 1 <= hello.lowest <= hello.highest, "1 to highest", Status.VERSION),
)

LIMITS: Final = Struct(*(item.name / Int32ul * item.metadata["about"] for item in fields(Limits)))

WELCOME: Final = Struct(
    "magic" / Fixed(Int32ul, MAGIC) * '0x63696776 ("vgic")',
    "version" / Int8ul * "spoken from here on",
    "role" / OneOf(Int8ul, tuple(Role)[1:], "1 to 3") * "granted: 1 observe, 2 guest, 3 control",
    "explicit" / FLAG * "the world-switch mode: 0 automatic, 1 explicit",
    "reserved" / Reserved(Int8ul),
    "features" / Bits(Int32ul, ALL_FEATURES) * "offered",
    "limits" / LIMITS * "see the limits",
    "vcpus" / Int16ul,
    "spis" / Int16ul * "rounded up to a multiple of 32",
    "lrs" / Int16ul * "list registers per vCPU",
    "reserved_2" / Reserved(Int16ul),
    "variant" / text(32) * "correct or xen",
    "profile" / text(32) * "virt, xen-guest or trace",
    "domain" / text(NAME_LIMIT) * "the domain's name",
    "server" / text(NAME_LIMIT) * "the server and its release",
    "count" / count_of("windows", WINDOW_LIMIT) * "of windows",
    "windows"
    / Items(
        this.count,
        Struct(
            "reserved_pad" / ZeroPad(8, REPLY_HEAD_SIZE) * "so that `base` is aligned in the frame",
            "base" / Int64ul * "guest-physical address",
            "size" / Int64ul * "bytes",
            "name" / text(NAME_LIMIT) * "GICD, GICC, GICH or a device",
        ),
    ),
)
