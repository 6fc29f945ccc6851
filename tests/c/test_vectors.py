"""The golden vectors of the protocol: what the C client sends is their requests, and it reads their replies.

A server that is none takes the client's requests byte by byte and answers with the vectors' replies.  Only request ids
are the client's own.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.c.harness import OK, REFUSED, VECTORS, WELCOME, Driver, FakeServer, with_id
from vgicd_protocol.frames import Opcode

FIRST = 2
Vector = dict[str, Any]


def golden(name: str, about: str) -> list[Vector]:
    vectors = json.loads((VECTORS / f"{name}.json").read_text())
    return [vector for vector in vectors if vector["about"] == about]


def frame(vector: Vector) -> bytes:
    return bytes.fromhex(vector["frame"])


def number(value: int | str) -> int:
    return int(value, 16) if isinstance(value, str) else value


def call_of(name: str, fields: Vector) -> list[Any]:
    """The driver's command that asks for what a request vector does."""
    f = {key: number(value) for key, value in fields.items() if not isinstance(value, list | dict | type(None))}
    match name:
        case "read":
            return ["read", f["vcpu"], f["space"], f["address"], f["size"]]
        case "write":
            return ["write", f["vcpu"], f["space"], f["address"], f["size"], f["value"]]
        case "line" if f["space"]:
            return ["pulse", f["address"], f["vcpu"]]
        case "line":
            return ["line", f["address"], f["vcpu"], f["value"]]
        case "vector":
            return ["vector", *map(entry_of, fields["entries"])]
        case "wait":
            return ["wait", f["outputs"], f["milliseconds"]]
        case "subscribe":
            return ["subscribe", f["mask"]]
        case "vcpu_power":
            return ["power", f["vcpu"], int(f["on"])]
        case "time":
            return ["time", f["now"]]
        case "mode":
            return ["mode", int(f["explicit"])]
        case "enter" | "exit":
            return [name, f["vcpu"]]
    return [name]


def entry_of(entry: Vector) -> str:
    kind, size = entry["operation"] & 0xF, entry["operation"] >> 4
    if kind == 2:
        return f"{'p' if entry['space'] else 'l'}:{entry['offset']}:{entry['vcpu']}:{entry['value']}"
    access = f"{'rw'[kind]}:{entry['vcpu']}:{entry['space']}:{entry['offset']}:{size}"
    return f"{access}:{number(entry['value'])}" if kind else access


NAMES = ["read", "write", "line", "vector", "wait", "subscribe", "ping", "vcpu_power", "time", "mode", "enter", "exit"]


@pytest.mark.parametrize("name", [*NAMES, "reset"])
def test_a_call_sends_the_bytes_of_its_vector_and_reads_those_of_the_reply(
    driver: Driver, server: FakeServer, name: str
) -> None:
    requests, replies = golden(name, "request"), golden(name, "reply")
    assert server.welcome(driver).result == OK
    for request_id, request in enumerate(requests[: 1 if name == "reset" else None], FIRST):
        driver.send(*call_of(name, request["fields"]))
        assert server.frame() == with_id(frame(request), request_id)
        server.send(with_id(frame(replies[0]), request_id))
        answer = driver.answer()
        head, fields = replies[0]["head"], replies[0]["fields"]
        assert (answer.result, answer.outputs, answer.order) == (OK, head["outputs"], number(head["order"]))
        assert answer.value == (number(fields["value"]) if name == "read" else 0)
        if name == "vector":
            results = [f"{number(r['value'])}/{r['status']}/{r['outputs']}" for r in fields["results"]]
            assert answer.extra.split() == results
        if name in ("enter", "exit"):
            names = ("eisr", "elrsr", "hcr", "misr", "apr", "used")
            assert list(map(int, answer.extra.split())) == [fields.get(n, 0) for n in names] + fields["lrs"]


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_is_read_from_its_vector(driver: Driver, server: FakeServer, name: str) -> None:
    (refusal,) = golden(name, "refusal")
    assert server.welcome(driver).result == OK
    driver.send(*call_of(name, golden(name, "request")[0]["fields"]))
    server.frame()
    server.send(with_id(frame(refusal), FIRST))
    answer = driver.answer()
    assert (answer.result, answer.status) == (REFUSED, refusal["head"]["status"])
    assert answer.field == refusal["fields"].get("field", "")
    assert answer.error.endswith(refusal["fields"].get("text", "if your uid may."))


