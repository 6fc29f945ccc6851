"""TCP with TLS: both ends show a certificate, and the client's common name decides what it may do."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
import trio

from tests.tools import require_tool
from vgicd import config
from vgicd.config import ConfigError
from vgicd.server import daemon
from vgicd_protocol import framing, messages, session
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import Opcode, Role
from vgicd_protocol.framing import Reply

from .conftest import Served, Serving

SHORT_DRAIN = 0.2
"""Seconds; a connection that has been broken off is waited for when the daemon stops."""


@pytest.fixture(scope="module", autouse=True)
def openssl() -> None:
    """It makes the certificates."""
    require_tool("openssl", "openssl")


def make(folder: Path, name: str, *arguments: str) -> None:
    """A key and a certificate for `name`; without `-CA` in `arguments` it signs itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    full = [*command, "-days", "2", "-subj", f"/CN={name}", *files, *arguments]
    subprocess.run(full, check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make(folder, "authority")
    make(folder, "other-authority")
    for name, authority in (("server", "authority"), ("bench", "authority"), ("nobody", "authority")):
        by = ["-CA", str(folder / f"{authority}.pem"), "-CAkey", str(folder / f"{authority}.key")]
        make(folder, name, *by, "-addext", "subjectAltName=DNS:vgicd.test", "-addext", "basicConstraints=CA:FALSE")
    by = ["-CA", str(folder / "other-authority.pem"), "-CAkey", str(folder / "other-authority.key")]
    make(folder, "stranger", *by)
    return folder


@pytest.fixture
def sections(certificates: Path) -> dict[str, dict[str, object]]:
    return {
        "listen": {"tcp": ["127.0.0.1:0"]},
        "access": {"control": ["cert:bench"]},
        "tls": {
            "certificate": str(certificates / "server.pem"),
            "key": str(certificates / "server.key"),
            "client_ca": str(certificates / "authority.pem"),
        },
    }


async def connect(served: Served, certificates: Path, name: str | None) -> trio.SSLStream[trio.SocketStream]:
    (address,) = [address for address in served.daemon.addresses if address.startswith("tls:")]
    host, _, port = address.removeprefix("tls:").rpartition(":")
    context = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    if name is not None:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    stream = await trio.open_tcp_stream(host, int(port))
    return trio.SSLStream(stream, context, server_hostname="vgicd.test", https_compatible=True)


async def replies(stream: trio.SSLStream[trio.SocketStream], wanted: int) -> list[Reply]:
    reader, joiner, found = framing.FrameReader(smallest=24), framing.ReplyJoiner(), []
    while len(found) < wanted:
        with trio.fail_after(30):
            data = await stream.receive_some(1 << 16)
        if not data:
            raise EOFError
        for frame in reader.feed(data):
            whole = joiner.add(framing.reply_of(frame))
            if whole is not None:
                found.append(whole)
    return found


def hello(role: int = Role.ANY) -> bytes:
    body = messages.build_request(Opcode.HELLO, session.Hello(role=Role(role)).fields())
    return framing.request(Opcode.HELLO, 1, body)


async def test_a_named_certificate_has_its_role(
    serving: Serving, certificates: Path, sections: dict[str, dict[str, object]]
) -> None:
    async with serving(**sections) as served:
        stream = await connect(served, certificates, "bench")
        batch = [framing.hot_request(Opcode.READ, number, 0, 4, 1, 4) for number in range(2000)]
        batch.insert(1000, framing.request(Opcode.SNAPSHOT, 9999))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, hello() + b"".join(batch))
            welcome, *rest = await replies(stream, 2002)
        assert messages.parse_reply(Opcode.HELLO, welcome.body)["role"] == Role.CONTROL
        assert [reply.order for reply in rest if reply.opcode == Opcode.READ] == list(range(1, 2001))
        served.daemon.stop("test")
        (last,) = await replies(stream, 1)
        assert last.opcode == Opcode.BYE
        await trio.aclose_forcefully(stream)


async def test_a_freeze_holds_inside_tls_too(
    serving: Serving, certificates: Path, sections: dict[str, dict[str, object]]
) -> None:
    async with serving(**sections, limits={"drain_seconds": SHORT_DRAIN}) as served:
        stream = await connect(served, certificates, "bench")
        await stream.send_all(hello())
        await replies(stream, 1)
        freeze = served.daemon.hub.freeze
        freeze.hold("debugger", 1 << 1)
        await stream.send_all(b"".join(framing.hot_request(Opcode.READ, vcpu, vcpu, 4, 1, 4) for vcpu in (0, 1, 0)))
        assert [reply.request_id for reply in await replies(stream, 1)] == [0]
        (connection,) = served.daemon.connections
        assert connection.session.held == 1 << 1
        freeze.hold("debugger", 0)
        assert [reply.request_id for reply in await replies(stream, 2)] == [1, 0]
        await trio.aclose_forcefully(stream)


