"""Building blocks of strict declarations: what construct leaves lenient, made exact.

Each block refuses on parsing *and* on building, so that both ends of a connection keep the same rules, and raises a
`ConstructError` only (`messages` turns those into a `WireError` in one place).  A `Violation` carries the status code
that its rule is answered with; every other error of construct is BAD_BODY.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from construct import (
    Adapter,
    Array,
    Bytes,
    Construct,
    Int8ul,
    Int32ul,
    Mapping,
    Rebuild,
    Struct,
    ValidationError,
    Validator,
    stream_read,
)

from vgicd_protocol.errors import Status


class Violation(ValidationError):  # type: ignore[misc]  # construct is untyped
    """A rule of a declaration was broken; `code` is the answer, `text` the sentence, `path` construct's path."""

    def __init__(self, code: Status, text: str, path: str) -> None:
        super().__init__(text, path=path)
        self.code = code
        self.text = text


class Rule(Validator):  # type: ignore[misc]  # construct is untyped
    """A field narrowed to the values for which `accepts`; `must` completes the sentence "must be ..."."""

    def __init__(
        self, subcon: Construct, accepts: Callable[[Any], bool], must: str, code: Status = Status.BAD_BODY
    ) -> None:
        super().__init__(subcon)
        self.accepts = accepts
        self.must = must
        self.code = code

    def _decode(self, obj: Any, _context: Any, path: str) -> Any:
        try:
            if self.accepts(obj):
                return obj
        except TypeError:  # building from something that is no integer
            pass
        raise Violation(self.code, f"must be {self.must}, is {obj!r}", path)


class OneOf(Rule):
    """A field with one of `values`."""

    def __init__(
        self, subcon: Construct, values: Iterable[int], must: str = "", code: Status = Status.BAD_BODY
    ) -> None:
        self.values = tuple(values)
        super().__init__(subcon, frozenset(self.values).__contains__, must or _or(self.values), code)


class AtMost(Rule):
    """A field of 0 to `highest`; put before every count, so that nothing is read for a bad one."""

    def __init__(self, subcon: Construct, highest: int, code: Status = Status.BAD_BODY) -> None:
        self.highest = highest
        super().__init__(subcon, lambda value: 0 <= value <= highest, f"at most {highest}", code)


class Bits(Rule):
    """A field with no bit set outside `mask`."""

    def __init__(self, subcon: Construct, mask: int) -> None:
        self.mask = mask
        super().__init__(subcon, lambda value: not value & ~mask, f"within {mask:#x}", Status.RESERVED_BITS)


def _or(values: tuple[int, ...]) -> str:
    return " or ".join(str(int(value)) for value in values)


class Fixed(Validator):  # type: ignore[misc]  # construct is untyped
    """Always `value`. Builders leave the field out."""

    def __init__(self, subcon: Construct, value: int, code: Status = Status.BAD_BODY) -> None:
        super().__init__(subcon)
        self.value = value
        self.code = code
        self.flagbuildnone = True

    def _decode(self, obj: Any, _context: Any, path: str) -> Any:
        if obj != self.value:
            raise Violation(self.code, f"must be {self.value:#x}, is {obj!r}", path)
        return obj

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return self._decode(self.value if obj is None else obj, context, path)


class Reserved(Fixed):
    """Zero, now; a later version may give the bits a meaning."""

    def __init__(self, subcon: Construct) -> None:
        super().__init__(subcon, 0, Status.RESERVED_BITS)


FLAG: Final = Mapping(Int8ul, {False: 0, True: 1})  # construct's Flag takes every byte but 0 for True


