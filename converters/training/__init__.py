"""Training: from labelled recordings to a model that fits a board (`edgernn train`)."""
