"""Packets that ask what the target is: features, threads, documents, files, words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vgicd.gdbstub import lldb, osdata, replies, symbol_file, target_xml, thread_ids
from vgicd.gdbstub.features import MINIMAL_OBJECTS
from vgicd.gdbstub.packets import LIMIT, encode
from vgicd.gdbstub.replies import OK, UNSUPPORTED, Malformed
from vgicd.gdbstub.row import Row

if TYPE_CHECKING:
    from vgicd.gdbstub.stub import Stub

_WORDS: Final = LIMIT // 4
"""Bytes of text in one reply to a monitor command: two digits each, and room to spare."""


def _supported(stub: Stub, arguments: bytes) -> bytes:
    return stub.features.agree(arguments)


def _no_acks(stub: Stub, _: bytes) -> None:
    stub.reply(OK)
    stub.trust_transport()


def _accepted(_stub: Stub, _arguments: bytes) -> bytes:
    return OK


def _threads_begin(stub: Stub, _: bytes) -> bytes:
    return b"m" + ",".join(stub.thread(vcpu) for vcpu in range(stub.target.vcpus)).encode()


def _threads_end(_stub: Stub, _: bytes) -> bytes:
    return b"l"


def _thread_line(stub: Stub, arguments: bytes) -> bytes:
    vcpu = stub.existing(thread_ids.parse(arguments.lstrip(b",")))
    return stub.target.line_of(vcpu).encode().hex().encode()


def _current_thread(stub: Stub, _: bytes) -> bytes:
    return b"QC" + stub.thread(stub.vcpu).encode()


def _select(stub: Stub, arguments: bytes) -> bytes:
    vcpu = thread_ids.parse(arguments[1:])
    if vcpu >= 0:
        stub.existing(vcpu)
    if arguments[:1] == b"c":
        stub.resumed = vcpu
    elif vcpu >= 0:
        stub.select(vcpu)
    return OK


def _alive(stub: Stub, arguments: bytes) -> bytes:
    vcpu = thread_ids.parse(arguments)
    return OK if 0 <= vcpu < stub.target.vcpus else replies.ERROR


def _attached(_stub: Stub, _: bytes) -> bytes:
    return b"1"


def _transfer(stub: Stub, arguments: bytes) -> bytes:
    """A document is made when its first part is asked for, and stays the same until another one is asked for."""
    kind, operation, annex, place = (arguments.lstrip(b":").split(b":", 3) + [b""] * 3)[:4]
    if operation != b"read" or (stub.features.minimal and kind not in MINIMAL_OBJECTS):
        return UNSUPPORTED
    offset, length = replies.pair(place)
    name = kind + b":" + annex
    if offset == 0 or stub.document[0] != name:
        document = _document(stub, kind, annex)
        if document is None:
            return UNSUPPORTED
        stub.document = (name, document)
    return replies.part(stub.document[1], offset, min(length, LIMIT // 2))


def _document(stub: Stub, kind: bytes, annex: bytes) -> bytes | None:
    target = stub.target
    match kind:
        case b"features" if annex == b"target.xml":
            return target_xml.target_description(target).encode()
        case b"features":
            raise Malformed(f"There is no file {annex[:40]!r}: the description is one, target.xml.")
        case b"threads":
            return target_xml.threads(target, multiprocess=stub.features.multiprocess).encode()
        case b"memory-map":
            return target_xml.memory_map(target.layout).encode()
        case b"osdata":
            return osdata.document(target, annex.decode("utf-8", "replace")).encode()
        case b"exec-file":
            return symbol_file.NAME
    return None


def _file(stub: Stub, arguments: bytes) -> bytes:
    return stub.symbols.serve(arguments.lstrip(b":"))


def _command(stub: Stub, arguments: bytes) -> bytes:
    """Errors are sentences, too, and printed like every answer: gdb 13 shows no other."""
    line = replies.from_hex(arguments.lstrip(b",")).decode("utf-8", "replace")
    text = stub.monitor.run(line)
    if text and not text.endswith("\n"):
        text += "\n"
    words = text.encode()
    if not words:
        return OK
    for start in range(0, len(words) - _WORDS, _WORDS):
        stub.out += encode(b"O" + words[start : start + _WORDS].hex().encode())
    return words[(len(words) - 1) // _WORDS * _WORDS :].hex().encode()


def _host(stub: Stub, _: bytes) -> bytes:
    return lldb.host_info(stub.target.arch).encode()


def _process(stub: Stub, _: bytes) -> bytes:
    return lldb.process_info(stub.target.arch).encode()


ROWS: Final = (
    Row("qSupported", "What do you understand beyond the basics?", _supported),
    Row("QStartNoAckMode", "May we do without acknowledgements?", _no_acks),
    Row("QThreadEvents", "Shall I hear of threads that come and go? (None does.)", _accepted),
    Row("QPassSignals", "Which signals need not stop you? (There are none.)", _accepted),
    Row("qSymbol", "Do you want to look up symbols?", _accepted),
    Row("!", "May I stay when the program has ended?", _accepted),
    Row("qfThreadInfo", "Which threads are there?", _threads_begin),
    Row("qsThreadInfo", "And which more?", _threads_end),
    Row("qThreadExtraInfo", "What is to be said of this thread?", _thread_line),
    Row("qC", "Which thread is selected?", _current_thread),
    Row("H", "Will you take what I ask from now on for this thread's?", _select),
    Row("T", "Does this thread live?", _alive),
    Row("qAttached", "Did you exist before me, so that I detach when I quit?", _attached),
    Row("qXfer", "What does this document say, from here on?", _transfer),
    Row("vFile", "May I read your symbol file?", _file),
    Row("qRcmd", "What do you answer to the user's `monitor` command?", _command),
    Row("qHostInfo", "What machine is it? (LLDB)", _host),
    Row("qProcessInfo", "What process is it? (LLDB)", _process),
)
