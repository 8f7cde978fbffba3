"""The protocol's C against its Python, on any bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.link import framing
from edgernn.link.framing import Message
from targets.cores import core
from targets.toolchain import build_objects
from tests.targets.link_library import KERNELS, LinkLibrary

# Zeros and long runs without one are what COBS is about.
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from([b"\0", b"\1", b"\xff", b"\2" * 126, b"\3" * 254]), max_size=6)
    .map(b"".join)
    .map(lambda raw: raw[:300]),
)
MESSAGES = st.builds(Message, st.integers(0, 255), st.integers(0, 65535), PAYLOADS)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return LinkLibrary(tmp_path_factory.mktemp("link"))


@settings(deadline=None)
@given(MESSAGES)
def test_frames_are_the_same_from_both_ends(library, message):
    frame = framing.encode(message)
    assert library.send(message) == frame
    assert frame[0] == frame[-1] == 0
    assert 0 not in frame[1:-1]
    assert library.receive(frame) == ([message], 0, 0)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            MESSAGES.map(framing.encode),
            st.binary(max_size=30),
            st.just(b"\x05" * 400),
            st.tuples(MESSAGES, st.integers(0), st.integers(1, 255)).map(
                lambda t: flipped(framing.encode(t[0]), t[1], t[2])
            ),
        ),
        max_size=6,
    ).map(b"".join)
)
def test_both_ends_find_the_same_in_any_bytes(library, data):
    receiver = framing.Receiver(library.largest)
    messages = receiver.feed(data)
    assert library.receive(data) == (messages, receiver.damaged, receiver.foreign)


def flipped(frame, place, mask):
    changed = bytearray(frame)
    changed[place % len(frame)] ^= mask
    return bytes(changed)


@pytest.mark.parametrize("size", [299, 300, 301])
def test_a_payload_that_is_too_long_is_dropped(library, size):
    frame = framing.encode(Message(3, 1, b"x" * size))
    messages, damaged, _ = library.receive(frame)
    assert (len(messages), damaged) == ((1, 0) if size <= 300 else (0, 1))


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4"])
def test_the_c_is_freestanding_and_without_warnings(tmp_path, name):
    for file in ("edgernn_link.c", "edgernn_link.h"):
        (tmp_path / file).write_text((KERNELS / file).read_text())
    (built,) = build_objects(tmp_path, ["edgernn_link.c"], core(name))
    assert built.stat().st_size
