"""The live link to a device: frames, messages, and a device at the other end; see docs/link.md."""
