"""Front ends as C: one module a kind, `generate(front_end, name) -> Stage`."""
