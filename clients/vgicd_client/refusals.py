"""Words for refusals of which the wire carries only the code, and for values that no frame can carry.

A reply to READ, WRITE or LINE has no room for a sentence.  The request is known here and so is the geometry of
HELLO, so what was wrong can be named; where both do not explain the code (another client may have rebuilt the domain
since) the protocol's general sentence stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from construct import FormatFieldError

from vgicd_client import regs
from vgicd_client.errors import Refused
from vgicd_protocol.errors import Status, WireError, sentence
from vgicd_protocol.frames import NO_VCPU, SIZES, SPACES, Opcode, Plane, Space
from vgicd_protocol.image import Geometry

_SGIS: Final = 16
_PRIVATE: Final = 32
_WIDTHS: Final = {"vcpu": 16, "size": 8, "space": 8, "address": 64, "value": 64}

Words = tuple[str, str]


def refusal(status: int, opcode: int, fields: Mapping[str, Any], geometry: Geometry | None) -> Refused:
    """The refusal of READ, WRITE or LINE with `fields`; without `geometry` only what needs none is named."""
    explain = _line if opcode == Opcode.LINE else _access
    return Refused(status, *(explain(status, opcode, fields, geometry) or ("", sentence(status))))


def unpackable(opcode: int, fields: Mapping[str, Any]) -> Exception:
    """The exception for a READ, WRITE or LINE whose fields do not fit the frame; nothing was sent.

    `TypeError` for what is no number, `ValueError` for a datum that is not 64 bits, else `Refused`.
    """
    for name, width in _WIDTHS.items():
        number = fields.get(name, 0)
        shown = "intid" if opcode == Opcode.LINE and name == "address" else name
        if not hasattr(number, "__index__"):
            return TypeError(f"{shown} is a whole number, not {number!r}")
        if 0 <= number < 1 << width:
            continue
        if opcode == Opcode.WRITE and name == "value":
            return ValueError(f"a value is 0 to 2**64 - 1, not {number}")
        return Refused(Status.BAD_VALUE, shown, f"{number} does not fit: it is 0 to {(1 << width) - 1:#x}")
    raise ValueError("the fields fit the frame")


def unbuildable(error: WireError, opcode: int, fields: Mapping[str, Any]) -> Exception:
    """The exception for any other request that broke a rule before it was sent.

    `TypeError` for what is no number where one belongs, else `Refused`.
    """
    if not isinstance(error.__context__, FormatFieldError):
        return Refused(error.code, error.field, error.text)
    number = fields.get(error.field)
    if not hasattr(number, "__index__"):
        return TypeError(f"{error.field} of {Opcode(opcode).name} is a whole number, not {number!r}")
    return Refused(error.code, error.field, f"{number} is out of the field's range")


def of_query(refused: Refused, opcode: int, fields: Mapping[str, Any]) -> Refused:
    """`refused` as the daemon worded it, or better where it had to speak of the wire's own "no vCPU"."""
    if (
        opcode == Opcode.IRQ_INFO
        and refused.code == Status.BAD_VCPU
        and fields["vcpu"] == NO_VCPU
        and fields["intid"] < _PRIVATE
    ):
        return Refused(refused.code, "vcpu", f"INTID {fields['intid']} is {_kind(fields['intid'])}: pass vcpu=")
    return refused


def _line(status: int, _opcode: int, fields: Mapping[str, Any], geometry: Geometry | None) -> Words | None:
    intid, vcpu = fields["address"], fields["vcpu"]
    match status:
        case Status.BAD_INTID | Status.BAD_VCPU if intid < _SGIS:
            return "intid", f"INTID {intid} is an SGI: it has no line; a guest's write to GICD_SGIR sends it"
        case Status.BAD_INTID if geometry is not None and intid >= _PRIVATE + geometry.spis:
            return "intid", f"INTID {intid} does not exist: the domain has 0 to {_PRIVATE + geometry.spis - 1}"
        case Status.BAD_VCPU if intid < _PRIVATE and vcpu == NO_VCPU:
            return "vcpu", f"INTID {intid} is a PPI: pass vcpu="
        case Status.BAD_VCPU if intid >= _PRIVATE and vcpu != NO_VCPU:
            return "vcpu", f"INTID {intid} is an SPI: its line belongs to no vCPU, leave vcpu out"
        case Status.BAD_VCPU:
            return _no_vcpu(vcpu, geometry)
        case Status.BAD_VALUE if fields["value"] > 1:
            return "level", f"a line's level is 0 or 1, not {fields['value']}"
        case Status.OWNED:
            return "intid", f"INTID {intid} is driven by a device of this domain: drive the device instead"
    return None


def _access(status: int, opcode: int, fields: Mapping[str, Any], geometry: Geometry | None) -> Words | None:
    space, plane = fields["space"] & 0xF, fields["space"] >> 4
    match status:
        case Status.BAD_VCPU:
            return _no_vcpu(fields["vcpu"], geometry)
        case Status.BAD_SIZE:
            return "size", f"an access is {', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]} bytes, not {fields['size']}"
        case Status.BAD_ADDRESS:
            return _outside(space, fields["address"])
        case Status.BAD_VALUE if fields["space"] not in SPACES:
            return "space", f"{fields['space']:#x} names no space and plane"
        case Status.BAD_VALUE if space == Space.GICH and plane == Plane.GUEST:
            if opcode == Opcode.READ:
                return "space", "no guest reaches GICH: use peek or lrs (lr_get)"
            return "space", "no guest reaches GICH: write it in explicit mode, with gich or lr_set"
        case Status.READ_ONLY if plane == Plane.DEBUG:
            return "plane", "the debug plane only reads: write as the guest"
    return None


def _no_vcpu(vcpu: int, geometry: Geometry | None) -> Words | None:
    if geometry is None or vcpu < geometry.vcpus:
        return None
    return "vcpu", f"vCPU {vcpu} does not exist: the domain has {geometry.vcpus}"


def _outside(space: int, address: int) -> Words | None:
    name = Space(space).name
    frame = regs.frames().get(name)
    if frame is None or address < frame.size:
        return None
    return "address", f"{name} is {frame.size:#x} bytes: {address:#x} is outside"


def _kind(intid: int) -> str:
    return "an SGI" if intid < _SGIS else "a PPI"
