"""Configuration: a TOML file and a command line that overrides it, both derived from the same dataclasses.

A configuration is a value: `load` either answers a complete, checked one or raises `ConfigError`, whose text is one
sentence that names the file, the key and what would be right.  An unknown key is an error, and the nearest known one
is named, because a misspelt limit that is silently ignored protects nobody.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin

from vgicd.domain.config import DomainConfig
from vgicd.gdbstub.arch import ARCHES
from vgicd.gdbstub.lifecycle import parse_names
from vgicd.logs import Logging
from vgicd.options import Declared, Option, declared, option
from vgicd.qtest.wiring import Wiring, check_path
from vgicd.server.access import Access
from vgicd.server.limits import Limits


class ConfigError(Exception):
    """A configuration that cannot be used; nothing has been started."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the daemon listens. Nothing at all means: where systemd says, else the default UNIX path."""

    unix: tuple[str, ...] = option((), "listen on a UNIX stream socket at PATH", metavar="PATH")
    unixpacket: tuple[str, ...] = option((), "listen on a UNIX seqpacket socket at PATH", metavar="PATH")
    tcp: tuple[str, ...] = option((), "listen on a TCP port; beyond loopback only with [tls]", metavar="HOST:PORT")


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS for the TCP ports: all three or none. Clients must present a certificate that `client_ca` signed."""

    certificate: str = option("", "PEM file with the daemon's certificate chain", metavar="FILE")
    key: str = option("", "PEM file with its private key", metavar="FILE")
    client_ca: str = option("", "PEM file with the authorities that sign clients' certificates", metavar="FILE")

    @property
    def enabled(self) -> bool:
        """Is TLS configured?"""
        return bool(self.certificate)


FRONT_END_DEFAULT: Final = "default"
"""In the place of a front end's address: beside the daemon's UNIX socket, with the front end's name as suffix."""


@dataclass(frozen=True, slots=True)
class Gdb:
    """The endpoint for debuggers: off unless `listen` names an address."""

    listen: tuple[str, ...] = option(
        (),
        "serve gdb at unix:PATH, or at tcp:HOST:PORT on loopback; alone, or as default: at NAME.gdb beside NAME.sock",
        metavar="ADDRESS",
        flag="gdb",
        alone=FRONT_END_DEFAULT,
    )
    arch: str = option("auto", "architecture that gdb is shown; auto: this host's", choices=("auto", *ARCHES))
    freeze: str = option(
        "auto", "hold the guest while a debugger has stopped it; off: it runs on", choices=("auto", "off")
    )
    watchdog_seconds: float = option(
        10.0, "time for a debugger that holds the guest to go on talking before the guest is let go", low=0.1, high=3600
    )
    freeze_seconds: float = option(
        0.0, "longest time that a debugger may hold the guest at once; 0: no limit", low=0.0, high=86_400
    )
    minimal: bool = option(False, "offer gdb no more than QEMU 7.2 does, for one gdb 13 that debugs on both")
    irq_names: tuple[str, ...] = option(
        (),
        "call INTID's breakpoint symbol irqINTID_NAME too, as in 33=uart0",
        metavar="INTID=NAME",
        flag="gdb-irq-name",
    )


