"""Requests: what the messages that are not hot mean to the daemon.

Every check comes before any effect, in this order: the opcode exists, the flags are allowed, the role suffices for the
opcode, the body is well formed, the role suffices for what the body asks.  `WireError` and `RequestError` then leave
everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from vgicd import __version__
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.server import vectors
from vgicd_protocol import frames, framing, messages, vector
from vgicd_protocol import session as handshake
from vgicd_protocol.errors import FramingFault, Status, WireError
from vgicd_protocol.frames import Opcode, Role
from vgicd_protocol.image import Geometry, StateImage

if TYPE_CHECKING:
    from vgicd.server.session import Session

Fields = Mapping[str, Any]


def takes_upload(opcode: int) -> bool:
    """May a request with this opcode be split over frames?"""
    message = messages.MESSAGES.get(opcode)
    return message is not None and message.upload


def admit(session: Session, opcode: int, flags: int) -> None:
    """Raise WireError unless the opcode exists, may carry `flags` and is within the session's role."""
    message = messages.message_of(opcode)
    messages.check_flags(opcode, flags)
    if message.role > session.role:
        raise _denied(session, message.role)


def _denied(session: Session, needed: int) -> WireError:
    text = f"needs role {Role(needed).name.lower()}, this connection has {Role(session.role).name.lower()}"
    return WireError(Status.DENIED, "", text)


def serve(session: Session, opcode: int, flags: int, request_id: int, body: bytes) -> int:
    """Serve one whole request and reply to it; answers how many operations that was.

    Raises WireError or RequestError, with nothing changed and nothing replied, for a request fault.
    """
    admit(session, opcode, flags)
    if opcode == Opcode.VECTOR:
        return vectors.serve(session, request_id, body)
    if opcode == Opcode.HELLO:
        _hello(session, request_id, body)
        return 1
    fields = messages.parse_request(opcode, body)
    needed = messages.request_role(opcode, fields)
    if needed > session.role:
        raise _denied(session, needed)
    special = _SPECIAL.get(opcode)
    if special is not None:
        special(session, request_id, fields)
        return 1
    domain = session.domain
    result = domain.apply(_operation(opcode, fields, domain))
    value = StateImage(geometry(domain), result.value) if opcode == Opcode.SNAPSHOT else result.value
    reply = framing.reply_body(opcode, value, result.effects if flags & frames.EFFECTS else None)
    status = Status.ABORT if result.fault else Status.OK
    session.reply(opcode, request_id, status, reply, result.outputs, result.order)
    if session.hub.armed:
        session.hub.spread(session, result.outputs)
    return 1


# --- operations of the domain -----------------------------------------------------------------------------------


def _access(make: Callable[..., Any], with_value: bool) -> Callable[[Fields, Domain], Any]:
    def operation(fields: Fields, _: Domain) -> Any:
        space = fields["space"]
        common = {
            "vcpu": fields["vcpu"],
            "space": space & 0xF,
            "address": fields["address"],
            "size": fields["size"],
            "plane": space >> 4,
        }
        return make(**common, value=fields["value"]) if with_value else make(**common)

    return operation


def _line(fields: Fields, _: Domain) -> op.Line:
    return op.Line(fields["address"], fields["value"], fields["vcpu"], pulse=fields["space"] == 1)


def _pending_check(fields: Fields, _: Domain) -> op.PendingCheck | op.EventChannelPending:
    return (op.EventChannelPending if fields["kind"] else op.PendingCheck)(fields["vcpu"])


def _restore(fields: Fields, domain: Domain) -> op.Restore:
    image: StateImage = fields["image"]
    own = geometry(domain)
    if image.geometry != own:
        raise WireError(Status.BAD_IMAGE, "image", f"was taken from {image.geometry}, this domain is {own}")
    return op.Restore(image.words)


def _reset(fields: Fields, _: Domain) -> op.Reset:
    settings = fields["config"]
    return op.Reset(None if settings is None else DomainConfig(**settings))


def _plain(make: Callable[..., Any]) -> Callable[[Fields, Domain], Any]:
    return lambda fields, _: make(**fields)


_OPERATIONS: Final[Mapping[int, Callable[[Fields, Domain], Any]]] = {
    Opcode.READ: _access(op.Read, with_value=False),
    Opcode.WRITE: _access(op.Write, with_value=True),
    Opcode.LINE: _line,
    Opcode.ENTER: _plain(op.Enter),
    Opcode.EXIT: _plain(op.Exit),
    Opcode.MODE: _plain(op.Mode),
    Opcode.LR_GET: _plain(op.LrGet),
    Opcode.LR_SET: _plain(op.LrSet),
    Opcode.GICH: _plain(op.Gich),
    Opcode.IRQ_INFO: _plain(op.IrqInfo),
    Opcode.DUMP: _plain(op.Dump),
    Opcode.STATS: _plain(op.Stats),
    Opcode.PENDING_CHECK: _pending_check,
    Opcode.VIRQ_ALLOC: _plain(op.VirqAlloc),
    Opcode.VIRQ_RESERVE: _plain(op.VirqReserve),
    Opcode.VIRQ_FREE: _plain(op.VirqFree),
    Opcode.HW_CONNECT: _plain(op.HwConnect),
    Opcode.HW_DISCONNECT: _plain(op.HwDisconnect),
    Opcode.HW_DESC: _plain(op.HwDesc),
    Opcode.PHYS_LINE: _plain(op.PhysLine),
    Opcode.HW_IRQ: _plain(op.HwIrq),
    Opcode.VCPU_MOVE: _plain(op.VcpuMove),
    Opcode.VCPU_POWER: _plain(op.VcpuPower),
    Opcode.SET_IRQ_LEVEL: _plain(op.SetIrqLevel),
    Opcode.EVENT_CHANNEL: _plain(op.EventChannel),
    Opcode.CONSOLE: _plain(op.Console),
    Opcode.TIME: _plain(op.Time),
    Opcode.SNAPSHOT: _plain(op.Snapshot),
    Opcode.RESTORE: _restore,
    Opcode.RESET: _reset,
}


