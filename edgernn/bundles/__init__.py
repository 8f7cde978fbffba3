"""Bundles: one file that holds a whole release of a service, to be installed on a Linux device.

- `manifest.py`: what is in a release and where it runs; one canonical document, hashed and signed.
- `archive.py`: the file itself, a plain tar whose every byte follows from the manifest.
- `signature.py`: Ed25519 signatures by the system's `ssh-keygen`, with the user's own SSH keys.
- `policy.py`: whether a device takes a bundle.

Nothing here needs more than the standard library: it runs on a device before NumPy is there.
"""
