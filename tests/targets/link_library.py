"""`edgernn_link.c` as a shared library, with what a test needs around it."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from edgernn.link.framing import Message
from targets.cores import core
from targets.toolchain import build_shared

KERNELS = Path(__file__).parents[2] / "targets" / "kernels"
GUARD = 16

DRIVER = """
#include "edgernn_link.h"
int32_t drive_receive(const uint8_t *data, size_t size, uint8_t *buffer, size_t capacity,
                      uint8_t *out, uint32_t counters[2]);
size_t drive_send(uint8_t type, uint16_t sequence, const uint8_t *payload, size_t size,
                  uint8_t *out);

/* Messages as type, sequence, size, payload, one behind the other. */
int32_t drive_receive(const uint8_t *data, size_t size, uint8_t *buffer, size_t capacity,
                      uint8_t *out, uint32_t counters[2]) {
  edgernn_link_receiver_t r;
  edgernn_link_message_t m;
  int32_t n = 0;
  edgernn_link_receiver_init(&r, buffer, capacity);
  for (size_t i = 0; i < size; i++) {
    if (!edgernn_link_receive(&r, data[i], &m)) {
      continue;
    }
    out[n++] = m.type;
    out[n++] = (uint8_t)(m.sequence & 0xFFu);
    out[n++] = (uint8_t)(m.sequence >> 8);
    for (int k = 0; k < 4; k++) {
      out[n++] = (uint8_t)(m.size >> (8 * k));
    }
    for (size_t k = 0; k < m.size; k++) {
      out[n++] = m.payload[k];
    }
  }
  counters[0] = r.damaged;
  counters[1] = r.foreign;
  return n;
}

size_t drive_send(uint8_t type, uint16_t sequence, const uint8_t *payload, size_t size,
                  uint8_t *out) {
  const edgernn_link_message_t m = {payload, size, sequence, type};
  edgernn_link_sender_t s;
  size_t n = 0, length;
  edgernn_link_begin(&s, &m);
  while ((length = edgernn_link_next(&s, out + n)) != 0) {
    n += length;
  }
  return n;
}
"""


class LinkLibrary:
    """Both directions in C, with guards around every buffer."""

    def __init__(self, folder: Path, largest: int = 300) -> None:
        for name in ("edgernn_link.c", "edgernn_link.h"):
            (folder / name).write_text((KERNELS / name).read_text())
        (folder / "driver.c").write_text(DRIVER)
        sources = ["edgernn_link.c", "driver.c"]
        built = build_shared(folder, sources, core("host"), folder / "link.so")
        self._library = ctypes.CDLL(str(built))
        self._library.drive_send.restype = ctypes.c_size_t
        self.largest = largest
        self._buffer = np.empty(largest + 8 + 2 * GUARD, np.uint8)
        self._out = np.empty(1 << 20, np.uint8)
        self._counters = (ctypes.c_uint32 * 2)()
        self._inside = ctypes.c_void_p(self._buffer.ctypes.data + GUARD)
        self._place = ctypes.c_void_p(self._out.ctypes.data)

    def receive(self, data: bytes) -> tuple[list[Message], int, int]:
        """The messages in these bytes, and how many frames were damaged and foreign."""
        self._buffer[:GUARD] = self._buffer[-GUARD:] = 0xA5
        size = self._library.drive_receive(
            data, ctypes.c_size_t(len(data)), self._inside, ctypes.c_size_t(self.largest + 8),
            self._place, self._counters,
        )  # fmt: skip
        assert (self._buffer[:GUARD] == 0xA5).all()
        assert (self._buffer[-GUARD:] == 0xA5).all()
        raw, at, messages = self._out[:size].tobytes(), 0, []
        while at < size:
            length = int.from_bytes(raw[at + 3 : at + 7], "little")
            sequence = int.from_bytes(raw[at + 1 : at + 3], "little")
            messages.append(Message(raw[at], sequence, raw[at + 7 : at + 7 + length]))
            at += 7 + length
        return messages, self._counters[0], self._counters[1]

    def send(self, message: Message) -> bytes:
        """The frame of a message."""
        kind, sequence, payload = message
        size = self._library.drive_send(
            kind, sequence, payload, ctypes.c_size_t(len(payload)), self._place
        )
        return self._out[:size].tobytes()
