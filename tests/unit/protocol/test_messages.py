"""Every message, both ways: what is built is parsed back, what is parsed is built back, all else is refused."""

from __future__ import annotations

from typing import Any

import pytest
from construct import Construct, FormatField, Mapping, Renamed, Struct, Subconstruct
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from vgicd_protocol import bodies, effects, events, image, messages, session, vector
from vgicd_protocol import settings as domain_settings
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import SIZES, SPACES, Opcode, Role
from vgicd_protocol.strict import AtMost, Bits, Blob, Characters, Items, NoneOr, OneOf, Words

U64 = st.integers(0, 2**64 - 1)
NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1, max_size=12)
GEOMETRIES = st.builds(
    image.Geometry,
    vcpus=st.integers(1, 8),
    spis=st.integers(0, 30).map(lambda n: 32 * n),
    lrs=st.integers(1, 64),
    variant=st.sampled_from(("correct", "xen")),
    profile=st.sampled_from(("virt", "xen-guest", "trace")),
)
IMAGES = st.builds(
    image.StateImage,
    GEOMETRIES,
    st.dictionaries(NAMES, st.lists(U64, max_size=5).map(tuple), max_size=6),
)
SETTING_VALUES = {
    "number": U64,
    "switch": st.booleans(),
    "text": NAMES,
    "names": st.lists(NAMES, max_size=3).map(tuple),
}
CONFIGS = st.none() | st.fixed_dictionaries(
    {}, optional={name: SETTING_VALUES[kind] for name, (_, kind, _) in domain_settings.KEYS.items()}
)
ACCESSES = st.tuples(st.sampled_from((vector.READ, vector.WRITE)), st.sampled_from(SIZES), st.sampled_from(SPACES), U64)


def entry(value: int, operation: int, space: int) -> dict[str, int]:
    return {"value": value, "offset": 0x100, "vcpu": 3, "operation": operation, "space": space}


ENTRIES = ACCESSES.map(lambda a: entry(a[3] if a[0] == vector.WRITE else 0, a[1] << 4 | a[0], a[2])) | st.builds(
    entry, st.integers(0, 1), st.just(vector.LINE), st.integers(0, 1)
)


def strategy(declaration: Construct) -> st.SearchStrategy[Any]:
    """Values that a declaration accepts, read off the declaration."""
    match declaration:
        case Renamed():
            return strategy(declaration.subcon)
        case Struct():
            parts = {s.name: strategy(s) for s in declaration.subcons if s.name and not s.flagbuildnone}
            return st.fixed_dictionaries(parts)
        case OneOf():
            return st.sampled_from(declaration.values)
        case AtMost():
            return st.integers(0, declaration.highest)
        case Bits():
            return st.integers(0, 2**32 - 1).map(lambda number: number & declaration.mask)
        case Mapping():
            return st.sampled_from(list(declaration.encmapping))
        case NoneOr():
            return st.none() | strategy(declaration.subcon).filter(lambda number: number != declaration.absent)
        case Characters():
            return NAMES if declaration.encoding == "ascii" else st.text(st.characters(codec="utf-8"), max_size=20)
        case Blob():
            return st.binary(max_size=min(declaration.limit, 40))
        case Words():
            return st.lists(st.integers(0, 2 ** (8 * declaration.each) - 1), max_size=64).map(tuple)
        case Items() if declaration.subcon is vector.STRICT_ENTRY:
            return st.lists(ENTRIES, min_size=1, max_size=5)
        case Items():
            return st.lists(strategy(declaration.subcon), max_size=5)
        case image.Image():
            return IMAGES
        case bodies.Settings():
            return CONFIGS
        case bodies.Numbers():
            return st.dictionaries(NAMES, U64, max_size=6)
        case FormatField():
            bits, signed = 8 * declaration.length, declaration.fmtstr[1].islower()
            return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)
        case Subconstruct():
            return strategy(declaration.subcon)
    raise TypeError(f"no strategy for {declaration!r}")


