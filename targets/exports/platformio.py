"""A PlatformIO project: an environment for each board that the kernels fit."""

from __future__ import annotations

from typing import Any

from targets.boards import boards
from targets.exports.project import Project


def more(project: Project) -> tuple[dict[str, Any], dict[str, str]]:
    """The boards of `platformio.ini`."""
    core = project.compiled.core
    fits = [b for b in boards().values() if b.platformio and (core.hosted or b.core == core.name)]
    return {"boards": [project.board] if project.board else fits}, {}
