"""The stock TensorFlow Lite converter on the models of benchmarks/coverage.py, for its columns."""

from __future__ import annotations

import importlib
import multiprocessing
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.coverage_data import built, errors, predicted, sequences

Array = npt.NDArray[Any]

STOCK = {"float": (None, False), "int8": (None, True), "streams": (1, True)}
"""Attempts: frames of the file's input (None for the whole sequence), and whether it is int8."""


def stock(name: str, what: str, results: Any) -> None:
    """Put into `results` what the stock converter makes of a row; it may kill its process."""
    results.put(_stock(name, what))


def _stock(name: str, what: str) -> str:
    import tensorflow as tf

    from converters.loader import as_graph

    length, quantized = STOCK[what]
    model = as_graph(built(name))
    data = sequences(model, 8)
    expected = predicted(model, data[0])
    try:
        file = stock_convert(tf, model, data, length, quantized)
        got = stock_run(tf, file, data[0], length)
        limit = 10.0 if quantized else 0.1
        _, relative = errors(expected, got)
        return "yes" if relative <= limit else f"wrong ({relative:.0f} %)"
    except Exception as error:
        return f"no ({_reason(str(error))})"


def stock_convert(
    tf: Any, model: Any, data: Any, length: int | None, quantized: bool, bare: bool = False
) -> bytes:
    """A file for one sequence of the length that is asked for, or of the data's.

    `bare`: integers come in and go out, too.
    """
    keras = importlib.import_module(type(model).__module__.split(".")[0])  # 3, or 2 as tf_keras
    first = data[0] if isinstance(data[0], tuple) else (data[0],)
    inputs = []
    for tensor, array in zip(model.inputs, first, strict=True):
        timed = tensor.shape[1] is None or (length and array.ndim > 1)
        shape = (1, length or len(array), *array.shape[1:]) if timed else (1, *array.shape)
        inputs.append(keras.Input(batch_shape=shape, dtype=tensor.dtype))
    fixed = keras.Model(inputs, model(inputs if len(inputs) > 1 else inputs[0]))
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    if quantized:

        def representative() -> Any:
            for item in data:
                arrays = item if isinstance(item, tuple) else (item,)
                yield [a[None][:, :length] if length and a.ndim > 1 else a[None] for a in arrays]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if bare:
            converter.inference_input_type = converter.inference_output_type = tf.int8
    file: bytes = converter.convert()
    return file


def stock_run(tf: Any, file: bytes, sequence: Any, length: int | None) -> list[Array]:
    """The file on a sequence: whole, or frame by frame with whatever state it keeps itself."""
    interpreter = tf.lite.Interpreter(model_content=file)
    interpreter.allocate_tensors()
    inputs = sorted(interpreter.get_input_details(), key=lambda d: d["name"])
    arrays = sequence if isinstance(sequence, tuple) else (sequence,)
    results = []
    turns = max(len(a) for a in arrays if a.ndim > 1 or len(arrays) == 1) if length else 1
    for t in range(turns):
        for detail, array in zip(inputs, arrays, strict=True):
            part = array[t : t + 1] if length and (array.ndim > 1 or len(arrays) == 1) else array
            interpreter.set_tensor(detail["index"], part[None].astype(detail["dtype"]))
        interpreter.invoke()
        outputs = sorted(interpreter.get_output_details(), key=lambda d: d["name"])
        results.append([interpreter.get_tensor(d["index"])[0] for d in outputs])
    if not length:
        return results[0]
    columns = [np.array(column) for column in zip(*results, strict=True)]
    # With return_sequences there is a time axis of one frame.
    return [c[:, 0] if c.ndim == 3 else c for c in columns]


def _reason(message: str) -> str:
    for word in ("TensorList", "Flex", "custom", "control flow", "read_variable", "VarHandle"):
        if word.lower() in message.lower():
            return word
    return " ".join(message.split())[:40]


def attempts(name: str) -> dict[str, str]:
    """The outcome of each attempt, made in a process of its own."""
    found = {}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow"])  # once, not for each process
    for what in STOCK:
        results = context.SimpleQueue()
        process = context.Process(target=stock, args=(name, what, results))
        process.start()
        process.join(300)
        if process.is_alive():
            process.kill()
            found[what] = "no (over 5 minutes)"
        elif results.empty():
            found[what] = f"no (killed by signal {-(process.exitcode or 0)})"
        else:
            found[what] = results.get()
    return found
