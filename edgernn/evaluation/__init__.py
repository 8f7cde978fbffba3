"""Evaluation: how good a model is once quantized, streamed, fed by its front end and triggered.

`document.py` makes the whole document of a task; the other modules are its parts.
"""
