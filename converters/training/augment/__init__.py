"""Augmentation: other speakers, rooms and wrists, made out of the recordings there are."""
