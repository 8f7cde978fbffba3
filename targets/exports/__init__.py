"""A model as a project that the tools of an ecosystem build unmodified.

A format is a folder of templates, whose tree is that of the project (`NAME` in a path is the name
of the model), and a line in `FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.errors import InputError
from edgernn.model import Model
from edgernn.model import load as load_model
from targets.boards import Board, board, check_fits
from targets.cores import core
from targets.emit import render
from targets.exports import cmake, cmsis_pack, platformio, tflm
from targets.exports.folder import replace_folder
from targets.exports.project import Project, project_of
from targets.exports.sizes import Sizes, measure

_TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Format:
    """What a format adds to its templates: `sources` is the folder of the model's C.

    `more` gives values for the templates and further files by path; `library` the files by name, if
    they are not the C of every other format; `board_id` is the field of a board that names it in
    this ecosystem, if boards have such names. `links`: its program can speak the link.
    """

    title: str
    sources: str
    more: Callable[[Project], tuple[dict[str, Any], dict[str, str]]] | None = None
    board_id: str = ""
    library: Callable[[Project], dict[str, str]] | None = None
    links: bool = False


FORMATS: Final = {
    "cmake": Format("CMake project", "model", cmake.more, links=True),
    "arduino": Format("Arduino library", "src", board_id="arduino", links=True),
    "platformio": Format(
        "PlatformIO project", "lib/NAME/src", platformio.more, "platformio", links=True
    ),
    "esp-idf": Format("ESP-IDF project", "components/NAME", board_id="esp_idf"),
    "zephyr": Format("Zephyr module", "src", board_id="zephyr"),
    "cmsis-pack": Format("CMSIS-Pack skeleton", "src", cmsis_pack.more),
    "tflm": Format("TensorFlow Lite Micro project", "model", tflm.more, library=tflm.library),
}


@dataclass(frozen=True)
class Export:
    """What was written: format, folder, its files, those of the user that were kept, and sizes.

    `sizes` is what the model takes of the board, where one was named and its code can be counted.
    """

    kind: str
    folder: Path
    project: Project
    files: tuple[str, ...]
    kept: tuple[str, ...]
    sizes: Sizes | None


def export(
    model: Model | str | os.PathLike[str] | bytes,
    kind: str,
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    board_name: str | None = None,
    target: str | None = None,
    cc: str | None = None,
    linked: bool = False,
) -> Export:
    """Write a project of the format `kind` into a new folder, or over an earlier export.

    If `linked`, its program speaks the link of docs/link.md instead of text. `target` chooses the
    kernels (default: those of the board's core, or portable C). In a folder that was exported to
    before, files that the user changed or added stay as they are.

    Raises:
        InputError: an unknown format, board, core or name; a board that is too small or of another
            ecosystem; a folder that is no export.
        UnsupportedError: the model has not one input and one output, or a part of it has no C.
    """
    if kind not in FORMATS:
        raise InputError(f"there is no format '{kind}'; known are {', '.join(FORMATS)}")
    chosen = FORMATS[kind]
    if linked and not chosen.links:
        known = ", ".join(name for name, made in FORMATS.items() if made.links)
        raise InputError(f"a program of the format {kind} speaks no link; those of {known} do")
    place = None if board_name is None else board(board_name)
    _check_board(kind, chosen, place)
    if place is not None and target not in (None, place.core, "portable"):
        raise InputError(f"the board {place.name} has a {place.core}, not a {target}")
    kernels = target or (place.core if place is not None else "portable")
    if core(kernels).simd:
        raise InputError(f"{kernels} is no microcontroller: use `edgernn compile`")
    loaded = model if isinstance(model, Model) else load_model(model)
    stem = name or (loaded.path.stem if loaded.path else "model")
    is_named = name is not None
    project = project_of(loaded, stem, kernels, place, is_named=is_named, linked=linked)
    sizes = measure(project, cc) if place is not None and chosen.library is None else None
    if sizes is not None and place is not None:
        check_fits(place, sizes.flash, sizes.ram)
    values, files = chosen.more(project) if chosen.more else ({}, {})
    library = chosen.library(project) if chosen.library else project.library
    contents = {f"{chosen.sources}/{file}": text for file, text in library.items()}
    contents |= {**_rendered(kind, project, values, library), **files}
    contents = {path.replace("NAME", project.name): text for path, text in contents.items()}
    facts = {"format": kind, "model": project.key, "speaks": "link" if linked else "text"}
    kept = replace_folder(Path(folder), contents, facts)
    return Export(kind, Path(folder), project, tuple(sorted(contents)), kept, sizes)


def _check_board(kind: str, chosen: Format, place: Board | None) -> None:
    if place is None:
        return
    if chosen.board_id and not getattr(place, chosen.board_id):
        fields = {f.board_id: n for n, f in FORMATS.items() if f.board_id}
        usable = [n for field, n in fields.items() if getattr(place, field)]
        usable += ["cmake"] if place.uart else []
        raise InputError(
            f"the board {place.name} is not one of {kind}; it takes {', '.join(usable)}"
        )
    if kind == "cmake" and not place.uart:
        raise InputError(
            f"the board {place.name} has no start-up code here; take the format arduino or another "
            "one of its own tools"
        )


def _rendered(
    kind: str, project: Project, values: dict[str, Any], library: dict[str, str]
) -> dict[str, str]:
    folder = _TEMPLATES / kind
    given = {**project.values, "sources": sorted(library), **values}
    given["c_files"] = [file for file in given["sources"] if file.endswith((".c", ".cc"))]
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.j2"))]
    texts = {path.removesuffix(".j2"): render(path, folder, **given) for path in paths}
    return {path: text for path, text in texts.items() if text.strip()}
