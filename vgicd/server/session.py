"""Session: one peer's side of the protocol, without any input or output of its own.

`serve` takes received bytes and leaves replies in `out`.  READ, WRITE and LINE without flags are served right here, by
codecs derived from the declarations and by a gate, the table of what the granted role allows; what was served before
is known by its bytes and goes to the domain's prepared form of it.  Everything else goes to `requests` and is parsed
by the declarations themselves.

Three kinds of wrong: a guest fault is the status ABORT; a request fault is an error reply, after which connection and
domain are as before; a framing fault is one ERROR frame, after which nothing is served any more (`closing`).

While a debugger watches or freezes, requests are served one by one, so that each can be the last before the freeze.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from time import perf_counter
from typing import Any, ClassVar, Final

import trio

from vgicd.config import Config
from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.domain.errors import RequestError
from vgicd.domain.prepared import Prepared
from vgicd.logs import get_logger
from vgicd.server import requests
from vgicd.server.access import Peer
from vgicd.server.events import EventQueue, Hub
from vgicd.server.freeze import claim
from vgicd.server.limits import LineBudget
from vgicd_protocol import bodies, frames, framing, messages
from vgicd_protocol import events as wire_events
from vgicd_protocol.errors import FramingFault, Status, WireError
from vgicd_protocol.frames import HEAD_SIZE, HOT_SIZE, REPLY_BIT, WIDE_REPLY_BIT, Opcode, Role

log = get_logger()

_READ: Final = 0
_WRITE: Final = 1
_LINE: Final = 2

_LENGTH_SIZE: Final = 4  # the first field; all that is needed to refuse a frame
_CLOCK_MASK: Final = 31  # the turn's clock is looked at whenever the operations left have none of these bits


def _gate_for(role: int) -> dict[int, int]:
    """`opcode << 8 | space` of the hot frames that `role` may send, and what to do with them."""
    allowed: dict[int, int] = {}
    for opcode, action, spaces in (
        (Opcode.READ, _READ, frames.SPACES),
        (Opcode.WRITE, _WRITE, frames.SPACES),
        (Opcode.LINE, _LINE, frames.LINE_KINDS),
    ):
        for space in spaces:
            if messages.access_role(opcode, space) <= role:
                allowed[opcode << 8 | space] = action
    return allowed


_CLOSED: Final[Mapping[int, int]] = {}
_NONE_PREPARED: Final[Mapping[Any, Prepared]] = {}
_GATES: Final[Mapping[int, Mapping[int, int]]] = {role: _gate_for(role) for role in Role if role is not Role.ANY}


class Shared:
    """What all sessions of a daemon have in common."""

    def __init__(self, domain: Domain, hub: Hub, config: Config, lines: LineBudget) -> None:
        self.domain = domain
        self.hub = hub
        self.config = config
        self.lines = lines
        self.numbers = count(1)


class Upload:
    """A request that comes in several frames."""

    __slots__ = ("data", "opcode", "refusal", "request_id")

    def __init__(self, opcode: int, request_id: int) -> None:
        self.opcode = opcode
        self.request_id = request_id
        self.data = bytearray()
        self.refusal: WireError | None = None  # answered when the last frame has come


class Session:
    """The state of one connection's conversation; a front end's derives from it."""

    kind: ClassVar[str] = "conn"
    """What log events of such a connection begin with."""
    unit: ClassVar[str] = "frame"
    """What a peer must finish in time."""
    least: ClassVar[Role] = Role.OBSERVE
    """The lowest role with which it makes sense to connect."""

    def __init__(self, shared: Shared, peer: Peer) -> None:
        limits = shared.config.limits
        self.shared = shared
        self.domain = shared.domain
        self.hub = shared.hub
        self.peer = peer
        self.number = next(shared.numbers)
        self.ceiling: Role | None = None  # the highest role that may be granted
        self.role: int = Role.ANY
        self.greeted = False
        self.closing = ""  # why, once nothing more is to be served
        self.more = False  # `serve` stopped before the end of what it was given
        self.blocked = False  # the peer does not take what is sent to it
        self.held = 0  # what is frozen of what the next request needs, or the last one, whose reply is withheld
        self.withheld = bytearray()  # that reply, and all that must not overtake it
        self.thawed = trio.Event()  # what it was last held for is frozen no longer
        self.requests = 0
        self.waits = 0
        self.out = bytearray()
        self.events = EventQueue(limits.event_queue, trio.current_time)
        self.flush: Callable[[], None] = lambda: None  # set by the connection
        self._limits = limits
        self._gate = _CLOSED
        self._upload: Upload | None = None

    # --- input --------------------------------------------------------------------------------------------------

    def serve(self, buffer: bytearray, position: int, end: int, until: float) -> int:
        """Serve the whole frames in `buffer[position:end]`; answers where the first unserved byte is.

        Stops before the end when a frame is incomplete, or, with `more` set, when the turn is over: at `until`
        (`perf_counter`), after the operations of a turn, when enough replies have gathered, or when it is `held`.
        """
        if self.hub.debugged:
            return self._serve_debugged(buffer, position, end, until)
        self.more = False
        if self.closing:
            return end
        out, hub, domain = self.out, self.hub, self.domain
        unpack, pack, served_before = frames.HOT_WIDE.unpack_from, frames.HOT_REPLY_WIDE.pack, self.prepared()
        turn = left = self._limits.operations_per_turn
        while end > position:
            if end - position >= HOT_SIZE:
                length, what, request_id, where, address, value = unpack(buffer, position)
                answer = None
                if length == HOT_SIZE:
                    try:
                        run = served_before.get((what, where, address))
                        if run is not None:
                            answer = run(value)
                        if answer is not None:
                            outputs = domain.switch.outputs
                            out += pack(HOT_SIZE, what | WIDE_REPLY_BIT, request_id, outputs, domain.order, answer)
                            if hub.armed:
                                hub.spread(self, outputs)
                        elif self._serve_hot(buffer, position, (what, where, address)):
                            answer = 0
                    except Exception:
                        self._note_failure(what >> 8 & 0xFF)
                        self.reply_hot(what >> 8 & 0xFF, request_id, Status.INTERNAL)
                        answer = 0
                if answer is not None:
                    position += HOT_SIZE
                    left -= 1
                    if not left & _CLOCK_MASK and (left <= 0 or perf_counter() > until):
                        self.more = position < end
                        break
                    continue
            self.requests += turn - left
            used, operations = self._serve_one(buffer, position, end)
            turn = left = left - operations
            position += used
            if self.closing:
                return end
            if not used:
                break
            served_before = self.prepared()
            if left <= 0 or len(out) >= self._limits.reply_queue or perf_counter() > until:
                self.more = position < end
                break
        self.requests += turn - left
        return position

    def _serve_debugged(self, buffer: bytearray, position: int, end: int, until: float) -> int:
        """As `serve`, but stops, with `more` and `held` set, before what is frozen, and behind what came to be.

        The reply to a request in whose course its own vCPU was frozen is put into `withheld` until `thaw`.
        """
        self.more = False
        if self.closing:
            return end
        if self.withheld:
            self.more = True
            return position
        out, freeze = self.out, self.hub.freeze
        left = self._limits.operations_per_turn
        while end > position:
            needs = claim(buffer, position, end) if self.greeted else 0
            if needs & freeze.mask:
                self._hold(needs)
                break
            sent = len(out)
            used, operations = self._serve_next(buffer, position, end)
            position += used
            if self.closing:
                return end
            if not used:
                break
            if needs & freeze.mask:
                self.withheld += out[sent:]
                del out[sent:]
                self._hold(needs)
                break
            left -= operations
            if left <= 0 or len(out) >= self._limits.reply_queue or perf_counter() > until:
                self.more = position < end
                break
        return position

    def _serve_next(self, buffer: bytearray, position: int, end: int) -> tuple[int, int]:
        """As `_serve_one`, which it leaves to itself whatever is no plain hot frame."""
        if end - position >= HOT_SIZE:
            length, what, request_id, where, address, _ = frames.HOT_WIDE.unpack_from(buffer, position)
            if length == HOT_SIZE:
                try:
                    served = self._serve_hot(buffer, position, (what, where, address))
                except Exception:
                    self._note_failure(what >> 8 & 0xFF)
                    self.reply_hot(what >> 8 & 0xFF, request_id, Status.INTERNAL)
                    served = True
                if served:
                    self.requests += 1
                    return HOT_SIZE, 1
        return self._serve_one(buffer, position, end)

    def _hold(self, needs: int) -> None:
        self.held = needs
        self.thawed = trio.Event()
        self.more = True
        self.hub.freeze.enter(self)

    def thaw(self) -> None:
        """Nothing of what this waits for is frozen any longer: send what was withheld; the rest is served soon."""
        self.held = 0
        self.out += self.withheld
        self.withheld.clear()
        self.deliver()
        if self.out:
            self.flush()
        self.thawed.set()

    def prepared(self) -> Mapping[Any, Prepared]:
        """The accesses that are known by their bytes: for the roles that may send all of them, outside uploads."""
        return self.domain.prepared if self._gate and self.role >= Role.GUEST else _NONE_PREPARED

    def _serve_hot(self, buffer: bytearray, position: int, key: tuple[int, int, int]) -> bool:
        """Serve the 32 bytes at `position` if they are a hot frame that the gate lets through.

        A guest's access is prepared under `key`, so that it need not come here again.
        """
        _, version, opcode, flags, request_id, vcpu, size, space, address, value = frames.HOT_CODEC.unpack_from(
            buffer, position
        )
        action = self._gate.get(opcode << 8 | space)
        if action is None or version != frames.VERSION or flags:
            return False
        operation: op.Read | op.Write | op.Line
        if action == _LINE:
            if size or value > 1:
                return False
            operation = op.Line(address, value, vcpu, space == 1)
        elif not frames.SIZE_OK[size]:
            return False
        elif action == _WRITE:
            operation = op.Write(vcpu, space & 0xF, address, size, value, space >> 4)
        elif value:
            return False
        else:
            operation = op.Read(vcpu, space & 0xF, address, size, space >> 4)
        try:
            answer, fault, order, outputs, _ = self.domain.apply(operation)
        except RequestError as error:
            self.reply_hot(opcode, request_id, error.code)
            return True
        self.out += frames.HOT_REPLY_CODEC.pack(
            HOT_SIZE, frames.VERSION, opcode | REPLY_BIT, fault, request_id, outputs, 0, order, answer or 0
        )
        if fault:
            self._note_guest_fault(operation)
        elif self.role >= Role.GUEST:
            self.domain.prepare(key, operation)
        if self.hub.armed:
            self.hub.spread(self, outputs)
        return True

    def _serve_one(self, buffer: bytearray, position: int, end: int) -> tuple[int, int]:
        """Serve the frame at `position`, whatever it is; answers its bytes (0: incomplete) and its operations."""
        try:
            length = self._frame_length(buffer, position, end)
            if not length:
                return 0, 0
            _, _, opcode, flags, request_id = frames.HEAD_CODEC.unpack_from(buffer, position)
            body = bytes(buffer[position + HEAD_SIZE : position + length])
            return length, self._request(opcode, flags, request_id, body)
        except FramingFault as fault:
            self.refuse(fault.code, fault.text, fault.request_id)
            return 0, 0

    def _frame_length(self, buffer: bytearray, position: int, end: int) -> int:
        """The length of the frame at `position`, 0 while it is incomplete; FramingFault as soon as it is seen."""
        have = end - position
        if have < _LENGTH_SIZE:
            return 0
        length = int.from_bytes(buffer[position : position + _LENGTH_SIZE], "little")
        version, request_id = frames.VERSION, 0
        if have >= HEAD_SIZE:
            _, version, _, _, request_id = frames.HEAD_CODEC.unpack_from(buffer, position)
        if not HEAD_SIZE <= length <= self._limits.frame:
            text = f"A frame has {HEAD_SIZE} to {self._limits.frame} bytes, not {length}."
            raise FramingFault(Status.FRAME_LENGTH, text, request_id)
        if version != frames.VERSION:
            text = f"This daemon speaks version {frames.VERSION}, not {version}."
            raise FramingFault(Status.VERSION, text, request_id)
        return length if have >= length else 0

    def _request(self, opcode: int, flags: int, request_id: int, body: bytes) -> int:
        """Serve one frame; answers how many operations it was. FramingFault if the stream cannot go on."""
        self.requests += 1
        self._check_order(opcode, request_id)
        try:
            if self._upload is not None or (flags & frames.MORE and requests.takes_upload(opcode)):
                whole = self._gather(opcode, flags, request_id, body)
                if whole is None:
                    return 1
                body, flags = whole, flags & ~frames.MORE
            return requests.serve(self, opcode, flags, request_id, body)
        except FramingFault:
            raise
        except (WireError, RequestError) as error:
            self.reply_error(opcode, request_id, error.code, error.field, error.text)
        except Exception:
            self._note_failure(opcode)
            self.reply_error(opcode, request_id, Status.INTERNAL, "", "The daemon failed; its log has the reason.")
        return 1

    def _check_order(self, opcode: int, request_id: int) -> None:
        """HELLO comes first, and nothing between the frames of an upload."""
        if not self.greeted and opcode != Opcode.HELLO:
            raise FramingFault(Status.NOT_HELLO, "The first frame must be HELLO.", request_id)
        upload = self._upload
        if upload is not None and (upload.opcode, upload.request_id) != (opcode, request_id):
            text = f"Request {upload.request_id} is not complete: send its frames first."
            raise FramingFault(Status.FRAME_ORDER, text, request_id)

    def _gather(self, opcode: int, flags: int, request_id: int, body: bytes) -> bytes | None:
        """Add a frame to the upload; its whole body with the last one. WireError, then, if it was refused."""
        upload = self._upload
        if upload is None:
            upload = self._upload = Upload(opcode, request_id)
            self._gate = _CLOSED  # a hot frame would break the upload's sequence: let the slow path say so
        if upload.refusal is None:
            try:
                self._add(upload, flags & ~frames.MORE, body)
            except WireError as error:
                upload.refusal = error
                upload.data.clear()
        if flags & frames.MORE:
            return None
        self._upload = None
        self._open_gate()
        if upload.refusal is not None:
            raise upload.refusal
        return bytes(upload.data)

    def _add(self, upload: Upload, flags: int, body: bytes) -> None:
        """Take what one frame brings. WireError if that frame, or all of them together, may not be."""
        requests.admit(self, upload.opcode, flags)
        upload.data += body
        if len(upload.data) > self._limits.upload:
            raise WireError(Status.TOO_MANY, "", f"An upload has at most {self._limits.upload} bytes.")

    def grant(self, role: Role) -> None:
        """HELLO has been accepted."""
        self.greeted = True
        self.role = role
        self._open_gate()

    def _open_gate(self) -> None:
        self._gate = _GATES.get(self.role, _CLOSED)

    # --- output -------------------------------------------------------------------------------------------------

    def reply(self, opcode: int, request_id: int, status: int, body: bytes, outputs: int, order: int) -> None:
        """Add a reply to `out`, or behind what is withheld, in several frames if it is longer than one."""
        target = self.withheld or self.out
        target += framing.reply(opcode, request_id, outputs, order, body, status, self._limits.frame)

    def reply_plain(self, opcode: int, request_id: int, body: bytes = b"", status: int = Status.OK) -> None:
        """A reply to what was no operation: the outputs and the order number are those of this moment."""
        self.reply(opcode, request_id, status, body, self.domain.outputs, self.domain.order)

    def reply_hot(self, opcode: int, request_id: int, status: int) -> None:
        """The 32 bytes with which a hot request is refused."""
        domain = self.domain
        self.out += frames.HOT_REPLY_CODEC.pack(
            HOT_SIZE,
            frames.VERSION,
            opcode | REPLY_BIT,
            status,
            request_id,
            domain.outputs,
            0,
            domain.order,
            0,
        )

    def reply_error(self, opcode: int, request_id: int, code: int, field: str, text: str) -> None:
        """A request fault: connection and domain are as before."""
        if self.shared.lines.allows():
            log.info("request.refused", session=self.number, opcode=opcode, code=int(code), field=field, text=text)
        if opcode in framing.HOT_OPCODES:
            self.reply_hot(opcode, request_id, code)
        else:
            self.reply_plain(opcode, request_id, messages.build_error(field, text), code)

    def refuse(self, code: Status, text: str, request_id: int = 0) -> None:
        """A framing fault: one ERROR frame, then nothing."""
        if self.closing:
            return
        if self.shared.lines.allows():
            log.warning("conn.fault", session=self.number, code=code.name, text=text, **self.peer.described())
        self.reply_plain(Opcode.ERROR, request_id, messages.build_error("", text), code)
        self.closing = f"fault {code.name}"

    def say_goodbye(self) -> None:
        """The daemon stops: the last frame says so, and nothing is served after it."""
        if not self.closing:
            self.hub.end_waits(self)
            self.reply_plain(Opcode.BYE, 0)
            self.closing = "daemon stopped"

    def deliver(self) -> None:
        """Put the queued events into `out`, unless the peer is behind: then `refill` does it later."""
        if self.events and not self.blocked and not self.withheld:
            self.refill()

    def refill(self) -> None:
        """Put the queued events into `out`."""
        taken = self.events.take()
        each = min(bodies.EVENT_LIMIT, (self._limits.frame - HOT_SIZE) // wire_events.RECORD_CODEC.size)
        domain = self.domain
        for start in range(0, len(taken), each):
            part = taken[start : start + each]
            body = len(part).to_bytes(8, "little") + wire_events.pack_events(part)
            self.reply(Opcode.EVENT, self.events.request_id, Status.OK, body, domain.outputs, domain.order)

    def end_wait(self, request_id: int, fulfilled: bool) -> None:
        """Answer a WAIT: an output rose, or that will not be waited for any longer."""
        self.waits -= 1
        if self.events:
            self.refill()  # they are of earlier operations than the reply's order number
        if fulfilled:
            self.reply_plain(Opcode.WAIT, request_id)
        else:
            text = "No output rose before the deadline, or before the connection ended."
            self.reply_plain(Opcode.WAIT, request_id, messages.build_error("milliseconds", text), Status.TIMEOUT)

    def publish(self) -> None:
        """Send others what this turn has caused for them."""
        self.hub.publish()

    # --- what is logged -----------------------------------------------------------------------------------------

    def _note_guest_fault(self, operation: op.Read | op.Write | op.Line) -> None:
        if self.shared.lines.allows():
            log.info("guest.fault", session=self.number, access=type(operation).__name__, **operation._asdict())

    def _note_failure(self, opcode: int) -> None:
        if self.shared.lines.allows():
            log.exception("request.failed", session=self.number, opcode=opcode)
