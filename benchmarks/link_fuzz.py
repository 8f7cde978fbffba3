"""The link's protocol on any bytes: both ends, C and Python, must find the same, and end.

Cases are frames, damaged frames, cut frames, frames behind garbage, and garbage alone. Before
them a line on which 1 % of the bytes are corrupted: every damaged frame must be noticed, none
misread, and every frame that was not touched received.

    python benchmarks/link_fuzz.py [--cases 1000000] [--frames 10000] [--seed 0]
"""

from __future__ import annotations

import argparse
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from edgernn.link.framing import Message, Receiver, encode
from edgernn.link.messages import LinkError, parse
from tests.targets.link_library import LinkLibrary

SECONDS = 10


def payload(random: Random) -> bytes:
    """Up to 320 bytes: 20 more than the receivers take."""
    size = random.choice((0, 1, 20, 60, 250, 254, 255, 300, 301, random.randrange(321)))
    kind = random.random()
    if kind < 0.3:
        return bytes(size)
    if kind < 0.6:
        return bytes((random.randrange(1, 256),)) * size
    return random.randbytes(size)


def frame(random: Random) -> bytes:
    kind = random.choice((*range(1, 9), *range(0x40, 0x46), *range(0x81, 0x89), 0xFF))
    return encode(Message(kind, random.randrange(65536), payload(random)))


def foreign(random: Random) -> bytes:
    """A whole frame of another version, made of one that fits into a single COBS block or two."""
    body = bytes((random.randrange(2, 256), 1, 2, 3)) + random.randbytes(8).replace(b"\0", b"\1")
    body += struct.pack("<I", zlib.crc32(body))
    parts = body.split(b"\0")
    return b"\0" + b"".join(bytes((len(part) + 1,)) + part for part in parts) + b"\0"


def changed(random: Random) -> bytes:
    data = bytearray(frame(random))
    for _ in range(random.choice((1, 1, 2, 5))):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def cut(random: Random) -> bytes:
    data = frame(random)
    return data[random.randrange(len(data)) : random.randrange(len(data)) + 1]


def garbage(random: Random) -> bytes:
    return random.randbytes(random.randrange(60))


def cases(random: Random) -> bytes:
    kinds: tuple[Callable[[Random], bytes], ...] = (frame, changed, cut, garbage, foreign)
    return b"".join(random.choice(kinds)(random) for _ in range(random.choice((1, 1, 2, 4))))


def fuzz(library: LinkLibrary, count: int, seed: int) -> Counter[str]:
    random, found = Random(seed), Counter[str]()
    for number in track(range(count), "inputs"):
        signal.alarm(SECONDS)
        data = cases(random)
        receiver = Receiver(library.largest)
        at = random.randrange(len(data) + 1)
        messages = receiver.feed(data[:at]) + receiver.feed(data[at:])
        if library.receive(data) != (messages, receiver.damaged, receiver.foreign):
            sys.exit(f"input {number}: the ends differ on {data.hex()}")
        for message in messages:
            try:
                parse(message.type, message.payload)
                found["understood"] += 1
            except LinkError:
                found["refused by its content"] += 1
        if messages and library.send(messages[0]) != encode(messages[0]):
            sys.exit(f"input {number}: the ends send different frames for {messages[0]}")
        found["damaged"] += receiver.damaged
        found["foreign"] += receiver.foreign
    signal.alarm(0)
    return found


def noisy_line(library: LinkLibrary, count: int, seed: int) -> dict[str, int]:
    random = Random(seed)
    sent, line, touched = [], bytearray(), []
    for sequence in range(count):
        message = Message(3, sequence % 65536, random.randbytes(random.randrange(200)))
        start = len(line)
        line += encode(message)
        bytes_hit = 0
        for at in range(start, len(line)):
            if random.random() < 0.01:
                line[at] ^= random.randrange(1, 256)
                bytes_hit += 1
        sent.append(message)
        touched.append(bytes_hit)
    receiver = Receiver(library.largest)
    got = receiver.feed(bytes(line))
    in_c, damaged, _ = library.receive(bytes(line))
    known, received = {(m.sequence, m.payload): i for i, m in enumerate(sent)}, set()
    misread = 0
    for message in got:
        index = known.get((message.sequence, message.payload))
        misread += index is None or message.type != 3
        received.add(index)
    whole = [i for i, hits in enumerate(touched) if not hits]
    return {
        "frames": count,
        "bytes": len(line),
        "frames with a changed byte": count - len(whole),
        "received": len(got),
        "misread": misread,
        "untouched frames lost": sum(i not in received for i in whole),
        "damaged frames received": sum(i in received for i in range(count) if touched[i]),
        "damaged pieces dropped": receiver.damaged,
        "C and Python differ": int(in_c != got or damaged != receiver.damaged),
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        library = LinkLibrary(Path(folder))
        noisy = noisy_line(library, options.frames, options.seed)
        print("1 % of bytes corrupted: " + ", ".join(f"{k} {v:,}" for k, v in noisy.items()))
        found = fuzz(library, options.cases, options.seed)
    told = ", ".join(f"{name} {n:,}" for name, n in sorted(found.items()))
    print(f"{options.cases:,} inputs on both ends: no crash, no hang, no difference ({told})")
    print(f"{time.monotonic() - start:.0f} s")
    wrong = ("misread", "untouched frames lost", "damaged frames received", "C and Python differ")
    return int(any(noisy[name] for name in wrong))


if __name__ == "__main__":
    sys.exit(main())