@dataclass(frozen=True, slots=True)
class Qtest:
    """The endpoint for clients of QEMU's qtest protocol: off unless `listen` names an address."""

    listen: tuple[str, ...] = option(
        (),
        "serve qtest at unix:PATH, or at tcp:HOST:PORT on loopback; alone, or as default: at NAME.qtest beside "
        "NAME.sock",
        metavar="ADDRESS",
        flag="qtest",
        alone=FRONT_END_DEFAULT,
    )
    gic_path: str = option(
        "", "the GIC's QOM path; empty: /machine/unattached/device[VCPUS], as in QEMU", metavar="PATH"
    )
    cpu_paths: tuple[str, ...] = option(
        (),
        "a vCPU's QOM path, in order of their numbers; none: /machine/unattached/device[0] and so on",
        metavar="PATH",
        flag="qtest-cpu-path",
    )


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the daemon is told before it starts; sections are named as in the file."""

    name: str = option("default", "the domain's name, as clients see it", metavar="NAME")
    domain: DomainConfig = field(default_factory=DomainConfig)
    listen: Listen = field(default_factory=Listen)
    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    tls: Tls = field(default_factory=Tls)
    log: Logging = field(default_factory=Logging)
    gdb: Gdb = field(default_factory=Gdb)
    qtest: Qtest = field(default_factory=Qtest)


_DOMAIN: Final[Mapping[str, Option]] = {
    "vcpus": Option("virtual CPUs", 1, 8),
    "spis": Option("shared interrupts, rounded up to a multiple of 32", 0, 960),
    "lrs": Option("list registers of each virtual CPU", 1, 64),
    "variant": Option("behave as specified, or as Xen does bit for bit", choices=("correct", "xen")),
    "profile": Option("address map and devices", choices=("virt", "xen-guest", "trace")),
    "xen_without": Option("switch off one defect of variant xen, such as D2", metavar="DEFECT"),
    "gic_version": Option("GIC architecture version; only 2 can be created", 2, 3),
    "layout": Option("how the frames are mapped", choices=("profile", "ordinary", "hardware", "direct")),
    "gicd_base": Option("address of the distributor", 0, (1 << 48) - 1, metavar="ADDRESS", base=16),
    "gicc_base": Option("address of the CPU interface", 0, (1 << 48) - 1, metavar="ADDRESS", base=16),
    "gicc_size": Option(
        "size of the host's CPU interface, for layout hardware", 0x1000, 1 << 32, metavar="BYTES", base=16
    ),
    "hardware_domain": Option("allow the guest to program physical trigger types"),
    "strict_abort": Option("refused accesses abort instead of being ignored"),
    "trap_unmapped": Option("an access outside all regions aborts"),
    "iidr_revision": Option("revision in GICD_IIDR; IGROUPR is writable from 2 on", 0, 2),
    "eoi_compares_source": Option("an EOI must match an SGI's source CPU too"),
    "eoi_when_idle": Option("what an EOI without a running priority does", choices=("deactivate", "ignore")),
    "timer_hz": Option("virtual time ticks per second, for people only", 1, 10**12),
    "lazy": Option("skip world switches that would change nothing"),
}

SECTIONS: Final[Mapping[str, tuple[Declared, ...]]] = {
    "domain": declared(DomainConfig, _DOMAIN),
    "listen": declared(Listen),
    "access": declared(Access),
    "limits": declared(Limits),
    "tls": declared(Tls),
    "log": declared(Logging),
    "gdb": declared(Gdb),
    "qtest": declared(Qtest),
}
"""Every option of every section, for the file, the command line and the tests."""

FRONT_ENDS: Final = ("gdb", "qtest")
"""The sections of the protocols that are served besides the daemon's own."""

NAME: Final = Declared("name", str, "default", fields(Config)[0].metadata["option"])

_NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def load(
    path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None, name: str | None = None
) -> Config:
    """The configuration in the TOML file `path` (None: the defaults), with `overrides[section][key]` and `name` on top.

    Raises ConfigError if the file cannot be read, is not TOML, or names something unknown or out of range.
    """
    document = read_document(path) if path is not None else {}
    return parse(document, str(path) if path is not None else "the command line", overrides, name)


