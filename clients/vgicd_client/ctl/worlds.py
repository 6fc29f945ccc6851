"""Where traces are replayed: in a domain of this process, or in a daemon's by RESET."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from vgicd_client.errors import Refused
from vgicd_client.replies import Effect, Reply
from vgicd_client.requests import Fields, Request
from vgicd_client.sync_client import Client
from vgicd_protocol import messages
from vgicd_protocol.frames import NO_VCPU, Opcode

T = TypeVar("T")


class RemoteWorld:
    """A daemon's domain; every trace replaces it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, config: dict[str, Any]) -> int:
        """RESET to `config`; 0 or a negative errno."""
        return self._client.reset(config)

    def perform(self, request: Request[T]) -> Reply[T]:
        """One round trip, with effects where there can be any."""
        effects = messages.message_of(request.opcode).effects
        return self._client.perform(request, effects=effects)

    def image(self) -> Mapping[str, Sequence[int]]:
        """SNAPSHOT."""
        return self._client.snapshot().words


class LocalWorld:
    """A domain in this process, driven by the same requests: their fields are those of the operations.

    The only place of the clients that reaches the daemon's code, and only when it is used.
    """

    def __init__(self) -> None:
        from vgicd.domain import operations  # noqa: PLC0415 - lazy: a client needs no daemon

        self._operations = operations
        self._domain: Any = None  # vgicd's Domain, which this package does not name

    def create(self, config: dict[str, Any]) -> int:
        """A new domain of `config`; 0 or a negative errno."""
        from vgicd.domain.config import DomainConfig  # noqa: PLC0415
        from vgicd.domain.domain import Domain  # noqa: PLC0415
        from vgicd.domain.errors import CreationError, RequestError  # noqa: PLC0415

        try:
            self._domain = Domain(DomainConfig(**config))
        except CreationError as error:
            return error.errno
        except RequestError as error:
            raise Refused(error.code, error.field, error.text) from error
        return 0

    def perform(self, request: Request[T]) -> Reply[T]:
        """Apply the operation that `request` stands for."""
        from vgicd.domain.errors import RequestError  # noqa: PLC0415

        name, fields = _operation(request.opcode, request.fields)
        try:
            result = self._domain.apply(getattr(self._operations, name)(**fields))
        except RequestError as error:
            raise Refused(error.code, error.field, error.text) from error
        effects = tuple(Effect(*effect) for effect in result.effects)
        value = request.answer(messages.reply_fields(request.opcode, result.value))
        return Reply(value, bool(result.fault), result.order, result.outputs, effects)

    def image(self) -> Mapping[str, Sequence[int]]:
        """The domain's state image."""
        image: dict[str, tuple[int, ...]] = self._domain.apply(self._operations.Snapshot()).value
        return image


_HOT: Final = {Opcode.READ: "Read", Opcode.WRITE: "Write"}


def _operation(opcode: Opcode, fields: Fields) -> tuple[str, Fields]:
    """The name and the fields of the operation record behind a request."""
    if opcode in _HOT:
        both = fields["space"]
        return _HOT[opcode], {**fields, "space": both & 0xF, "plane": both >> 4}
    if opcode == Opcode.LINE:
        given = {"intid": fields["address"], "level": fields["value"], "pulse": bool(fields["space"])}
        return "Line", {**given, "vcpu": fields.get("vcpu", NO_VCPU)}
    if opcode == Opcode.PENDING_CHECK:
        return ("EventChannelPending" if fields["kind"] else "PendingCheck"), {"vcpu": fields["vcpu"]}
    return opcode.name.title().replace("_", ""), fields
