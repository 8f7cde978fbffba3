"""Devices for the tests of this folder."""

from pathlib import Path

import pytest

from tests.targets.pi.devices import device


@pytest.fixture(scope="session")
def roots(request) -> Path:
    """Where Debian roots are kept from one run to the next, inside the project."""
    return Path(request.config.cache.mkdir("debian-roots"))


@pytest.fixture(scope="module")
def amd64(roots, tmp_path_factory):
    """A device that needs no emulation; it has NumPy, a stand-in for pip, and no interpreter."""
    with device("amd64", roots, tmp_path_factory.mktemp("amd64")) as made:
        yield made
