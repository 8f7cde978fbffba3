"""Recipes: what is trained, on what, and how; one module each, with `train(settings, progress)`."""
