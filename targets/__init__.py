"""From a `.tflite` step model to C99 for a microcontroller, firmware, or a shared library."""