ABOUTS = ("request", "request with EFFECTS")
RAW = sorted(
    path.stem
    for path in VECTORS.glob("*.json")
    if path.stem not in ("hello", "bye", "wait", "subscribe", "event", "error", "split")
)


@pytest.mark.parametrize("name", RAW)
def test_every_request_of_the_protocol_goes_through_unchanged_and_so_does_its_reply(
    driver: Driver, server: FakeServer, name: str
) -> None:
    assert server.welcome(driver).result == OK
    request_id = FIRST
    for about in ABOUTS:
        for request in golden(name, about):
            (*_, reply) = golden(name, about.replace("request", "reply"))
            driver.send("raw", request["head"]["opcode"], request["head"]["status"], frame(request)[12:].hex())
            assert server.frame() == with_id(frame(request), request_id)
            server.send(with_id(frame(reply), request_id))
            assert driver.answer().extra == frame(reply)[24:].hex()
            request_id += 1


def test_hello_asks_as_its_vector_does_and_welcome_is_read(driver: Driver, server: FakeServer) -> None:
    (hello,), (welcome,) = golden("hello", "request"), golden("hello", "reply")
    driver.send("connect", server.address, hello["fields"]["role"], 0, 0, 0, hello["fields"]["client"])
    server.accept()
    assert server.frame() == with_id(frame(hello), 1)
    server.send(with_id(WELCOME, 1))
    assert driver.answer().result == OK
    said = welcome["fields"]
    assert driver("info").extra.split() == [
        *map(str, (1, said["role"], int(said["explicit"]), said["features"], said["vcpus"], said["spis"], said["lrs"])),
        *(str(said["limits"][limit]) for limit in ("frame", "entries", "wait_ms")),
        *(said["variant"], said["profile"], said["domain"]),
        *(f"{window['name']}:{number(window['base'])}:{number(window['size'])}" for window in said["windows"]),
    ]


def test_events_and_framing_faults_are_read_from_their_vectors(driver: Driver, server: FakeServer) -> None:
    (event,), (fault,) = golden("event", "events"), golden("error", "framing fault")
    assert server.welcome(driver).result == OK
    driver.send("subscribe", 3)
    server.frame()
    server.send(with_id(frame(golden("subscribe", "reply")[0]), FIRST) + frame(event))
    driver.answer()
    names = ("order", "kind", "vcpu", "intid", "address", "value")
    expected = ["/".join(str(number(record[name])) for name in names) for record in event["fields"]["events"]]
    assert driver("events").extra.split() == expected
    server.send(frame(fault))
    answer = driver("poll", -1)
    assert answer.error.endswith(f"the daemon ended the connection: {fault['fields']['text']}")


def test_a_split_upload_and_a_split_reply_are_those_of_their_vectors(driver: Driver, server: FakeServer) -> None:
    upload, reply = golden("split", "upload in frames")[0], golden("split", "reply in frames")[0]
    small = WELCOME[:36] + (77).to_bytes(4, "little") + WELCOME[40:]
    assert server.welcome(driver, small).result == OK
    data = frame(upload)
    parts = []
    while data:
        length = int.from_bytes(data[:4], "little")
        parts.append(data[:length])
        data = data[length:]
    body = b"".join(part[12:] for part in parts)
    driver.send("raw", int(Opcode.RESTORE), 1, body.hex())
    assert [server.frame() for _ in parts] == [with_id(part, FIRST) for part in parts]
    server.send(with_id(frame(golden("restore", "reply with EFFECTS")[0]), FIRST))
    assert driver.answer().result == OK
    driver.send("raw", int(Opcode.DUMP), 0, "00000000")
    server.frame()
    data = frame(reply)
    while data:
        length = int.from_bytes(data[:4], "little")
        server.send(with_id(data[:length], FIRST + 1))
        data = data[length:]
    text = reply["fields"]["value"].encode()
    assert bytes.fromhex(driver.answer().extra)[4:].rstrip(b"\0") == text
