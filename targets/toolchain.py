"""C compilers: zig from PyPI, which holds every target, or the user's own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgernn.errors import InputError, MissingDependencyError
from targets.cores import Core

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")


@dataclass(frozen=True)
class Toolchain:
    """A compiler command and the name under which cores list its flags."""

    command: tuple[str, ...]
    flavour: str

    def flags(self, core: Core) -> tuple[str, ...]:
        """The flags that select a core."""
        return core.zig if self.flavour == "zig" else core.gcc

    def run(self, arguments: Sequence[str]) -> None:
        """Run the compiler; its first error becomes the message."""
        result = subprocess.run([*self.command, *arguments], capture_output=True, text=True)
        if result.returncode:
            lines = [line for line in result.stderr.splitlines() if "error" in line]
            first = lines[0] if lines else result.stderr.strip()[-200:]
            raise InputError(f"{' '.join(self.command)} failed: {first}")


def toolchain(cc: str | None = None) -> Toolchain:
    """The compiler `cc`, or zig.

    Raises:
        MissingDependencyError: it is not installed; the message says what to run.
    """
    if cc is not None and cc != "zig":
        if shutil.which(cc.split()[0]) is None:
            package = "gcc-arm-none-eabi" if cc.startswith("arm-none-eabi-") else cc.split()[0]
            raise MissingDependencyError(
                f"the compiler '{cc}' is not on the PATH; install with: apt-get install {package}"
            )
        return Toolchain(tuple(cc.split()), "gcc")
    found = importlib.util.find_spec("ziglang")
    zig = found and found.origin and shutil.which("zig", path=str(Path(found.origin).parent))
    if not zig:
        raise MissingDependencyError(
            "no C compiler: run `pip install 'edgernn[mcu]'`, or name one with --cc"
        )
    # Zig turns sanitizers on in debug builds; freestanding targets have no runtime for them.
    return Toolchain((zig, "cc", "-fno-sanitize=undefined"), "zig")


def build_shared(
    folder: Path, sources: Sequence[str], core: Core, library: Path, cc: str | None = None
) -> Path:
    """Compile a folder's C files to a shared library for a hosted core."""
    tools = toolchain(cc)
    paths = [str(folder / name) for name in sources]
    tools.run(
        [
            *tools.flags(core),
            *WARNINGS,
            core.optimize,
            "-fPIC",
            "-shared",
            "-s",  # or zig's own helpers bring 700 kB of debug information with them
            *paths,
            "-o",
            str(library),
        ]
    )
    return library


def build_objects(
    folder: Path,
    sources: Sequence[str],
    core: Core,
    cc: str | None = None,
    optimize: str | None = None,
    extra: Sequence[str] = (),
) -> list[Path]:
    """Compile each C file of a folder for a core; returns the object files."""
    tools = toolchain(cc)
    objects = []
    for name in sources:
        target = folder / f"{name}.o"
        common = [*tools.flags(core), *WARNINGS, optimize or core.optimize, "-ffreestanding"]
        sections = ["-ffunction-sections", "-fdata-sections", *extra]
        tools.run([*common, *sections, "-c", str(folder / name), "-o", str(target)])
        objects.append(target)
    return objects


def link(
    objects: Sequence[Path],
    script: Path,
    core: Core,
    output: Path,
    cc: str | None = None,
    keep: Sequence[str] = (),
) -> Path:
    """Link object files by a linker script, with nothing else but what the compiler calls itself.

    `keep` names functions that nothing in the image calls.
    """
    tools = toolchain(cc)
    # gcc makes loops into calls of memset: the C library has it.
    helpers = ["-nostdlib", "-lc", "-lgcc"] if tools.flavour == "gcc" else ["-nostartfiles"]
    tools.run(
        [
            *tools.flags(core),
            *("-static", "-Wl,--gc-sections", f"-Wl,-T,{script}"),
            *(f"-Wl,-u,{name}" for name in keep),
            *map(str, objects),
            *helpers,
            *("-o", str(output)),
        ]
    )
    return output
