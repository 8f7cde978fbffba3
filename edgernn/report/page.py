"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgernn.errors import MissingDependencyError
from edgernn.report.figures import Drawn
from edgernn.report.section import Material, Section


def page(
    material: Material, headline: str, sections: Sequence[Section], drawn: Mapping[str, Drawn]
) -> str:
    """HTML of the sections; `drawn` has each plot's pictures by its name. All text is escaped.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise MissingDependencyError(
            'a report needs Jinja2: run `pip install "edgernn[report]"`'
        ) from None
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=material.evaluation.get("model") or "Evaluation",
        data=material.evaluation.get("data") or "",
        headline=headline,
        sections=sections,
        drawn=drawn,
        sizes={plot.name: _pixels(plot.size) for s in sections for plot in s.plots},
    )


def _pixels(inches: tuple[float, float]) -> tuple[int, int]:
    width, height = inches
    return round(96 * width), round(96 * height)
