"""A model onto a Linux device, as a service that was seen to run there."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgernn.errors import DeviceError, InputError
from targets.pi.device_tool import call
from targets.pi.packing import pack
from targets.pi.probe import Device, check_device, probe
from targets.pi.remote import connect
from targets.pi.unit import Limits, unit, unit_name

if TYPE_CHECKING:
    from edgernn.service.settings import Settings

Tell = Callable[[str], None]

_SECONDS: Final = 3600.0
"""For all that the device does; a Raspberry Pi Zero that fetches packages takes many minutes."""
_PACKAGES: Final = 300 << 20
"""Room for what `pip` installs: an interpreter and NumPy take 120 to 200 MB, and their archives."""


@dataclass(frozen=True)
class Deployed:
    """A deployment that went well: the device, the release, its self-test, and how it runs.

    `check` is what `edgernn.service.check` said there, `status` what the running service says.
    """

    device: Device
    release: str
    bundle_bytes: int
    signer: str
    check: Mapping[str, Any]
    status: Mapping[str, Any]


def deploy(
    model_path: str | os.PathLike[str],
    settings: Settings,
    host: str,
    *,
    name: str | None = None,
    native: bool | None = None,
    offline: bool = False,
    key: str | os.PathLike[str] | None = None,
    no_downgrade: bool = False,
    limits: Limits | None = None,
    config: str | os.PathLike[str] | None = None,
    tell: Tell = lambda text: None,
) -> Deployed:
    """Install a model on a device, test it there, and let it run; or leave what ran before.

    `native` compiles the model for the device; None does so if there is a compiler, and the
    device's processor is known. `offline` brings all packages along. `key` signs, and a device that
    trusts no key yet trusts this one from now on, and no unsigned bundle. `config` replaces the
    user's ssh_config. `tell` is called with a line before each step.

    Raises:
        ModelFileError, InputError: the model, the settings, the name or the host are wrong.
        DeviceError: the device cannot be reached or cannot run it, or the release failed its
            self-test or did not come up; the message says why and what runs now.
        MissingDependencyError: a program or package is missing here.
    """
    from edgernn.bundles.manifest import is_name
    from edgernn.bundles.signature import allowed_signer
    from edgernn.model import load

    name = name if name is not None else service_name(model_path)
    if not is_name(name):
        raise InputError(
            f"{name!r} is no service's name: up to 32 of a-z, 0-9 and '-', a letter first"
        )
    model = load(model_path)
    if not model.metadata.front_end:
        raise InputError(
            f"{os.fspath(model_path)}: the model has no front end, so it cannot listen to a "
            "source: give it one with `edgernn configure FILE --front-end FRONT_END.toml`"
        )
    unit(name, settings, limits=limits)  # what is wrong with them is said before anything begins
    signer = "" if key is None else allowed_signer(key).strip()
    if native is None:
        native = _can_compile()
        required = False
    else:
        required = native
    with connect(host, config) as remote, tempfile.TemporaryDirectory() as folder:
        tell(f"asking {host} what it is")
        device = probe(remote, name)
        tell(f"{host}: {device}")
        native = native and (required or device.has_library)
        check_device(device, need=0, native=native, signing=key is not None)
        text = unit(name, settings, groups=device.groups, limits=limits, root=device.root)
        bundle = pack(
            model_path,
            settings,
            output=folder,
            name=name,
            native=native,
            offline=offline,
            key=key,
            machine=device.machine,
            python=device.python,
            glibc=device.glibc,
            present=device.packages,
            more={unit_name(name): text.encode()},
            tell=tell,
        )
        size = bundle.stat().st_size
        need = 6 * size + (0 if offline else _PACKAGES)
        check_device(device, need=need, native=native, signing=key is not None)
        tell(f"sending {size / 1e6:.1f} MB")
        arguments = ["deploy", "--name", name, "--signer", signer]
        arguments += ["--offline"] if offline else []
        arguments += ["--no-downgrade"] if no_downgrade else []
        found = call(remote, arguments, bundle=bundle, tell=tell, seconds=_SECONDS)
    try:
        return Deployed(
            device,
            str(found["release"]),
            size,
            str(found["signer"]),
            dict(found["check"]),
            dict(found["status"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceError(f"{host}: gave an odd answer ({error!r})") from None


def service_name(model_path: str | os.PathLike[str]) -> str:
    """The service's name for a model: that of its file, as far as a name can have it.

    Raises:
        InputError: nothing of it can be a name.
    """
    name = re.sub("[^a-z0-9]+", "-", Path(model_path).stem.lower()).strip("-")
    name = name.lstrip("0123456789-")[:32].rstrip("-")
    if not name:
        raise InputError(f"{os.fspath(model_path)}: gives no name for a service: add --name NAME")
    return name


def _can_compile() -> bool:
    from importlib.util import find_spec

    return find_spec("ziglang") is not None