def _operation(opcode: int, fields: Fields, domain: Domain) -> Any:
    return _OPERATIONS[opcode](fields, domain)


def geometry(domain: Domain) -> Geometry:
    """What a state image of `domain` must have been taken from."""
    config = domain.config
    return Geometry(config.vcpus, -(-config.spis // 32) * 32, config.lrs, config.variant, config.profile)


# --- the conversation itself ------------------------------------------------------------------------------------


def _hello(session: Session, request_id: int, body: bytes) -> None:
    """HELLO; a malformed one is a framing fault, because nothing is known of who sends it."""
    if session.greeted:
        raise WireError(Status.NOT_HELLO, "", "HELLO has been said already")
    try:
        hello = handshake.Hello.from_fields(messages.parse_request(Opcode.HELLO, body))
    except WireError as error:
        raise FramingFault(error.code, str(error), request_id) from None
    if not hello.lowest <= frames.VERSION <= hello.highest:
        text = f"This daemon speaks version {frames.VERSION}, not {hello.lowest} to {hello.highest}."
        raise FramingFault(Status.VERSION, text, request_id)
    offered = _features(session.domain)
    if hello.features & ~offered:
        raise WireError(Status.UNSUPPORTED, "features", f"bits {hello.features & ~offered:#x} are not offered here")
    ceiling = session.ceiling
    if ceiling is None or hello.role > ceiling:
        raise WireError(Status.DENIED, "role", f"you may have at most {ceiling.name.lower() if ceiling else 'nothing'}")
    role = ceiling if hello.role is Role.ANY else hello.role
    welcome = handshake.Welcome(
        role=role,
        geometry=geometry(session.domain),
        windows=tuple(handshake.Window(name, base, size) for name, base, size, *_ in session.domain.frames()),
        domain=session.shared.config.name,
        server=f"vgicd {__version__}",
        features=offered,
        explicit=session.domain.explicit,
        limits=_limits(session),
    )
    body = messages.build_reply(Opcode.HELLO, welcome.fields())
    session.grant(role)
    session.reply_plain(Opcode.HELLO, request_id, body)


def _features(domain: Domain) -> int:
    features = int(handshake.BASE_FEATURES)
    if domain.config.profile == "xen-guest":
        features |= handshake.Feature.DEVICES | handshake.Feature.CONSOLE
    return features


def _limits(session: Session) -> handshake.Limits:
    limits = session.shared.config.limits
    fit = (limits.frame - vector.ENTRIES_OFFSET) // vector.ENTRY_CODEC.size  # a VECTOR is one frame
    return handshake.Limits(
        frame=limits.frame,
        upload=limits.upload,
        entries=min(limits.vector_entries, fit),
        waits=limits.waits,
        turn=limits.operations_per_turn,
        connections=limits.connections,
        connections_per_uid=limits.connections_per_uid,
        reply_queue=limits.reply_queue,
        event_queue=limits.event_queue,
        hello_ms=int(limits.hello_seconds * 1000),
        frame_ms=int(limits.partial_seconds * 1000),
        write_ms=int(limits.write_seconds * 1000),
        events_ms=int(limits.event_full_seconds * 1000),
        wait_ms=int(limits.wait_seconds * 1000),
        log_lines=limits.log_lines,
    )


def _ping(session: Session, request_id: int, _: Fields) -> None:
    session.reply_plain(Opcode.PING, request_id)


def _bye(session: Session, request_id: int, _: Fields) -> None:
    session.hub.end_waits(session)
    session.reply_plain(Opcode.BYE, request_id)
    session.closing = "bye"


def _subscribe(session: Session, request_id: int, fields: Fields) -> None:
    session.hub.subscribe(session, fields["mask"], request_id)
    session.reply_plain(Opcode.SUBSCRIBE, request_id)


def _wait(session: Session, request_id: int, fields: Fields) -> None:
    limits = session.shared.config.limits
    seconds = fields["milliseconds"] / 1000
    if fields["outputs"] >> 2 * session.domain.config.vcpus:
        raise WireError(Status.BAD_VALUE, "outputs", "names an output of a vCPU that does not exist")
    if seconds > limits.wait_seconds:
        raise WireError(Status.BAD_VALUE, "milliseconds", f"is more than the {limits.wait_seconds:g} s allowed here")
    if session.domain.outputs & fields["outputs"]:
        session.reply_plain(Opcode.WAIT, request_id)
        return
    if session.waits >= limits.waits:
        raise WireError(Status.TOO_MANY, "", f"{limits.waits} WAITs are outstanding, which is the limit")
    session.waits += 1
    session.hub.add_wait(session, request_id, fields["outputs"], trio.current_time() + seconds)


_SPECIAL: Final[Mapping[int, Callable[[Session, int, Fields], None]]] = {
    Opcode.PING: _ping,
    Opcode.BYE: _bye,
    Opcode.SUBSCRIBE: _subscribe,
    Opcode.WAIT: _wait,
}
