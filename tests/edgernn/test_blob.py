import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgernn.blob import pack, unpack
from edgernn.errors import StateError

HASH, OTHER = "ab" * 32, "cd" * 32
STATES, PENDING = bytes(range(10)), bytes(8)
BLOB = pack(HASH, STATES, PENDING)


def read(blob: bytes, model_hash: str = HASH) -> tuple[bytes, bytes]:
    return unpack(blob, model_hash, states_size=10, frame_size=4, frames_per_step=3)


def test_round_trip_and_layout():
    assert read(BLOB) == (STATES, PENDING)
    assert BLOB[:8] == b"ERNN\x01\0\0\0"
    assert BLOB[8:24] == b"\xab" * 16
    assert len(BLOB) == 32 + 10 + 8 + 4


@pytest.mark.parametrize("bit", range(8 * len(BLOB)))
def test_any_flipped_bit_is_found(bit):
    damaged = bytearray(BLOB)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StateError):
        read(bytes(damaged))


@pytest.mark.parametrize("length", range(len(BLOB)))
def test_any_cut_is_found(length):
    with pytest.raises(StateError):
        read(BLOB[:length])


@given(st.binary(max_size=100))
def test_anything_else_is_refused(junk):
    for blob in (junk, BLOB + junk if junk else b""):
        with pytest.raises(StateError) as error:
            read(blob)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (pack(OTHER, STATES, PENDING), "another model"),
        (pack(HASH, STATES[:-1], PENDING), "do not fit"),
        (pack(HASH, STATES, PENDING[:-1]), "do not fit"),
        (pack(HASH, STATES, bytes(12)), "do not fit"),
        ("text", "not str"),
        (None, "not NoneType"),
    ],
)
def test_the_message_says_what_is_wrong(blob, message):
    with pytest.raises(StateError, match=message):
        read(blob)
