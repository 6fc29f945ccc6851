"""Lines of gdb's machine interface: records of gdb 13.1 and 18.1 as they were, and whatever else may come.

The grammar is "GDB/MI Output Syntax" of gdb's manual; the hostile lines are those on which pygdbmi 0.11 loops for
ever, overflows the stack or raises.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgicd_client.mi_records import (
    DEPTH_LIMIT,
    EXCERPT,
    LINE_LIMIT,
    Lines,
    Notice,
    Output,
    Prompt,
    Record,
    Result,
    Unparsed,
    parse,
)

REAL = (
    b'=thread-group-started,id="i1",pid="19794"',
    b'3^error,msg="A syntax error in expression, near `\'."',
    b'9^done,threads=[{id="1",target-id="Thread 1.1",name="vcpu0",details="irq=HIGH lr=1/4 hppi=27",frame={level="0",'
    b'addr="0x000000000010004c",func="idle",args=[],arch="i386:x86-64"},state="stopped",core="0"}],current-thread-id="1"',
    b'*stopped,hw-awpt={number="2",exp="GICD_SGIR"},reason="access-watchpoint-trigger",value={new="0"},frame={addr="0x0",'
    b'func="idle",args=[],arch="i386:x86-64"},thread-id="2",stopped-threads="all",core="1"',
    b'*running,thread-id="all"',
    b'~"Thread 1 \\"vcpu0\\" hit \\303\\274\\n"',
    b'@"hello\\n"',
    b'&"warning: \\\\ \\t\\n"',
    b'11^done,stack=[frame={level="0",addr="0x1",func="tick"},frame={level="1",addr="0x2",func="main"}]',
    b'16^done,OSDataTable={nr_rows="1",nr_cols="2",hdr=[{width="10",alignment="-1",col_name="col0",colhdr="Type"}],'
    b'body=[item={col0="irqs"}]}',
    b'6^done,bkpt={number="1",script=["silent","print 1"],thread="1",cond="x > 3",thread="1"}',
)


def test_an_answer_has_its_token_its_kind_and_its_values() -> None:
    assert parse(b'12^done,value="{VirtualID = 27, State = PENDING}"') == Result(
        12, "done", {"value": "{VirtualID = 27, State = PENDING}"}
    )
    assert parse(b"^running") == Result(None, "running", {})
    assert parse(b'5^error,msg="Cannot access memory at address 0x4"') == Result(
        5, "error", {"msg": "Cannot access memory at address 0x4"}
    )


def test_lists_and_tuples_nest() -> None:
    record = parse(REAL[2])
    assert isinstance(record, Result)
    assert record.payload["threads"][0]["frame"] == {
        "level": "0", "addr": "0x000000000010004c", "func": "idle", "args": [], "arch": "i386:x86-64",
    }  # fmt: skip


def test_a_name_given_twice_becomes_a_list() -> None:
    """gdb's bug 22217, and the `thread` of a breakpoint with a condition, which gdb 13.1 prints twice."""
    record = parse(b'=x,thread-ids={thread-id="1",thread-id="2"}')
    assert record == Notice("x", {"thread-ids": {"thread-id": ["1", "2"]}})


def test_text_is_unescaped() -> None:
    assert parse(REAL[5]) == Output("console", 'Thread 1 "vcpu0" hit ü\n')
    assert parse(REAL[6]) == Output("target", "hello\n")
    assert parse(REAL[7]) == Output("log", "warning: \\ \t\n")


def test_the_prompt_and_the_empty_line() -> None:
    assert parse(b"(gdb) ") == Prompt()
    assert parse(b"(gdb)\r") == Prompt()
    assert parse(b"") is None
    assert parse(b"\r") is None


@pytest.mark.parametrize("line", REAL)
def test_records_of_gdb_are_parsed(line: bytes) -> None:
    assert not isinstance(parse(line), Unparsed)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'1^done,a=["x"', "']' is missing"),  # pygdbmi: for ever
        (b"1^done,a=[", "']' is missing"),
        (b'1^done,bkpt={number="1",script={"silent","print 1"}}', "unexpected value"),  # mi3; pygdbmi: TypeError
        (b'1^done,a={b="x"', "'}' is missing"),
        (b'1^done,a="x', "unexpected '\"'"),
        (b'1^done,a=["x"}', "closes nothing"),
        (b'1^done,a="x"]', "closes nothing"),
        (b"1^done,a=", "a value is missing"),
        (b"1^done,a", "unexpected 'a'"),
        (b"1^done,", "a name is missing"),
        (b'1^done,a="x",', "a name is missing"),
        (b'1^done,a=["x",]', "closes nothing"),
        (b'1^done,a=[,"x"]', "unexpected ','"),
        (b'1^done,a="x"b="y"', "unexpected name"),
        (b'1^done"x"', "neither an answer"),
        (b'1^done,a="\\q"', "pygdbmi"),
        (b'~"text', "not closed"),
        (b'~"text"more', "not closed"),
        (b"Reading symbols", "neither an answer"),
        (b"1234567890123456789012345678901234567890^done", "neither an answer"),
        (b"\xff\xfe", "neither an answer"),
    ],
)
def test_what_is_no_record_is_kept_as_it_is_with_the_reason(line: bytes, reason: str) -> None:
    record = parse(line)
    assert isinstance(record, Unparsed)
    assert reason in record.reason
    assert record.text == line.decode("utf-8", "replace")


