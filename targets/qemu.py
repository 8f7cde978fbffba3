"""Whole boards in QEMU: boot the firmware and talk to it over the emulated serial port."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgernn import blob
from edgernn.errors import InputError, MissingDependencyError, StateError
from targets import link
from targets.boards import Board
from targets.compiled import Port
from targets.firmware import Firmware
from targets.native import RESTORE_ERRORS, Array, checked_inputs

COMMAND = "qemu-system-arm"

TIMEOUT = 60.0
"""Seconds without a byte after which the board counts as dead."""


class Machine:
    """A running QEMU whose first serial port is this object."""

    def __init__(
        self, board: Board, elf: bytes, options: Sequence[str] = (), greets: bool = True
    ) -> None:
        """Boot an image of our firmware and, if it `greets`, wait until it says that it is ready.

        Raises:
            MissingDependencyError: QEMU is not installed.
            InputError: QEMU has no such board.
            BoardError: the firmware does not start.
        """
        if shutil.which(COMMAND) is None:
            raise MissingDependencyError(
                f"{COMMAND} is not on the PATH; install with: apt-get install qemu-system-arm"
            )
        if not board.qemu:
            raise InputError(f"QEMU does not emulate the board {board.name}")
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        image, self._log = self.folder / "firmware.elf", self.folder / "log"
        image.write_bytes(elf)
        self._serial, theirs = socket.socketpair()
        self._serial.settimeout(TIMEOUT)
        with theirs, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(COMMAND, "-machine", board.qemu, "-kernel", str(image), *options),
                    *("-nodefaults", "-display", "none", "-monitor", "stdio"),
                    *("-chardev", f"socket,id=serial,fd={theirs.fileno()}"),
                    *("-serial", "chardev:serial"),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._stop = weakref.finalize(self, _end, self._process, self._serial, self._folder)
        if greets:
            link.answer(self, link.READY)
            self.wake()

    def wake(self) -> None:
        """To be called once when the firmware has said something.

        QEMU looks for input to the port only when something wakes it after the firmware has
        switched the receiver on; an empty command to its monitor does.
        """
        self._monitor("")

    def _monitor(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def write(self, data: bytes) -> None:
        """Send bytes to the board."""
        try:
            self._serial.sendall(data)
        except OSError:
            raise self._gone() from None

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes from the board.

        Raises:
            BoardError: QEMU ended, or nothing came for a long time.
        """
        data = b""
        while len(data) < size:
            try:
                part = self._serial.recv(size - len(data))
            except TimeoutError:
                raise link.BoardError(f"the board is silent for {TIMEOUT:.0f} seconds") from None
            except OSError:
                part = b""
            if not part:
                raise self._gone()
            data += part
        return data

    def receive(self, timeout: float) -> bytes:
        """Whatever came from the board; nothing after `timeout` seconds of silence.

        Raises:
            BoardError: QEMU ended.
        """
        self._serial.settimeout(max(timeout, 1e-3))
        try:
            data = self._serial.recv(65_536)
        except TimeoutError:
            return b""
        except OSError:
            data = b""
        finally:
            self._serial.settimeout(TIMEOUT)
        if not data:
            raise self._gone()
        return data

    def _gone(self) -> link.BoardError:
        self._process.kill()
        self._process.wait()
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        faults = [line for line in lines if line.startswith(COMMAND)] or ["no reason given"]
        return link.BoardError(f"QEMU ended: {faults[-1][:200]}")

    def finish(self) -> None:
        """Let QEMU end by itself, so that its logs are whole."""
        self._monitor("quit")
        self._process.wait()

    def close(self) -> None:
        """Switch the board off."""
        self._stop()


def _end(
    process: subprocess.Popen[bytes],
    serial: socket.socket,
    folder: tempfile.TemporaryDirectory[str],
) -> None:
    process.kill()
    process.wait()
    serial.close()
    if process.stdin is not None:
        process.stdin.close()
    folder.cleanup()


class BoardStep:
    """The firmware's stream on an emulated board, on raw integers: the verbs of `NativeStep`."""

    def __init__(self, firmware: Firmware, options: Sequence[str] = ()) -> None:
        self.compiled = firmware.compiled
        self.machine = Machine(firmware.board, firmware.data, options)

    def step(self, *inputs: npt.ArrayLike) -> tuple[Array, ...]:
        """One step on raw values."""
        (x,) = checked_inputs(self.compiled.inputs, inputs)
        (y,) = self.compiled.outputs
        raw = link.ask(self.machine, link.STEP, x.tobytes())
        return (_array(y, raw),)

    def reset(self) -> None:
        """Back to the first state."""
        link.ask(self.machine, link.RESET)

    def save(self) -> bytes:
        """The state as a blob."""
        return link.ask(self.machine, link.SAVE)

    def restore(self, saved: bytes) -> None:
        """Take a saved state back.

        Raises:
            StateError: the blob is damaged or of another model; the state stays as it was.
        """
        if len(saved) != 36 + self.compiled.saved_bytes:
            raise StateError(f"these {len(saved)} bytes are not a saved state of this model")
        (error,) = link.ask(self.machine, link.RESTORE, saved)
        if error:
            raise StateError(RESTORE_ERRORS.get(error, f"restore failed with {error}"))

    def states(self) -> tuple[Array, ...]:
        """Copies of the raw states."""
        compiled = self.compiled
        raw, _ = blob.unpack(self.save(), compiled.model_hash, compiled.saved_bytes, 1, 1)
        states, start = [], 0
        for port in compiled.states:
            states.append(_array(port, raw[start : start + port.bytes]))
            start += port.bytes
        return tuple(states)

    def stack(self) -> int:
        """Bytes of stack used since the board was switched on."""
        return int.from_bytes(link.ask(self.machine, link.STACK), "little")

    def close(self) -> None:
        """Switch the board off."""
        self.machine.close()


def _array(port: Port, raw: bytes) -> Array:
    if len(raw) != port.bytes:
        raise link.BoardError(f"the board sends {len(raw)} bytes of {port.name}, not {port.bytes}")
    return np.frombuffer(raw, port.dtype).reshape(port.shape)


def trace(firmware: Firmware, functions: Iterable[str], frames: Iterable[Array]) -> list[list[int]]:
    """Run some steps; for each, the address of every instruction that it executed.

    Slow, and exact: QEMU executes one instruction at a time and logs those of the named functions.
    """
    symbols = firmware.image.symbols
    spans = [(s.address, s.size) for s in map(symbols.get, functions) if s and s.size]
    inside = ",".join(f"{start:#x}+{size:#x}" for start, size in sorted(spans))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "trace"
        options = ("-singlestep", "-d", "exec,nochain", "-dfilter", inside, "-D", str(log))
        board = BoardStep(firmware, options)
        try:
            for frame in frames:
                board.step(frame)
            board.machine.finish()
        finally:
            board.close()
        addresses = [int(a, 16) for a in _EXECUTED.findall(log.read_text("utf-8", "replace"))]
    return _steps(addresses, symbols[f"{firmware.compiled.name}_step"].address)


_EXECUTED = re.compile(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", re.MULTILINE)


def _steps(addresses: Sequence[int], entry: int) -> list[list[int]]:
    """Cut a log where the step function is entered; what is before the first is start-up."""
    starts = [i for i, address in enumerate(addresses) if address == entry]
    return [list(addresses[a:b]) for a, b in zip(starts, [*starts[1:], None], strict=True)]
