"""From a trained Keras model to a quantized step model in one `.tflite`."""
