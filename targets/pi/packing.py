"""A model, its settings and all they need as one bundle for one device."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgernn.bundles.archive import describe, write_bundle
from edgernn.bundles.manifest import MACHINES, MODEL, SETTINGS, WHEELS, Manifest, is_name, now
from edgernn.bundles.signature import sign
from edgernn.errors import InputError
from edgernn.files import read_file
from targets.pi.own_wheel import own_metadata, own_wheel

if TYPE_CHECKING:
    from edgernn.model import Model
    from edgernn.service.settings import Settings

_CORES: Final = {
    "aarch64": "raspberry-pi-64",
    "armv7l": "raspberry-pi-32",
    "x86_64": "linux-x86-64",
}
_SYMBOL: Final = re.compile(rb"GLIBC_(2\.\d+)\0")


def pack(
    model_path: str | os.PathLike[str],
    settings: Settings,
    *,
    output: str | os.PathLike[str],
    name: str,
    native: bool = False,
    offline: bool = False,
    key: str | os.PathLike[str] | None = None,
    machine: str = "",
    python: str = "",
    glibc: str = "",
    present: Mapping[str, str] | None = None,
    more: Mapping[str, bytes] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """Make the bundle of a release in the folder `output`; returns its path.

    It holds `model.tflite`, `run.toml` (the `settings`), `wheels/` with edgernn's own wheel, and
    the files `more` by path (the unit). With `native`, the model's library for `machine`
    (`aarch64`, `armv7l` or `x86_64`); with `offline`, the wheels of all that edgernn and the
    settings need for `machine`, `python` (`3.11`) and `glibc` (`2.36`), but for packages in
    `present` (name: version), which the device has and the release may use. `key` signs it.
    `tell` is called with a line before each step that takes long.

    Raises:
        ModelFileError: the model is none.
        InputError: an option is wrong, or a wheel for the device is not to be had.
        MissingDependencyError: there is no compiler, or no `pip`.
    """
    from edgernn.model import load

    if not is_name(name):
        raise InputError(
            f"{name!r} cannot be a service's name: a small letter first, then up to 31 small "
            "letters, digits and -"
        )
    if (native or offline) and (not machine or machine not in MACHINES):
        known = ", ".join(MACHINES[1:])
        raise InputError(
            f"there are no libraries or wheels for {machine or 'any machine'}: {known}"
        )
    if offline and not (python and glibc):
        raise InputError("wheels are for one Python and one glibc: name both")
    if settings.model != MODEL:
        raise InputError(f"the settings name {settings.model}: in a bundle the model is {MODEL}")
    model = load(model_path)
    extras = extras_for(settings, model)
    wheel_name, wheel = own_wheel()
    files = {
        MODEL: read_file(model_path),
        SETTINGS: settings.to_toml().encode(),
        f"{WHEELS}/{wheel_name}": wheel,
        **(more or {}),
    }
    glibcs = []
    if native:
        tell(f"compiling the model for {machine}")
        libraries = _libraries(model, machine, name)
        glibcs += [_least_glibc(data) for data in libraries.values()]
        files |= libraries
    if offline:
        from targets.pi.dependencies import Place, least_glibc, wheels

        tell(f"fetching wheels for Python {python} on {machine}")
        found = wheels(Place(machine, python, glibc), extras, present)
        glibcs.append(least_glibc(found))
        files |= {f"{WHEELS}/{file}": data for file, data in found.items()}
    manifest = Manifest(
        name=name,
        created=now(),
        version=own_metadata().version,
        files=tuple(describe(path, files[path]) for path in sorted(files)),
        backend=settings.backend,
        machine=machine if native or offline else "",
        glibc=max(glibcs, key=_minor, default=""),
        python=python if offline else "",
        extras=extras,
    )
    signature = sign(manifest.document, key) if key is not None else b""
    path = Path(output) / f"{name}-{manifest.release}.tar"
    write_bundle(path, manifest, files, signature)
    return path


def extras_for(settings: Settings, model: Model) -> tuple[str, ...]:
    """The extras of edgernn, sorted, that a service with these settings needs."""
    source = settings.input.partition(":")[0]
    needed = {
        "audio": source == "microphone" or settings.input.lower().endswith((".flac", ".ogg")),
        "micro": model.metadata.front_end.get("kind") == "micro",
        "mqtt": any(url.startswith(("mqtt:", "mqtts:")) for url in settings.publish),
        "serial": source == "serial",
    }
    return tuple(extra for extra, wanted in needed.items() if wanted)


def _libraries(model: Model, machine: str, name: str) -> dict[str, bytes]:
    """The model's shared libraries for a machine, by file name."""
    from targets.compile import compile_model
    from targets.lowering.base import identifier
    from targets.native import build_library, build_pass_libraries

    core, prefix = _CORES[machine], identifier(name)
    with tempfile.TemporaryDirectory() as folder:
        if model.metadata.passes is not None:
            built = build_pass_libraries(model, core, folder, prefix)
        else:
            compiled = compile_model(model.data, core, name=prefix, pipeline=False)
            built = [build_library(compiled, folder)]
        return {path.name: path.read_bytes() for path in built}


def _least_glibc(library: bytes) -> str:
    """The newest version of glibc that a library names, which it needs at least."""
    return max((found.decode() for found in _SYMBOL.findall(library)), key=_minor, default="")


def _minor(version: str) -> int:
    return int(version.partition(".")[2] or 0)
