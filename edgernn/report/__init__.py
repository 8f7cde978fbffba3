"""Reports: a page that says how good a model will be on the device, and what it costs.

`sections.py` lists the sections, `plots/` has one module each; `document.py` says what an
evaluation must look like. Needs matplotlib and Jinja2 (`edgernn[report]`), imported when drawing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgernn.report.document import checked
from edgernn.report.figures import draw
from edgernn.report.folder import FACTS, check_place, replace_folder
from edgernn.report.headline import headline
from edgernn.report.page import page
from edgernn.report.section import Material, Section
from edgernn.report.sections import sections

PAGE = "index.html"
FORMAT = 1


def write_report(
    folder: str | os.PathLike[str],
    document: dict[str, Any],
    *,
    profile: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a page, its plots as PNG and SVG, and `report.json` with all numbers; gives the page.

    Args:
        folder: is made; a report that is there already is replaced, anything else is not.
        document: of an evaluation, as `edgernn evaluate` writes it.
        profile: of the model, as `edgernn profile --json` writes it.
        training: as `edgernn train` writes it.
        progress: called with the number of plots drawn and the number there are.

    Raises:
        InputError: a document has not the form, or the folder holds something else.
        MissingDependencyError: matplotlib or Jinja2 is not installed.
    """
    folder = Path(folder)
    material = checked(document, profile, training)
    check_place(folder.resolve())
    parts, sentence = sections(material), headline(material)
    plots = [plot for part in parts for plot in part.plots]
    drawn = {}
    for done, plot in enumerate(plots, start=1):
        drawn[plot.name] = draw(plot)
        if progress is not None:
            progress(done, len(plots))
    files = {PAGE: page(material, sentence, parts, drawn).encode()}
    for name, one in drawn.items():
        files |= {f"{name}.png": one.png, f"{name}.svg": one.svg}
    facts = _facts(material, sentence, parts, [*files, FACTS])
    files[FACTS] = json.dumps(facts, indent=1, allow_nan=False).encode()
    replace_folder(folder, files)
    return folder / PAGE


def _facts(
    material: Material, sentence: str, parts: list[Section], files: list[str]
) -> dict[str, Any]:
    """All that is on the page, and the documents that it was made from."""
    return {
        "format": FORMAT,
        "headline": sentence,
        "sections": [
            {
                "key": part.key,
                "title": part.title,
                "note": part.note,
                "plots": [
                    {"name": plot.name, "caption": plot.caption, "alt": plot.alt}
                    for plot in part.plots
                ],
                "tables": [
                    {"caption": table.caption, "columns": table.columns, "rows": table.rows}
                    for table in part.tables
                ],
            }
            for part in parts
        ],
        "evaluation": material.evaluation,
        "profile": material.profile,
        "training": material.training,
        "files": files,
    }
