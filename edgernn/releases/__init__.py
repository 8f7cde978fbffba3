"""The device's side of a deployment: installs releases, switches between them, takes them back.

- `store.py`: the folders of a service, the links `current` and `previous`, and the lock.
- `install.py`: from a bundle to a whole release that passed its self-test.
- `environment.py`: the release's own Python environment.
- `switching.py`: `current` to another release, and back if that one does not come up.
- `supervisor.py`: what is asked of systemd.
- `facts.py`: what the device is.
- `tool.py`: all that as commands; it is sent to the device, so nothing has to be there before.

Nothing here needs more than the standard library.
"""