def test_a_damaged_answer_still_tells_whose_it_was() -> None:
    record = parse(b'77^done,a=["x"')
    assert isinstance(record, Unparsed)
    assert record.token == 77


@pytest.mark.parametrize("opening", [b"a=[", b"a={"])
def test_nesting_beyond_the_limit_does_not_reach_the_recursive_parser(opening: bytes) -> None:
    closing = {b"a=[": b"]", b"a={": b"}"}[opening]
    deepest = b"1^done," + opening * DEPTH_LIMIT + closing * DEPTH_LIMIT
    assert isinstance(parse(deepest), Result)
    record = parse(b"1^done," + opening * 100_000 + closing * 100_000)
    assert isinstance(record, Unparsed)
    assert "nested deeper" in record.reason


def test_an_overlong_line_is_dropped_but_for_its_beginning_and_the_next_line_is_read() -> None:
    lines = Lines()
    piece = b"x" * (1 << 20)
    found = lines.feed(b'8^done,a="')
    for _ in range(LINE_LIMIT // len(piece) + 3):
        found += lines.feed(piece)
    found += lines.feed(b'"\n9^done\n')
    first, second = found
    assert isinstance(first, Unparsed)
    assert (first.token, len(first.text)) == (8, EXCERPT)
    assert second == b"9^done"


def test_a_line_of_a_whole_memory_is_parsed() -> None:
    text = b"0123456789abcdef" * (LINE_LIMIT // 32)
    record = parse(b'1^done,memory=[{begin="0x0",contents="' + text + b'"}]')
    assert isinstance(record, Result)
    assert len(record.payload["memory"][0]["contents"]) == len(text)


@given(st.lists(st.binary(max_size=30)), st.data())
def test_lines_do_not_depend_on_how_the_bytes_arrive(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"\n".join(parts) + b"\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    lines = Lines()
    found: list[bytes | Unparsed] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += lines.feed(stream[start:end])
    assert found == stream.split(b"\n")[:-1]


# --- hostile lines ----------------------------------------------------------------------------------------------

PATIENCE = 0.5
"""Seconds for a line of at most 4 KB on a loaded machine; each is a fraction of a millisecond."""

_alphabet = st.text(alphabet='"\\[]{}=,^*~@&(gdb)019anx\t\r é', max_size=400)
_bytes = st.binary(max_size=400)
_headed = st.tuples(st.sampled_from(["1^done,", "*stopped,", "=x,", "~", '~"', '1^done,a="', "1^done,a=["]), _alphabet)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A real record with pieces cut out, doubled or replaced."""
    line = bytearray(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(line)))
        end = draw(st.integers(at, min(len(line), at + 40)))
        line[at:end] = draw(st.one_of(st.just(b""), st.just(bytes(line[at:end]) * 2), st.binary(max_size=6)))
    return bytes(line).replace(b"\n", b"")


def _timed(line: bytes) -> Record | None:
    started = time.perf_counter()
    record = parse(line)
    assert time.perf_counter() - started < PATIENCE
    return record


@settings(max_examples=1500, deadline=None)
@given(st.one_of(_bytes, _alphabet.map(str.encode), _headed.map(lambda parts: "".join(parts).encode()), _damaged()))
def test_no_line_raises_or_stalls(line: bytes) -> None:
    record = _timed(line.replace(b"\n", b""))
    assert record is None or isinstance(record, Result | Notice | Output | Prompt | Unparsed)


@pytest.mark.parametrize(
    "pattern",
    [b"[", b"{", b"a=[", b",a={", b'"', b"\\", b'\\"', b",", b"=", b",a=", b',a="', b"\\101", b',a="\\\\"', b'[["x"],'],
)
@pytest.mark.parametrize("head", [b"1^done", b"1^done,", b'1^done,a="', b"1^done,a=[", b"=x,", b'~"', b"~", b""])
def test_time_is_linear_in_the_length_of_repeated_pieces(head: bytes, pattern: bytes) -> None:
    line = head + pattern * (200_000 // len(pattern))
    started = time.perf_counter()
    parse(line)
    assert time.perf_counter() - started < 5  # a quadratic scan of it takes minutes


@pytest.mark.parametrize(
    ("head", "pattern", "tail"),
    [
        (b'~"', b"x", b'"'),  # pygdbmi: quadratic
        (b'~"', b"x\\n", b'x"'),
        (b'&"', b"\\101", b'"'),
        (b'1^done,a="', b"x", b'"'),
        (b'1^done,a="', b'\\"', b'"'),
        (b"1^done,a=[", b'"x",', b'"y"]'),
        (b'1^done,a=["x"', b',b="y"', b"]"),
        (b"1^done,", b'a="x",', b'a="y"'),
        (b'1^done,a={b="x"', b',b={c="d"}', b"}"),
    ],
)
def test_time_is_linear_in_the_length_of_real_records(head: bytes, pattern: bytes, tail: bytes) -> None:
    line = head + pattern * (400_000 // len(pattern)) + tail
    started = time.perf_counter()
    assert not isinstance(parse(line), Unparsed)
    assert time.perf_counter() - started < 10
