"""Trained Keras recurrent networks as small quantized models that run frame by frame."""
