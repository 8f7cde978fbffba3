"""What a service on a Linux device answers, line by line, over ssh."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def answer(
    host: str,
    name: str | None,
    ssh_config: Path | None,
    request: str,
    take: Callable[[dict[str, Any]], None],
) -> None:
    """Ask a service; `take` gets each line of its answer, and ends it by raising.

    Raises:
        InputError: the host's name is none, or several services are there and none is named.
        DeviceError: it cannot be reached, or the service refuses.
    """
    from edgernn.cli.device import only_service
    from edgernn.errors import DeviceError
    from targets.pi.device_tool import call
    from targets.pi.remote import connect

    def read(text: str) -> None:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            raise DeviceError(f"{host}: the service sends no JSON but {text[:60]!r}")
        if "error" in line:
            raise DeviceError(f"{host}: {line['error']}")
        take(line)

    with connect(host, ssh_config) as remote:
        service = only_service(remote, name)
        arguments = ["ask", "--name", service, "--request", request]
        call(remote, arguments, line=read, seconds=None)
