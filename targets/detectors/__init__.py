"""Detectors as C: one module a kind, `generate(detector, name) -> Stage`."""
