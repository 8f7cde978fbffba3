"""Raspberry Pi and other Linux devices: a model as a release that runs as a service."""
