"""ESP32 boards: a project built by ESP-IDF, written by esptool."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board
from targets.flash import needs_port

TOOL: Final = "esptool.py"
INSTALL: Final = "pip install esptool"
BUILDS_WITH: Final = {"idf.py": "see https://docs.espressif.com/projects/esp-idf (get-started)"}
TAKES: Final = "esp-idf"


def build(board: Board, project: Path) -> list[list[str]]:
    """Build the project to one image with bootloader and partitions."""
    idf = ["idf.py", "-C", str(project), "-D", f"IDF_TARGET={board.esp_idf}"]
    return [[*idf, "build"], [*idf, "merge-bin"]]


def image(board: Board, project: Path) -> Path:
    """The ELF file that was built."""
    return next((project / "build").glob("*.elf"), project / "build" / "project.elf")


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Write the image that was built."""
    chip = ["--chip", board.esp_idf, "--port", needs_port(board, port)]
    merged = project / "build" / "merged-binary.bin"
    return [[TOOL, *chip, "write_flash", "0x0", str(merged)]]