def read_document(path: Path) -> dict[str, Any]:
    """The TOML document in `path`, unchecked. ConfigError if there is none."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None


def parse(
    document: Mapping[str, Any],
    source: str,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    name: str | None = None,
) -> Config:
    """The configuration that `document` describes; `source` is what error texts call it."""
    merged: dict[str, Any] = {}
    for key, value in document.items():
        if key == NAME.key:
            merged[NAME.key] = _convert(NAME, value, source, key)
            continue
        if key not in SECTIONS:
            raise ConfigError(f"{source}: unknown key {key!r}{_nearest(key, ('name', *SECTIONS))}")
        if not isinstance(value, Mapping):
            raise ConfigError(f"{source}: {key!r} is a section; write it as [{key}].")
        merged[key] = _section(key, value, source)
    for section, values in (overrides or {}).items():
        merged[section] = merged.get(section, {}) | _section(section, values, "the command line")
    if name is not None:
        merged[NAME.key] = name
    config = Config()
    changes: dict[str, Any] = {
        section: replace(getattr(config, section), **values)
        for section, values in merged.items()
        if section != NAME.key
    }
    config = replace(config, **changes, name=merged.get(NAME.key, config.name))
    _check_whole(config, source)
    for front_end in FRONT_ENDS:
        unused = (overrides or {}).get(front_end)
        if unused and not getattr(config, front_end).listen:  # in a file they may wait for a daemon that serves it
            key = next(iter(unused))
            raise ConfigError(
                f"the command line: {front_end}.{key} does nothing without {front_end}: add --{front_end}."
            )
    return config


def _section(section: str, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    rows = {row.key: row for row in SECTIONS[section]}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in rows:
            raise ConfigError(f"{source}: unknown key {key!r} in [{section}]{_nearest(key, rows)}")
        checked[key] = _convert(rows[key], value, source, f"{section}.{key}")
    return checked


def _nearest(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}."


def base_kind(kind: Any) -> tuple[type, bool]:
    """The plain type of an option (its items', for a list), and whether it takes a list."""
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is tuple:
        return get_args(kind)[0], True
    return kind, False


def _convert(row: Declared, value: Any, source: str, name: str) -> Any:
    kind, many = base_kind(row.kind)
    if many:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{source}: {name} takes a list, such as [{value!r}].")
        return tuple(_convert_one(row, kind, item, source, name) for item in value)
    return _convert_one(row, kind, value, source, name)


def _is_exactly(kind: type, value: object) -> bool:
    return type(value) is kind


_KIND_NAMES: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}


def _convert_one(row: Declared, kind: type, given: Any, source: str, name: str) -> Any:
    value: Any = float(given) if kind is float and type(given) is int else given
    if not _is_exactly(kind, value):  # not isinstance: a bool is an int to Python, never to a configuration
        raise ConfigError(f"{source}: {name} takes {_KIND_NAMES[kind]}, not {value!r}.")
    low, high, choices = row.option.low, row.option.high, row.option.choices
    if choices and value not in choices:
        raise ConfigError(f"{source}: {name} is one of {', '.join(choices)}, not {value!r}.")
    if (low is not None and not value >= low) or (high is not None and not value <= high):  # "not": NaN fails too
        raise ConfigError(f"{source}: {name} is {low} to {high}, not {value!r}.")
    return value


def _check_whole(config: Config, source: str) -> None:
    """What no single option can say of itself."""
    if not _NAME_PATTERN.fullmatch(config.name):
        raise ConfigError(
            f"{source}: the name {config.name!r} is not 1 to 63 letters, digits, dots, dashes or underlines."
        )
    tls = config.tls
    if any((tls.certificate, tls.key, tls.client_ca)) and not all((tls.certificate, tls.key, tls.client_ca)):
        raise ConfigError(f"{source}: [tls] needs certificate, key and client_ca together.")
    limits = config.limits
    if limits.upload < limits.frame:
        raise ConfigError(f"{source}: limits.upload is smaller than limits.frame.")
    _check_irq_names(config, source)
    _check_paths(config, source)


def _check_paths(config: Config, source: str) -> None:
    qtest, vcpus = config.qtest, config.domain.vcpus
    for path in filter(None, (qtest.gic_path, *qtest.cpu_paths)):
        wrong = check_path(path)
        if wrong:
            raise ConfigError(f"{source}: qtest: {wrong}.")
    if qtest.cpu_paths and len(qtest.cpu_paths) != vcpus:
        raise ConfigError(f"{source}: qtest.cpu_paths names {len(qtest.cpu_paths)} vCPUs, and there are {vcpus}.")
    paths = [device.path for device in Wiring(vcpus, 31, qtest.gic_path, qtest.cpu_paths).devices]
    if len(set(paths)) < len(paths):
        raise ConfigError(f"{source}: qtest gives two devices one path: {', '.join(paths)}.")


def _check_irq_names(config: Config, source: str) -> None:
    try:
        names = parse_names(config.gdb.irq_names)
    except ValueError as error:
        raise ConfigError(f"{source}: gdb.irq_names: {error}") from None
    if len(names) < len(config.gdb.irq_names):
        raise ConfigError(f"{source}: gdb.irq_names gives an INTID two names: leave one of them out.")
    last = 31 + -(-config.domain.spis // 32) * 32
    for intid in names:
        if intid > last:
            raise ConfigError(f"{source}: gdb.irq_names: there is no INTID {intid}, this domain has 0 to {last}.")
