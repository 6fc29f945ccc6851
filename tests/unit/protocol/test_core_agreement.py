"""The protocol may not import the daemon; where the two must say the same, this says so."""

from __future__ import annotations

from dataclasses import fields

import pytest

from vgicd.domain import events as core_events
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.errors import Code
from vgicd.hw.effects import EffectKind
from vgicd_protocol import effects, errors, events, frames, messages, settings
from vgicd_protocol.frames import Opcode

OPERATIONS = {
    Opcode.ENTER: op.Enter,
    Opcode.EXIT: op.Exit,
    Opcode.MODE: op.Mode,
    Opcode.LR_GET: op.LrGet,
    Opcode.LR_SET: op.LrSet,
    Opcode.GICH: op.Gich,
    Opcode.IRQ_INFO: op.IrqInfo,
    Opcode.DUMP: op.Dump,
    Opcode.STATS: op.Stats,
    Opcode.VIRQ_ALLOC: op.VirqAlloc,
    Opcode.VIRQ_RESERVE: op.VirqReserve,
    Opcode.VIRQ_FREE: op.VirqFree,
    Opcode.HW_CONNECT: op.HwConnect,
    Opcode.HW_DISCONNECT: op.HwDisconnect,
    Opcode.HW_DESC: op.HwDesc,
    Opcode.PHYS_LINE: op.PhysLine,
    Opcode.HW_IRQ: op.HwIrq,
    Opcode.VCPU_MOVE: op.VcpuMove,
    Opcode.VCPU_POWER: op.VcpuPower,
    Opcode.SET_IRQ_LEVEL: op.SetIrqLevel,
    Opcode.EVENT_CHANNEL: op.EventChannel,
    Opcode.CONSOLE: op.Console,
    Opcode.TIME: op.Time,
    Opcode.SNAPSHOT: op.Snapshot,
    Opcode.RESTORE: op.Restore,
    Opcode.RESET: op.Reset,
}
RECORDS = {
    Opcode.ENTER: op.EnterState,
    Opcode.EXIT: op.ExitState,
    Opcode.LR_GET: op.LrState,
    Opcode.IRQ_INFO: op.IrqState,
    Opcode.CONSOLE: op.ConsoleState,
}


@pytest.mark.parametrize("opcode", OPERATIONS, ids=lambda opcode: opcode.name)
def test_a_parsed_request_is_the_operation(opcode: Opcode) -> None:
    assert messages.field_names(messages.MESSAGES[opcode].request) == set(OPERATIONS[opcode]._fields)


@pytest.mark.parametrize("opcode", RECORDS, ids=lambda opcode: opcode.name)
def test_a_result_record_is_the_reply(opcode: Opcode) -> None:
    assert messages.field_names(messages.MESSAGES[opcode].reply) == set(RECORDS[opcode]._fields)


def test_every_operation_can_be_sent() -> None:
    states = {op.EnterState, op.ExitState, op.LrState, op.IrqState, op.ConsoleState, op.Result}
    named = {cls for cls in vars(op).values() if isinstance(cls, type) and hasattr(cls, "_fields")}
    by_other_means = {op.Read, op.Write, op.Line, op.PendingCheck, op.EventChannelPending, op.Effect}
    assert named - states - by_other_means == set(OPERATIONS.values())


def test_hot_fields_are_those_of_the_operations() -> None:
    """`space` carries the plane in its high nibble, LINE's carries the pulse; `address` is LINE's INTID."""
    hot = set(frames.HOT_CODEC.names)
    assert set(op.Read._fields) - {"plane"} <= hot
    assert set(op.Write._fields) - {"plane"} <= hot
    assert set(op.Line._fields) - {"intid", "level", "pulse"} <= hot


def test_status_codes_repeat_those_of_the_domain() -> None:
    assert {code.name: int(code) for code in Code} == {
        status.name: int(status) for status in errors.Status if status < errors.Status.UNSUPPORTED
    }


def test_every_status_has_a_sentence() -> None:
    assert errors.SENTENCES.keys() == set(errors.Status)
    assert all(text.endswith(".") for text in errors.SENTENCES.values())
    assert "0x7f" in errors.sentence(0x7F)


def test_spaces_planes_and_effects_have_the_daemons_numbers() -> None:
    for ours, theirs in ((frames.Space, op.Space), (frames.Plane, op.Plane), (effects.EffectKind, EffectKind)):
        assert {item.name: int(item) for item in ours} == {item.name: int(item) for item in theirs}
    assert frames.NO_VCPU == op.NO_VCPU


def test_events_have_the_daemons_numbers() -> None:
    assert {kind.name: int(kind) for kind in events.EventKind} == {k.name: int(k) for k in core_events.EventKind}
    assert events.Event._fields == core_events.Event._fields


def test_settings_are_the_fields_of_the_configuration_with_their_types() -> None:
    kinds = {"number": ("int", "int | None"), "text": ("str",), "switch": ("bool", "bool | None")}
    kinds |= {"names": ("tuple[str, ...]",)}
    config = {field.name: field.type for field in fields(DomainConfig)}
    assert config.keys() == settings.KEYS.keys()
    for name, (_, kind, _) in settings.KEYS.items():
        assert config[name] in kinds[kind], name
    numbers = [key for key, _, _ in settings.KEYS.values()]
    assert numbers == sorted(set(numbers))
