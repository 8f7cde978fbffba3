"""Figures in one style, as PNG and SVG, and as SVG that follows the reader's light or dark page.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; plots tell lines apart
by dashes and markers as well. matplotlib is imported when the first figure is drawn.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edgernn.errors import MissingDependencyError
from edgernn.report.section import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK: Final = "#14181f"
SOFT: Final = "#5a6472"
GRID: Final = "#dfe3e8"
BLUE: Final = "#0072b2"
RED: Final = "#d55e00"
GREEN: Final = "#009e73"
PINK: Final = "#b6548c"
ORANGE: Final = "#c98a00"
SKY: Final = "#3d9bd1"
SERIES: Final = (BLUE, RED, GREEN, PINK, ORANGE, SKY)
DASHES: Final = ("-", "--", "-.", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)))
MARKERS: Final = ("o", "s", "^", "D", "v", "P")

_DARK: Final = {
    INK: "#eef2f7",
    SOFT: "#a3afbd",
    GRID: "#343d49",
    BLUE: "#5aa9ff",
    RED: "#ff8f52",
    GREEN: "#3fcf9e",
    PINK: "#e58fc0",
    ORANGE: "#f0b93a",
    SKY: "#8ad4ff",
}
"""What a colour is on a dark page."""

_STYLE: Final = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "text.parse_math": False,  # labels are the user's: a dollar sign is a dollar sign
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",  # text stays text: it can be searched, and scripts of all kinds show
    "figure.dpi": 100,
}

_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Drawn(NamedTuple):
    """A plot's files, and what the page shows in their place: wide, and narrow for phones."""

    png: bytes
    svg: bytes
    wide: str
    narrow: str


def draw(plot: Plot) -> Drawn:
    """Draw a plot at both of its sizes.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with style(plot.name), warnings.catch_warnings():
        # A font without a script's letters still gives a readable SVG.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = _figure(plot, plot.size)
        png, svg = io.BytesIO(), _svg(figure)
        figure.savefig(png, format="png", dpi=150, facecolor="white", metadata={"Software": None})
        narrow = _svg(_figure(plot, plot.narrow))
    return Drawn(png.getvalue(), svg.encode(), data_uri(adaptive(svg)), data_uri(adaptive(narrow)))


def style(salt: str) -> AbstractContextManager[None]:
    """The style of all figures, in a `with`; `salt` makes the names inside of SVGs repeatable."""
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingDependencyError(
            'a report needs matplotlib: run `pip install "edgernn[report]"`'
        ) from None
    settings: Any = {**_STYLE, "svg.hashsalt": salt}
    return rc_context(settings)


def adaptive(svg: str) -> str:
    """An SVG whose colours change with the page's: those of the style become CSS variables."""
    light = "".join(f"--{name[1:]}:{name};" for name in _DARK)
    dark = "".join(f"--{name[1:]}:{value};" for name, value in _DARK.items())
    rules = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    colours = re.compile("|".join(_DARK))

    def change(attribute: re.Match[str]) -> str:
        return colours.sub(lambda colour: f"var(--{colour[0][1:]})", attribute[0])

    # Text without a colour of its own is black.
    rules += f"text{{fill:var(--{INK[1:]})}}"
    svg = re.sub(r'style="[^"]*"', change, svg)
    return re.sub(r"(<svg[^>]*>)", lambda tag: f"{tag[0]}<style>{rules}</style>", svg, count=1)


def data_uri(svg: str) -> str:
    """An SVG as an address that holds all of it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _figure(plot: Plot, size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    plot.draw(figure)
    return figure


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=_METADATA)
    text = file.getvalue()
    return text[text.index("<svg") :]  # without the DOCTYPE, which names an address
