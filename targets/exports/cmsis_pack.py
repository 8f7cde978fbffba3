"""A CMSIS-Pack: which processors its component is for, and the day it was made."""

from __future__ import annotations

import datetime
from typing import Any, Final

from targets.exports.project import Project

_DCORES: Final = {
    "cortex-m0": ("Cortex-M0", "Cortex-M0+"),
    "cortex-m3": ("Cortex-M3",),
    "cortex-m4": ("Cortex-M4",),
    "cortex-m7": ("Cortex-M7",),
    "cortex-m33": ("Cortex-M33",),
    "cortex-m55": ("Cortex-M55",),
}


def more(project: Project) -> tuple[dict[str, Any], dict[str, str]]:
    """The condition of the component."""
    core = project.compiled.core
    names = _DCORES.get(core.name, tuple(name for group in _DCORES.values() for name in group))
    rules = [f'<accept Dcore="{name}"/>' for name in names]
    condition = {"id": "Processor", "title": core.title, "rules": rules}
    return {"condition": condition, "date": datetime.date.today().isoformat()}, {}
