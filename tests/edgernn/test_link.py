"""The link's frames and messages; the C beside them is in tests/targets/test_link.py."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.link import framing, messages
from edgernn.link.framing import Message, Receiver, encode
from edgernn.link.messages import Hello, LinkError, Type, Values, parse, parse_hello

HELLO = Hello(
    model="ab" * 16, name="motion", board="netduinoplus2", core="cortex-m4",
    frame=Values("int8", 6, 0.5, -3), prediction=Values("int8", 4, 1 / 256, -128),
    payload=256, ticks=168_000_000, golden=8, labels=("still", "walk"), frame_rate=25.0,
)  # fmt: skip


def test_a_frame_byte_by_byte():
    body = bytes((1, 2)) + struct.pack("<H", 0x0304) + b"\x05\0\x06"
    whole = body + struct.pack("<I", zlib.crc32(body))
    assert 0 not in whole[6:]
    expected = b"\0" + bytes([6]) + whole[:5] + bytes([len(whole) - 5]) + whole[6:] + b"\0"
    assert encode(Message(2, 0x0304, b"\x05\0\x06")) == expected


@pytest.mark.parametrize("size", [245, 246, 247, 254, 255, 500, 508, 600])
def test_long_payloads_without_a_zero(size):
    message = Message(1, 0x0101, b"\x07" * size)
    frame = encode(message)
    assert frame[1] == 0xFF or size < 247
    assert Receiver().feed(frame) == [message]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=600)), max_size=5),
    st.lists(st.integers(0, 2000)),
)
def test_frames_behind_any_garbage_arrive_however_they_are_cut(parts, cuts):
    # Garbage without a delimiter damages nothing: the frame's own zero ends it.
    sent = [Message(7, i, payload) for i, (_, payload) in enumerate(parts)]
    noise = [garbage.replace(b"\0", b"") for garbage, _ in parts]
    line = b"".join(g + encode(m) for g, m in zip(noise, sent, strict=True))
    receiver, got, start = Receiver(), [], 0
    for end in sorted({min(c, len(line)) for c in cuts} | {len(line)}):
        got += receiver.feed(line[start:end])
        start = end
    assert got == sent
    assert receiver.damaged == sum(map(bool, noise))


def test_every_changed_byte_and_every_cut_is_noticed():
    frame = encode(Message(4, 9, bytes(range(70))))
    for place in range(1, len(frame) - 1):
        for mask in (1, 0x80, 0xFF, frame[place]):
            changed = frame[:place] + bytes((frame[place] ^ mask,)) + frame[place + 1 :]
            receiver = Receiver()
            assert receiver.feed(changed) == []
            assert receiver.damaged
        receiver = Receiver()
        assert receiver.feed(frame[:place] + b"\0") == []
        assert receiver.damaged == (place > 1)


def test_another_version_is_told_apart():
    body = bytes((2, 1, 0, 0))
    receiver = Receiver()
    assert (
        receiver.feed(b"\0" + framing._stuffed(body + struct.pack("<I", zlib.crc32(body))) + b"\0")
        == []
    )
    assert (receiver.damaged, receiver.foreign) == (0, 1)


def test_memory_is_bounded_where_no_frame_ends():
    receiver = Receiver(100)
    for _ in range(100):
        assert receiver.feed(b"\x01" * 1000) == []
    assert len(receiver._pending) < 200
    assert receiver.feed(encode(Message(1, 1, b"a"))) == [Message(1, 1, b"a")]
    assert receiver.damaged == 1


def test_hello_survives_the_line():
    assert parse_hello(HELLO.to_json()) == HELLO
    assert HELLO.label(1) == "walk"
    assert HELLO.label(7) == "7"
    raw = HELLO.prediction.parse(bytes([0x80, 0, 1, 0x7F]))
    np.testing.assert_array_equal(HELLO.prediction.real(raw), [[0, 0.5, 129 / 256, 255 / 256]])


@pytest.mark.parametrize(
    "change",
    [
        {"model": 3}, {"ticks": -1}, {"ticks": True}, {"frame": None}, {"labels": "abc"},
        {"prediction": {"dtype": "O", "size": 1, "scale": 1, "zero_point": 0}},
        {"frame": {"dtype": "int8", "size": 0, "scale": 1, "zero_point": 0}},
        {"rate": float("1e999")}, {"sensor": "yes"},
    ],
)  # fmt: skip
def test_a_wrong_hello_is_an_error(change):
    import json

    document = {**json.loads(HELLO.to_json()), **change}
    with pytest.raises(LinkError, match="introduces itself wrongly"):
        parse_hello(json.dumps(document).encode())


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=60))
def test_any_payload_is_a_content_or_an_error(kind, payload):
    with contextlib.suppress(LinkError):
        parse(kind, payload)


def test_contents():
    load = parse(Type.STATUS, struct.pack("<3IQ5I", 1, 2, 3, 4 << 32, 5, 6, 7, 8, 9))
    assert load == messages.Load(1, 2, 3, 4 << 32, 5, 6, 7, 8, 9)
    assert parse(Type.BOOT, struct.pack("<5I", 8, 0, 0, 10, 70)).passed
    assert not parse(Type.BOOT, struct.pack("<5I", 8, 1, 3, 10, 70)).passed
    assert not parse(Type.BOOT, bytes(20)).passed
    event = parse(Type.EVENT, struct.pack("<iiqqi", 1, 16384, -5, 7, 1))
    assert event == messages.DeviceEvent(1, 16384, -5, 7, 1)
    assert parse(Type.SCORES, struct.pack("<Iq", 3, 99) + b"ab") == messages.Scores(3, 99, b"ab")
    assert parse(Type.ERROR, b"\x02") == 2