class Blob(Construct):  # type: ignore[misc]  # construct is untyped
    """A u32 length of at most `limit`, that many bytes, and zero bytes up to a multiple of 4."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.length = AtMost(Int32ul, limit)

    def _parse(self, stream: Any, context: Any, path: str) -> bytes:
        length = self.length._parsereport(stream, context, path)
        data: bytes = stream_read(stream, length, path)
        if stream_read(stream, -length % 4, path).strip(b"\0"):
            raise Violation(Status.RESERVED_BITS, "must be padded with zero bytes", path)
        return data

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if not isinstance(obj, bytes | bytearray | memoryview):
            raise Violation(Status.BAD_BODY, f"must be bytes, is {obj!r}", path)
        data = bytes(obj)
        self.length._build(len(data), stream, context, path)
        stream.write(data + bytes(-len(data) % 4))
        return obj


class Characters(Adapter):  # type: ignore[misc]  # construct is untyped
    """Bytes as text in `encoding`; ascii also means printable."""

    def __init__(self, subcon: Construct, encoding: str = "ascii") -> None:
        super().__init__(subcon)
        self.encoding = encoding

    def _decode(self, obj: bytes, _context: Any, path: str) -> str:
        try:
            return self._checked(obj.decode(self.encoding), path)
        except UnicodeDecodeError as error:
            raise Violation(Status.BAD_BODY, f"is not {self.encoding}: {error.reason}", path) from None

    def _encode(self, obj: Any, _context: Any, path: str) -> bytes:
        if not isinstance(obj, str):
            raise Violation(Status.BAD_BODY, f"must be text, is {obj!r}", path)
        try:
            return self._checked(obj, path).encode(self.encoding)
        except UnicodeEncodeError as error:
            raise Violation(Status.BAD_BODY, f"is not {self.encoding}: {error.reason}", path) from None

    def _checked(self, text: str, path: str) -> str:
        if self.encoding == "ascii" and not text.isprintable():
            raise Violation(Status.BAD_BODY, f"must be printable, is {text!r}", path)
        return text


def text(limit: int, encoding: str = "ascii") -> Characters:
    """A `Blob` of at most `limit` bytes as text."""
    return Characters(Blob(limit), encoding)


class Words(Adapter):  # type: ignore[misc]  # construct is untyped
    """`count(context)` little-endian integers of one width ("I" or "Q") as a tuple.

    Equal to construct's `Array` of them and far faster, because images and list registers have thousands.
    """

    def __init__(self, count: Any, width: str) -> None:
        self.each = struct.calcsize(f"<{width}")
        self.width = width
        super().__init__(Bytes(count * self.each))

    def _decode(self, obj: bytes, _context: Any, _path: str) -> tuple[int, ...]:
        return struct.unpack(f"<{len(obj) // self.each}{self.width}", obj)

    def _encode(self, obj: Any, _context: Any, path: str) -> bytes:
        try:
            return struct.pack(f"<{len(obj)}{self.width}", *obj)
        except (struct.error, TypeError):
            raise Violation(Status.BAD_BODY, f"must be integers of {self.each} bytes", path) from None


class NoneOr(Adapter):  # type: ignore[misc]  # construct is untyped
    """An integer, or None sent as `absent`."""

    def __init__(self, subcon: Construct, absent: int) -> None:
        super().__init__(subcon)
        self.absent = absent

    def _decode(self, obj: int, _context: Any, _path: str) -> int | None:
        return None if obj == self.absent else obj

    def _encode(self, obj: int | None, _context: Any, path: str) -> int:
        if obj == self.absent:
            raise Violation(Status.BAD_BODY, f"must not be {self.absent:#x}, which means none", path)
        return self.absent if obj is None else obj


class ZeroPad(Construct):  # type: ignore[misc]  # construct is untyped
    """Zero bytes up to a multiple of `modulus` in the frame, checked to be zero.

    `start` is where the parsed stream begins in the frame: 24 for the body of a reply, 12 for that of a request.
    """

    def __init__(self, modulus: int, start: int) -> None:
        super().__init__()
        self.modulus = modulus
        self.start = start
        self.flagbuildnone = True

    def _parse(self, stream: Any, _context: Any, path: str) -> None:
        if stream_read(stream, -(self.start + stream.tell()) % self.modulus, path).strip(b"\0"):
            raise Violation(Status.RESERVED_BITS, "must be zero bytes", path)

    def _build(self, _obj: Any, stream: Any, _context: Any, _path: str) -> None:
        stream.write(bytes(-(self.start + stream.tell()) % self.modulus))


class Items(Array):  # type: ignore[misc]  # construct is untyped
    """An `Array` whose errors name the index of the bad element."""

    def _parse(self, stream: Any, context: Any, path: str) -> list[Any]:
        count = self.count(context)
        return [self.subcon._parsereport(stream, context, f"{path}[{index}]") for index in range(count)]

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        for index, item in enumerate(obj):
            self.subcon._build(item, stream, context, f"{path}[{index}]")
        return obj


class Require(Construct):  # type: ignore[misc]  # construct is untyped
    """A rule between fields that occupies no bytes: `holds(context)`, or `field` "must be `must`"."""

    def __init__(self, field: str, holds: Callable[[Any], bool], must: str, code: Status = Status.BAD_BODY) -> None:
        super().__init__()
        self.field = field
        self.holds = holds
        self.must = must
        self.code = code
        self.flagbuildnone = True

    def _parse(self, _stream: Any, context: Any, path: str) -> None:
        if not self.holds(context):
            raise Violation(self.code, f"must be {self.must}", f"{path} -> {self.field}")

    def _build(self, _obj: Any, stream: Any, context: Any, path: str) -> None:
        self._parse(stream, context, path)


def count_of(items: str, limit: int, integer: Construct = Int32ul) -> Construct:
    """How many siblings `items` holds, at most `limit`; builders leave it out."""
    return Rebuild(AtMost(integer, limit, Status.TOO_MANY), lambda context: len(context[items]))


def narrow(layout: Struct, **rules: Callable[[Construct], Construct]) -> Struct:
    """`layout` with a rule around each of the named fields: the same bytes, fewer of them accepted."""
    unknown = rules.keys() - {subcon.name for subcon in layout.subcons}
    if unknown:
        raise TypeError(f"no such fields: {sorted(unknown)}")
    return Struct(
        *(
            subcon.name / rules[subcon.name](subcon.subcon) * subcon.docs if subcon.name in rules else subcon
            for subcon in layout.subcons
        )
    )
