"""ESP32 boards: a project built by ESP-IDF, written by esptool."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from targets.boards import Board
from targets.flash import needs_port

TOOL: Final = "esptool.py"
INSTALL: Final = "pip install esptool"
ALSO: Final = {"idf.py": "see https://docs.espressif.com/projects/esp-idf (get-started)"}
TAKES: Final = "esp-idf"


def commands(board: Board, project: Path, port: str | None) -> list[list[str]]:
    """Build the project to one image with bootloader and partitions, and write that."""
    idf = ["idf.py", "-C", str(project), "-D", f"IDF_TARGET={board.esp_idf}"]
    image = project / "build" / "merged-binary.bin"
    chip = ["--chip", board.esp_idf, "--port", needs_port(board, port)]
    return [
        [*idf, "build"],
        [*idf, "merge-bin"],
        [TOOL, *chip, "write_flash", "0x0", str(image)],
    ]
