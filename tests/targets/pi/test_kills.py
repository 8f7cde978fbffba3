"""Deployments that are killed: the device always has one whole release, which runs after a boot.

Each point is a random moment behind one of the steps that the device tells of. Either this side is
killed (`line`), or everything that runs on the device as well (`power`), the service too.
"""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgernn.bundles.archive import check_release, contents, describe, read_bundle, write_bundle
from edgernn.bundles.manifest import SETTINGS as SETTINGS_FILE
from edgernn.bundles.manifest import Manifest
from targets.pi.deploying import deploy
from targets.pi.device_tool import call
from targets.pi.packing import pack
from targets.pi.remote import connect
from targets.pi.unit import unit, unit_name
from tests.targets.pi.devices import SETTINGS, model_file

POINTS = int(os.environ.get("EDGERNN_KILL_POINTS", "20"))
STEPS = 6
"""Before the first word, and behind each step that is told of."""

DEPLOY = """
import sys
from pathlib import Path
from targets.pi.device_tool import call
from targets.pi.remote import connect
with connect("pi", sys.argv[1]) as remote:
    print("connected", flush=True)
    call(remote, ["deploy", "--name", "tones"], bundle=Path(sys.argv[2]),
         tell=lambda text: print(text, flush=True))
"""


@pytest.fixture(scope="module")
def bundle(amd64, tmp_path_factory):
    """A bundle for the device, which has one release of the same service."""
    folder = tmp_path_factory.mktemp("bundle")
    model = model_file(folder / "tones.tflite")
    deploy(model, SETTINGS, "pi", config=amd64.config, native=True)
    more = {unit_name("tones"): unit("tones", SETTINGS).encode()}
    return pack(
        model, SETTINGS, output=folder, name="tones", native=True, machine="x86_64", more=more
    )


def another(bundle: Path, number: int) -> Path:
    """The same release with other settings, and so another id."""
    with read_bundle(bundle) as opened:
        files = contents(opened)
        files[SETTINGS_FILE] = replace(SETTINGS, snapshot_seconds=float(number)).to_toml().encode()
        fields = {**vars(opened.manifest)}
        fields = {name: fields[name] for name in Manifest.__dataclass_fields__}
        fields["files"] = tuple(describe(path, files[path]) for path in sorted(files))
        made = Manifest(**fields)
    path = bundle.with_name(f"{number}.tar")
    write_bundle(path, made, files)
    return path


def busy(device) -> bool:
    """Whether a deployment goes on there; the tool holds the lock to its end."""
    with open(device.folder("tones") / ".lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def boot(device) -> dict:
    """Start what systemd would start, and ask it."""
    started = device.run("systemctl", "restart", "edgernn-tones.service")
    assert started.returncode == 0, started.stderr
    done = device.run("/opt/edgernn/tones/current/venv/bin/python", "-I", "-m", "edgernn.service",
                      "status", "tones")  # fmt: skip
    return json.loads(done.stdout)


def assert_whole(device) -> str:
    """The current release, which is whole, as all the others that have a name are."""
    current = device.link("tones", "current")
    for release in device.releases("tones"):
        folder = device.folder("tones") / "releases" / release
        assert check_release(folder).release == release
        assert (folder / "venv/bin/python").is_symlink()
    assert current in device.releases("tones")
    assert device.link("tones", "previous") in ["", *device.releases("tones")]
    return current


@pytest.mark.slow
def test_killed_at_random_moments_it_always_has_a_whole_release(amd64, bundle):
    chance, seen = random.Random(8), set()
    booted = before = assert_whole(amd64)
    for number in range(1, POINTS + 1):
        step, power = number % STEPS, chance.random() < 0.5
        wait = chance.uniform(0, 1.0)
        fresh = another(bundle, number)
        with read_bundle(fresh) as opened:
            release = opened.manifest.release
        process = subprocess.Popen(
            [sys.executable, "-c", DEPLOY, str(amd64.config), str(fresh)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(step + 1):
            process.stdout.readline()
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if power:
            amd64.cut_power()
        # Without a power cut the device ends by itself what it began.
        end = time.monotonic() + 120
        while busy(amd64):
            assert time.monotonic() < end, "the device goes on for ever"
            time.sleep(0.05)
        current = assert_whole(amd64)
        assert current in (before, release), (step, power, wait)
        if current != booted or power:
            amd64.cut_power()
            assert boot(amd64)["release"] == current
            booted = current
        seen.add((step, power, current == release))
        before = current
    print(sorted(seen))
    with connect("pi", amd64.config) as remote:
        last = another(bundle, POINTS + 1)
        told = []
        done = call(remote, ["deploy", "--name", "tones"], bundle=last, tell=told.append)
    assert assert_whole(amd64) == done["release"]
    assert len(amd64.releases("tones")) <= 3
    leftovers = [path.name for path in (amd64.folder("tones") / "releases").glob(".*")]
    assert (leftovers, (amd64.folder("tones") / "switching").exists()) == ([], False)
    if POINTS >= 20:  # both sides of the switch were hit
        assert {new for _, _, new in seen} == {True, False}
