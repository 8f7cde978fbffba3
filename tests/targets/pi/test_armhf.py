"""A 32-bit Raspberry Pi OS, as far as a Debian armhf root and an emulated processor show."""

import pytest

from tests.targets.pi.cycle import whole_cycle
from tests.targets.pi.devices import device


@pytest.mark.slow
def test_the_whole_cycle(roots, tmp_path):
    with device("armhf", roots, tmp_path) as made:
        whole_cycle(made, tmp_path, "armv7l", "tflite-runtime")
