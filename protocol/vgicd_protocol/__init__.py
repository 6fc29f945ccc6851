"""The wire protocol of vgicd: frames, messages, errors, and helpers that do no I/O.

SPEC.md beside this package describes the protocol; its tables are generated from the declarations here.

    frames    HEAD, HOT, HOT_REPLY and their codecs; Opcode, Space, Plane, Role; flags and limits; hot_fault
    messages  MESSAGES, the catalogue by opcode; parse_request, build_request, parse_reply, build_reply; roles
    framing   FrameReader, UploadJoiner, ReplyJoiner; request, hot_request, reply, error_reply, event_frames
    session   Hello, Welcome, Limits, Window, Feature      image     StateImage, Geometry
    vector    ENTRY_CODEC, RESULT_CODEC, entry_fault       events    Event, EventKind, pack_events
    effects   Effect, append_trailer, unpack_trailer       errors    Status, sentence, WireError, FramingFault

A client, cold path (any message):

    body = messages.build_request(Opcode.IRQ_INFO, {"intid": 40, "vcpu": NO_VCPU})
    send(framing.request(Opcode.IRQ_INFO, request_id, body))
    for frame in reader.feed(received):                      # reader = FrameReader(smallest=REPLY_HEAD_SIZE)
        whole = joiner.add(framing.reply_of(frame))          # joiner = ReplyJoiner(); None until the last MORE
        if whole and whole.status in (Status.OK, Status.ABORT):
            fields = messages.parse_reply(whole.opcode, whole.body, with_effects=asked_for_them)

A client, hot path: `framing.hot_request(Opcode.READ, id, vcpu, 4, Space.GICD, 0x004)` is 32 bytes, and
`frames.HOT_REPLY_CODEC.unpack_from(data)` is (length, version, opcode, status, request_id, outputs, flags, order,
value).

A server, hot path, for each frame of 32 bytes with opcode READ, WRITE or LINE:

    _, version, opcode, status, request_id, vcpu, size, space, address, value = HOT_CODEC.unpack_from(view, at)
    if code := hot_fault(version, opcode, status, size, space, value): ...      # VERSION: close; else answer `code`
    if role < access_role(opcode, space): ...                                   # DENIED; READ_ROLE[space] is faster
    HOT_REPLY_CODEC.pack_into(out, at, 32, 1, opcode | REPLY_BIT, status, request_id, outputs, 0, order, value)

A server, cold path: `fields = messages.parse_request(frame.opcode, frame.body)` raises `WireError`, for which
`framing.error_reply` makes the answer; otherwise `Operation(**fields)` is the domain's record and
`framing.reply(opcode, id, outputs, order, framing.reply_body(opcode, result.value, effects_or_None))` the answer.
`message.flags` are the request flags that a message may carry (others: RESERVED_BITS), `request_role` its role.
"""
