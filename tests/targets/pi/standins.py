"""What stands in for systemd on a device in a test: it really starts and stops what a unit says.

`systemctl` knows the commands that are used and writes each down in /standins/calls. A unit's
sandbox is not applied, and nobody restarts a program that ends; the notification of its readiness
is waited for as systemd does.
"""

from __future__ import annotations

from pathlib import Path

_SYSTEMCTL = r"""#!/bin/sh
echo "$*" >> /standins/calls
unit=
for word; do unit=$word; done
state=/standins/$unit
units=/etc/systemd/system
case "$1" in
--version) echo "systemd 252 (a stand-in)"; exit 0 ;;
daemon-reload|reset-failed) exit 0 ;;
enable) test -e $units/$unit || { echo "Unit $unit does not exist" >&2; exit 1; }
    mkdir -p $units/multi-user.target.wants
    ln -sf ../$unit $units/multi-user.target.wants/$unit; exit 0 ;;
is-active) if kill -0 "$(cat $state.pid 2>/dev/null)" 2>/dev/null; then echo active; exit 0; fi
    if test -e $state.pid; then echo failed; else echo inactive; fi; exit 3 ;;
esac
if test -e $state.pid; then
    kill "$(cat $state.pid)" 2>/dev/null
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
        kill -0 "$(cat $state.pid)" 2>/dev/null || break
        sleep 0.2
    done
    kill -9 "$(cat $state.pid)" 2>/dev/null
    rm -f $state.pid
fi
case "$1" in
disable) rm -f $units/multi-user.target.wants/$unit $units/$unit; exit 0 ;;
restart) exec python3 -I /standins/start.py $units/$unit $state ;;
*) echo "unknown command $*" >&2; exit 1 ;;
esac
"""

_START = r"""
import os, shlex, socket, subprocess, sys

unit, state = sys.argv[1:]
fields = [line.strip().partition("=")[::2] for line in open(unit) if "=" in line and line[0] != "#"]
environment = dict(os.environ)
for key, value in fields:
    if key == "Environment":
        environment.update(word.partition("=")[::2] for word in shlex.split(value))
    if key in ("StateDirectory", "RuntimeDirectory"):
        base = {"S": "/var/lib/", "R": "/run/"}[key[0]]
        os.makedirs(base + value, exist_ok=True)
        environment[key.replace("Directory", "_directory").upper()] = base + value
fields = dict(fields)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
    path = state + ".notify"
    if os.path.exists(path):
        os.unlink(path)
    notices.bind(path)
    notices.settimeout(float(fields["TimeoutStartSec"]))
    environment["NOTIFY_SOCKET"] = path
    journal = open(state + ".journal", "ab")
    # Systemd gives a watchdog; here nobody would listen for it.
    process = subprocess.Popen(
        shlex.split(fields["ExecStart"]), env=environment, stdin=subprocess.DEVNULL,
        stdout=journal, stderr=journal, start_new_session=True, cwd="/",
    )
    with open(state + ".pid", "w") as file:
        file.write(str(process.pid))
    notices.setblocking(False)
    import select, time
    end = time.monotonic() + float(fields["TimeoutStartSec"])
    while time.monotonic() < end:
        if select.select([notices], [], [], 0.2)[0] and b"READY=1" in notices.recv(4096):
            sys.exit(0)
        if process.poll() is not None:
            break
print("Job for %s failed because the program ended." % unit, file=sys.stderr)
sys.exit(1)
"""

_JOURNALCTL = r"""#!/bin/sh
count=10
while test $# -gt 0; do
    case "$1" in --unit) unit=$2; shift ;; --lines) count=$2; shift ;; esac
    shift
done
test -e /standins/$unit.journal && tail -n $count /standins/$unit.journal
exit 0
"""


_PIP = r"""
import pathlib, sys, sysconfig, zipfile
if pathlib.Path("/standins/systemctl").exists():
    with open("/standins/calls", "a") as calls:
        print("pip", *sys.argv[1:], file=calls)
wheel = sys.argv[-1].partition("[")[0]
zipfile.ZipFile(wheel).extractall(sysconfig.get_path("purelib"))
"""


def write_standins(device: Path) -> None:
    """Put them into a device's folder, where they come first on the PATH."""
    folder = device / "standins"
    (folder / "start.py").write_text(_START)
    for name, text in (("systemctl", _SYSTEMCTL), ("journalctl", _JOURNALCTL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    write_pip(device)


def write_pip(device: Path) -> None:
    """A pip that installs the wheel that it is given, and nothing that this one needs."""
    pip = device / "usr/local/lib/python3.11/dist-packages/pip"
    pip.mkdir(parents=True)
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text(_PIP)


def calls(device: Path) -> list[str]:
    """What systemctl was asked, in order."""
    path = device / "standins/calls"
    return path.read_text().splitlines() if path.exists() else []