async def test_a_certificate_that_no_rule_names_is_denied(
    serving: Serving, certificates: Path, sections: dict[str, dict[str, object]]
) -> None:
    async with serving(**sections) as served:
        stream = await connect(served, certificates, "nobody")
        await stream.send_all(hello())
        (reply,) = await replies(stream, 1)
        assert (reply.opcode, reply.status) == (Opcode.ERROR, Status.DENIED)
        await trio.aclose_forcefully(stream)


async def test_what_ends_a_session_is_said_inside_tls_too(
    serving: Serving, certificates: Path, sections: dict[str, dict[str, object]]
) -> None:
    async with serving(**sections, limits={"hello_seconds": 0.5}) as served:
        stream = await connect(served, certificates, "bench")
        await stream.do_handshake()
        (reply,) = await replies(stream, 1)
        assert (reply.opcode, reply.status) == (Opcode.ERROR, Status.NOT_HELLO)
        with pytest.raises(EOFError):
            await replies(stream, 1)
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("limit", ["connections", "connections_per_uid"])
async def test_a_connection_too_many_is_told_so_inside_tls(
    serving: Serving, certificates: Path, sections: dict[str, dict[str, object]], limit: str
) -> None:
    async with serving(**sections, limits={limit: 1, "drain_seconds": SHORT_DRAIN}) as served:
        first, second = [await connect(served, certificates, "bench") for _ in range(2)]
        await first.send_all(hello())
        await replies(first, 1)
        await second.send_all(hello())
        (reply,) = await replies(second, 1)
        assert (reply.opcode, reply.status) == (Opcode.ERROR, Status.BUSY)
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await replies(second, 1)
        await first.send_all(framing.request(Opcode.PING, 2))
        assert [answer.opcode for answer in await replies(first, 1)] == [Opcode.PING]
        for stream in (first, second):
            await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("limit", ["connections", "connections_per_uid"])
async def test_handshakes_that_are_not_finished_are_limited_and_end(
    serving: Serving, certificates: Path, sections: dict[str, dict[str, object]], limit: str
) -> None:
    async with serving(**sections, limits={limit: 1, "hello_seconds": 1.5, "drain_seconds": SHORT_DRAIN}) as served:
        (address,) = [address for address in served.daemon.addresses if address.startswith("tls:")]
        host, _, port = address.removeprefix("tls:").rpartition(":")
        silent = [await trio.open_tcp_stream(host, int(port)) for _ in range(3)]
        with trio.fail_after(30):
            answers: dict[int, bytes] = {}
            async with trio.open_nursery() as nursery:
                for number, stream in enumerate(silent):
                    nursery.start_soon(_read_end, number, stream, answers)
        assert next(iter(answers)) == 2, "twice the limit may try; the third is closed at once"
        assert set(answers.values()) == {b""}
        good = await connect(served, certificates, "bench")
        await good.send_all(hello())
        assert [reply.status for reply in await replies(good, 1)] == [Status.OK]
        for open_still in (*silent, good):
            await trio.aclose_forcefully(open_still)


async def _read_end(number: int, stream: trio.SocketStream, answers: dict[int, bytes]) -> None:
    answers[number] = await stream.receive_some(100)


@pytest.mark.parametrize("name", [None, "stranger"])
async def test_without_a_certificate_of_the_authority_there_is_no_session(
    serving: Serving, certificates: Path, sections: dict[str, dict[str, object]], name: str | None
) -> None:
    async with serving(**sections) as served:
        stream = await connect(served, certificates, name)
        with pytest.raises((trio.BrokenResourceError, EOFError)):
            await _converse(stream)
        await trio.aclose_forcefully(stream)
        good = await served.connect(Role.GUEST)
        await good.expect(Opcode.PING)


async def _converse(stream: trio.SSLStream[trio.SocketStream]) -> None:
    await stream.send_all(hello())
    await replies(stream, 1)


async def test_plain_bytes_on_a_tls_port_are_closed(serving: Serving, sections: dict[str, dict[str, object]]) -> None:
    async with serving(**sections) as served:
        (address,) = [address for address in served.daemon.addresses if address.startswith("tls:")]
        host, _, port = address.removeprefix("tls:").rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(hello())
            with trio.fail_after(30):
                assert framing.REPLY_BIT | Opcode.HELLO not in (await stream.receive_some(100))[5:6]
        await (await served.connect(Role.GUEST)).expect(Opcode.PING)


def test_tls_without_anybody_who_may_use_it_is_no_configuration(sections: dict[str, dict[str, object]]) -> None:
    with pytest.raises(ConfigError, match="must name at least one peer as cert:"):
        daemon.check(config.parse({**sections, "access": {}}, "here"))


def test_files_that_are_no_certificates_are_no_configuration(
    sections: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    for key in ("certificate", "key", "client_ca"):
        for file in ("empty", "missing"):
            with pytest.raises(ConfigError, match=r"\[tls\] cannot be used"):
                daemon.check(config.parse({**sections, "tls": {**sections["tls"], key: str(tmp_path / file)}}, "here"))