OPCODES = sorted(messages.MESSAGES)
by_message = pytest.mark.parametrize("opcode", OPCODES, ids=lambda opcode: Opcode(opcode).name)
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def legal(opcode: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Rules between fields, which no single field's strategy knows."""
    if opcode == Opcode.HELLO:
        assume(1 <= fields["lowest"] <= fields["highest"])
    if opcode == Opcode.WAIT:
        assume(fields["outputs"] != 0)
    return fields


@by_message
def test_a_request_that_is_built_is_parsed_back(opcode: int) -> None:
    @thorough
    @given(strategy(messages.MESSAGES[opcode].request))
    def check(fields: dict[str, Any]) -> None:
        body = messages.build_request(opcode, legal(opcode, fields))
        assert messages.parse_request(opcode, body) == fields
        assert messages.build_request(opcode, messages.parse_request(opcode, body)) == body

    check()


@by_message
def test_a_reply_that_is_built_is_parsed_back_with_and_without_its_trailer(opcode: int) -> None:
    kinds = st.sampled_from(list(effects.EffectKind))
    trailers = st.lists(st.builds(effects.Effect, kinds, st.integers(0, 255), st.integers(0, 65535), st.integers(0, 8)))

    @thorough
    @given(strategy(messages.MESSAGES[opcode].reply), trailers)
    def check(fields: dict[str, Any], trailer: list[effects.Effect]) -> None:
        body = messages.build_reply(opcode, fields)
        assert messages.parse_reply(opcode, body) == fields
        assert messages.build_reply(opcode, messages.parse_reply(opcode, body)) == body
        if messages.MESSAGES[opcode].effects:
            longer = effects.append_trailer(body, trailer)
            assert len(longer) % 8 == 0
            assert messages.parse_reply(opcode, longer, with_effects=True) == fields | {"effects": tuple(trailer)}
            start = len(body) + -len(body) % 8
            assert effects.unpack_trailer(longer[start:]) == tuple(trailer)

    check()


@by_message
def test_a_damaged_request_is_refused_or_means_what_its_bytes_say(opcode: int) -> None:
    """Any byte string either raises WireError, and nothing else, or is exactly what its own fields build."""

    @thorough
    @given(strategy(messages.MESSAGES[opcode].request), st.data())
    def check(fields: dict[str, Any], data: st.DataObject) -> None:
        body = bytearray(messages.build_request(opcode, legal(opcode, fields)))
        for _ in range(data.draw(st.integers(1, 3))):
            if body:
                body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        body = body[: data.draw(st.integers(0, len(body)))] + data.draw(st.binary(max_size=3))
        try:
            parsed = messages.parse_request(opcode, bytes(body))
        except WireError:
            return
        assert messages.build_request(opcode, parsed) == body

    check()


@by_message
def test_a_request_ends_where_its_declaration_does(opcode: int) -> None:
    @settings(max_examples=10, deadline=None)
    @given(strategy(messages.MESSAGES[opcode].request))
    def check(fields: dict[str, Any]) -> None:
        body = messages.build_request(opcode, legal(opcode, fields))
        for wrong in (body + b"\0", body[:-1] if body else b"\0\0"):
            with pytest.raises(WireError) as refused:
                messages.parse_request(opcode, wrong)
            assert refused.value.code in (Status.BAD_BODY, messages.MESSAGES[opcode].fault)

    check()


def refused(opcode: int, body: str, code: Status, field: str) -> Any:
    return pytest.param(opcode, bytes.fromhex(body), code, field, id=f"{Opcode(opcode).name}-{field}-{code.name}")


@pytest.mark.parametrize(
    ("opcode", "body", "code", "field"),
    [
        refused(Opcode.HELLO, "00000000 01 01 00 00 00000000 00000000", Status.BAD_BODY, "magic"),
        refused(Opcode.HELLO, "76676963 00 01 00 00 00000000 00000000", Status.VERSION, "lowest"),
        refused(Opcode.HELLO, "76676963 02 01 00 00 00000000 00000000", Status.VERSION, "lowest"),
        refused(Opcode.HELLO, "76676963 01 01 04 00 00000000 00000000", Status.BAD_BODY, "role"),
        refused(Opcode.HELLO, "76676963 01 01 00 01 00000000 00000000", Status.RESERVED_BITS, "reserved"),
        refused(Opcode.HELLO, "76676963 01 01 00 00 00000000 41000000", Status.BAD_BODY, "client"),
        refused(Opcode.HELLO, "76676963 01 01 00 00 00000000 01000000 07000000", Status.BAD_BODY, "client"),
        refused(Opcode.HELLO, "76676963 01 01 00 00 00000000 01000000 61000001", Status.RESERVED_BITS, "client"),
        refused(Opcode.HELLO, "76676963 01 01 00 00 00000000 01000000 ff000000", Status.BAD_BODY, "client"),
        refused(Opcode.VECTOR, "00000000", Status.BAD_BODY, "count"),
        refused(Opcode.VECTOR, "01040000", Status.TOO_MANY, "count"),
        refused(Opcode.VECTOR, "ffffffff", Status.TOO_MANY, "count"),
        refused(Opcode.VECTOR, "01000000", Status.BAD_BODY, "entries[0].value"),
        refused(Opcode.VECTOR, "01000000" + "00" * 14 + "30 01", Status.BAD_SIZE, "entries[0].operation"),
        refused(Opcode.VECTOR, "01000000" + "00" * 14 + "43 01", Status.BAD_SIZE, "entries[0].operation"),
        refused(Opcode.VECTOR, "01000000" + "00" * 14 + "40 05", Status.BAD_VALUE, "entries[0].space"),
        refused(Opcode.VECTOR, "01000000" + "00" * 14 + "40 31", Status.BAD_VALUE, "entries[0].space"),
        refused(Opcode.VECTOR, "01000000" + "00" * 14 + "02 02", Status.BAD_VALUE, "entries[0].space"),
        refused(Opcode.VECTOR, "01000000 02" + "00" * 13 + "02 00", Status.BAD_VALUE, "entries[0].value"),
        refused(Opcode.VECTOR, "01000000 01" + "00" * 13 + "40 01", Status.RESERVED_BITS, "entries[0].value"),
        refused(Opcode.READ, "0000 03 01" + "00" * 16, Status.BAD_SIZE, "size"),
        refused(Opcode.READ, "0000 04 0f" + "00" * 16, Status.BAD_VALUE, "space"),
        refused(Opcode.READ, "0000 04 01" + "00" * 15 + "01", Status.RESERVED_BITS, "value"),
        refused(Opcode.LINE, "ffff 04 00" + "00" * 16, Status.RESERVED_BITS, "size"),
        refused(Opcode.LINE, "ffff 00 02" + "00" * 16, Status.BAD_VALUE, "space"),
        refused(Opcode.LINE, "ffff 00 00" + "00" * 8 + "02" + "00" * 7, Status.BAD_VALUE, "value"),
        refused(Opcode.ENTER, "0000 0100", Status.RESERVED_BITS, "reserved"),
        refused(Opcode.MODE, "02 00 0000", Status.BAD_BODY, "explicit"),
        refused(Opcode.DUMP, "02000000", Status.BAD_BODY, "kind"),
        refused(Opcode.PENDING_CHECK, "0000 02 00", Status.BAD_BODY, "kind"),
        refused(Opcode.VIRQ_ALLOC, "ff 00 0000", Status.BAD_BODY, "spi"),
        refused(Opcode.PHYS_LINE, "40000000 02000000", Status.BAD_BODY, "level"),
        refused(Opcode.CONSOLE, "01100000", Status.BAD_BODY, "data"),
        refused(Opcode.TIME, "01000000" + "00" * 8, Status.RESERVED_BITS, "reserved"),
        refused(Opcode.WAIT, "0000 0000 01000000", Status.BAD_VALUE, "outputs"),
        refused(Opcode.WAIT, "0100 0000 ffffffff", Status.BAD_VALUE, "milliseconds"),
        refused(Opcode.SUBSCRIBE, "00000080", Status.RESERVED_BITS, "mask"),
        refused(Opcode.PING, "00", Status.BAD_BODY, ""),
        refused(Opcode.RESET, "00 00 0100 01000000 08000000 0100000000000000", Status.BAD_CONFIG, "config.configure"),
        refused(Opcode.RESET, "01 00 0100 ff000000 08000000", Status.BAD_CONFIG, "config.entries[0].key"),
        refused(Opcode.RESET, "01 00 0100 01000000 01000000 01", Status.BAD_CONFIG, "config.entries[0].value.item"),
        refused(
            Opcode.RESET,
            "01 00 0100 0c000000 08000000 02" + "00" * 7,
            Status.BAD_CONFIG,
            "config.entries[0].value.item",
        ),
        refused(Opcode.RESET, "01 00 ffff", Status.BAD_CONFIG, "config.count"),
        refused(
            Opcode.RESET,
            "01 00 0200" + "01000000 08000000 01" + "00" * 7 + "01000000 08000000 01" + "00" * 7,
            Status.BAD_CONFIG,
            "config.entries",
        ),
    ],
)
def test_each_rule_refuses_with_its_code_and_names_the_field(
    opcode: int, body: bytes, code: Status, field: str
) -> None:
    with pytest.raises(WireError) as caught:
        messages.parse_request(opcode, body)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.text


WELCOME = messages.build_reply(
    Opcode.HELLO,
    session.Welcome(
        Role.GUEST, image.Geometry(1, 32, 4, "xen", "virt"), (session.Window("GICD", 1, 2),), "d", "s"
    ).fields(),
)


def changed(body: bytes, at: int, value: int) -> bytes:
    return body[:at] + bytes([value]) + body[at + 1 :]


@pytest.mark.parametrize(
    ("opcode", "body", "code", "field"),
    [
        pytest.param(Opcode.HELLO, changed(WELCOME, 0, 0), Status.BAD_BODY, "magic", id="magic"),
        pytest.param(Opcode.HELLO, changed(WELCOME, 5, 0), Status.BAD_BODY, "role", id="no role"),
        pytest.param(Opcode.HELLO, changed(WELCOME, 6, 2), Status.BAD_BODY, "explicit", id="flag of 2"),
        pytest.param(Opcode.HELLO, changed(WELCOME, 7, 1), Status.RESERVED_BITS, "reserved", id="reserved"),
        pytest.param(Opcode.HELLO, changed(WELCOME, 9, 1), Status.RESERVED_BITS, "features", id="unknown feature"),
        pytest.param(Opcode.HELLO, changed(WELCOME, 80, 255), Status.BAD_BODY, "variant", id="long variant"),
        pytest.param(Opcode.HELLO, WELCOME[:-1], Status.BAD_BODY, "windows[0].name", id="cut short"),
        refused(Opcode.READ, "00000000", Status.BAD_BODY, "value"),
        refused(Opcode.ENTER, "00" * 12 + "41000000", Status.TOO_MANY, "count"),
        refused(Opcode.VECTOR, "00000000 01000000", Status.RESERVED_BITS, "reserved"),
        refused(
            Opcode.VECTOR, "01000000 00000000" + "00" * 12 + "01000000", Status.RESERVED_BITS, "results[0].reserved"
        ),
        refused(Opcode.VIRQ_RESERVE, "02", Status.BAD_BODY, "value"),
        refused(Opcode.STATS, "ffffffff 00000000", Status.TOO_MANY, "value.count"),
        refused(
            Opcode.STATS,
            "02000000 00000000" + ("00" * 8 + "01000000 61000000") * 2,
            Status.BAD_BODY,
            "value.entries",
        ),
        refused(Opcode.DUMP, "01000000 ff000000", Status.BAD_BODY, "value"),
        refused(Opcode.PING, "00", Status.BAD_BODY, ""),
    ],
)
def test_a_client_is_as_strict_with_replies(opcode: int, body: bytes, code: Status, field: str) -> None:
    with pytest.raises(WireError) as caught:
        messages.parse_reply(opcode, body)
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize(
    ("trailer", "code", "field"),
    [
        ("ffffffff 00000000", Status.TOO_MANY, "count"),
        ("00000000 01000000", Status.RESERVED_BITS, "reserved_trailer"),
        ("01000000 00000000 00000000 00000000", Status.BAD_BODY, "effects[0].kind"),
        ("01000000 00000000 01", Status.BAD_BODY, "effects[0].a"),
        ("00000000 00000000 00", Status.BAD_BODY, ""),
        ("", Status.BAD_BODY, "count"),
    ],
)
def test_a_client_is_as_strict_with_the_effects(trailer: str, code: Status, field: str) -> None:
    with pytest.raises(WireError) as caught:
        messages.parse_reply(Opcode.WRITE, bytes(8) + bytes.fromhex(trailer), with_effects=True)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_the_padding_before_the_effects_is_checked() -> None:
    body = messages.build_reply(Opcode.RESET, {"value": 0})
    good = effects.append_trailer(body, [])
    assert messages.parse_reply(Opcode.RESET, good, with_effects=True) == {"value": 0, "effects": ()}
    with pytest.raises(WireError) as caught:
        messages.parse_reply(Opcode.RESET, changed(good, 7, 1), with_effects=True)
    assert caught.value.code is Status.RESERVED_BITS


@pytest.mark.parametrize("opcode", [0x00, 0x04, 0x14, 0x63, 0x7E, 0x7F, 0x80, 0x90, 0xFF])
def test_an_unknown_opcode_is_unsupported(opcode: int) -> None:
    """JOURNAL is reserved, EVENT and ERROR only come from the server, replies are no requests."""
    with pytest.raises(WireError) as caught:
        messages.parse_request(opcode, b"")
    assert caught.value.code is Status.UNSUPPORTED


def test_flags_are_refused_where_they_mean_nothing() -> None:
    messages.check_flags(Opcode.WRITE, 1)
    messages.check_flags(Opcode.RESTORE, 3)
    for opcode, flags in ((Opcode.VECTOR, 1), (Opcode.WRITE, 2), (Opcode.PING, 1), (Opcode.EXIT, 4), (Opcode.DUMP, 1)):
        with pytest.raises(WireError) as caught:
            messages.check_flags(opcode, flags)
        assert (caught.value.code, caught.value.field) == (Status.RESERVED_BITS, "status")


def test_building_refuses_missing_unknown_and_impossible_fields() -> None:
    for opcode, fields in (
        (Opcode.ENTER, {}),
        (Opcode.ENTER, {"vcpu": 0, "reserved": 0}),
        (Opcode.ENTER, {"vcpu": -1}),
        (Opcode.ENTER, {"vcpu": "zero"}),
        (Opcode.DUMP, {"kind": "text"}),
        (Opcode.DUMP, {"kind": [0]}),
        (Opcode.SUBSCRIBE, {"mask": None}),
        (Opcode.CONSOLE, {"data": "text"}),
        (Opcode.CONSOLE, {"data": bytes(bodies.CONSOLE_LIMIT + 1)}),
        (Opcode.VECTOR, {"entries": [entry(0, 0x40, 1)] * 1025}),
        (Opcode.HW_DISCONNECT, {"virq": 40, "pirq": 0xFFFFFFFF}),
        (Opcode.RESET, {"config": {"no_such_key": 1}}),
        (Opcode.RESET, {"config": {"xen_without": "D2"}}),
        (Opcode.RESET, {"config": {"xen_without": ("a,b",)}}),
        (Opcode.RESTORE, {"image": {}}),
    ):
        with pytest.raises(WireError):
            messages.build_request(opcode, fields)


def test_no_value_of_a_setting_means_its_default() -> None:
    body = messages.build_request(Opcode.RESET, {"config": {"gicd_base": None, "vcpus": 2}})
    assert messages.parse_request(Opcode.RESET, body) == {"config": {"vcpus": 2}}


def test_events_travel_both_ways_and_as_the_hot_codec_packs_them() -> None:
    records = [
        events.Event(5, events.EventKind.LINE, 1, 27, 0, 1),
        events.Event(2**64 - 1, events.GAP, value=12),
    ]
    body = messages.build_events(records)
    assert messages.parse_events(body) == records
    assert body[8:] == events.pack_events(records)
    assert events.unpack_events(body[8:]) == records


def test_an_event_of_an_unknown_kind_is_refused() -> None:
    body = bytearray(messages.build_events([events.Event(1, 0)]))
    body[16] = 0x40
    with pytest.raises(WireError) as caught:
        messages.parse_events(bytes(body))
    assert caught.value.field == "events[0].kind"


def test_an_error_is_cut_to_what_its_body_can_hold() -> None:
    field, text = messages.parse_error(messages.build_error("x" * 300 + "é", "ß" * 4000))
    assert field == "x" * 255
    assert text == "ß" * 2048


def test_roles_follow_plane_and_space() -> None:
    read, write = Opcode.READ, Opcode.WRITE
    for role, opcode, space in (
        (Role.GUEST, read, 0x01),
        (Role.GUEST, read, 0x00),
        (Role.OBSERVE, read, 0x03),
        (Role.OBSERVE, read, 0x11),
        (Role.CONTROL, read, 0x21),
        (Role.GUEST, write, 0x02),
        (Role.CONTROL, write, 0x03),
        (Role.GUEST, write, 0x11),
        (Role.CONTROL, write, 0x21),
        (Role.GUEST, Opcode.LINE, 0x01),
    ):
        assert messages.access_role(opcode, space) == role, (opcode, hex(space))


def test_a_vector_needs_the_role_of_its_most_demanding_entry() -> None:
    observe, guest, control = entry(0, 0x40, 0x11), entry(0, 0x40, 0x01), entry(0, 0x41, 0x21)
    for entries, role in (
        ([observe], Role.OBSERVE),
        ([observe, guest], Role.GUEST),
        ([guest, control, observe], Role.CONTROL),
    ):
        assert messages.request_role(Opcode.VECTOR, {"entries": entries}) == role
    assert messages.request_role(Opcode.RESET, {"config": None}) == Role.CONTROL
    assert messages.request_role(Opcode.READ, {"space": 0x10}) == Role.OBSERVE


def test_every_body_lies_naturally_aligned_in_its_frame() -> None:
    """Up to its first field of variable size; behind it the declarations pad."""
    for message in messages.MESSAGES.values():
        for start, declaration in ((12, message.request), (24, message.reply)):
            offset = start
            for subcon in declaration.subcons:
                leaf = subcon
                while isinstance(leaf, Subconstruct) and not isinstance(leaf, Items):
                    leaf = leaf.subcon
                if not isinstance(leaf, FormatField):
                    break
                assert offset % leaf.length == 0, (message.name, subcon.name)
                offset += leaf.length


@given(st.sampled_from(Role), st.integers(0, 255), NAMES)
def test_hello_and_welcome_are_values(role: Role, features: int, name: str) -> None:
    hello = session.Hello(role, features, name)
    body = messages.build_request(Opcode.HELLO, hello.fields())
    assert session.Hello.from_fields(messages.parse_request(Opcode.HELLO, body)) == hello
    welcome = session.Welcome(
        role=Role.GUEST,
        geometry=image.Geometry(8, 960, 64, "xen", "trace"),
        windows=(session.Window("GICD", 0x0800_0000, 0x1000), session.Window("GICC", 0x0801_0000, 0x2000)),
        domain=name,
        server="vgicd 0.1.0",
        features=features,
        explicit=True,
    )
    body = messages.build_reply(Opcode.HELLO, welcome.fields())
    assert session.Welcome.from_fields(messages.parse_reply(Opcode.HELLO, body)) == welcome


def test_reply_fields_take_records_single_values_and_nothing() -> None:
    assert messages.reply_fields(Opcode.HW_DESC, None) == {"value": None}
    assert messages.reply_fields(Opcode.VIRQ_FREE, None) == {}
    assert messages.reply_fields(Opcode.CONSOLE, session.Window("a", 1, 2)) == {"name": "a", "base": 1, "size": 2}
