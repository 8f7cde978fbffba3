"""The reference: TensorFlow Lite Micro's interpreter, with states carried by hand."""

from __future__ import annotations

import numpy as np
from tflite_micro import runtime

from edgernn.tflite import read


class Reference:
    """A model in the `tflite-micro` wheel; states are the names on both sides of the signature."""

    def __init__(self, data: bytes, arena: int = 1 << 20) -> None:
        self.graph = read(data)
        self.interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena)
        signature = self.graph.signatures.get("step")
        names = ([], []) if signature is None else (signature.inputs, signature.outputs)
        self.states = [n for n in names[0] if n in names[1]]
        slots = {t: i for i, t in enumerate(self.graph.inputs)}
        self.inputs = [i for i, t in enumerate(self.graph.inputs)]
        self.state_in, self.state_out = [], []
        if signature is not None:
            self.state_in = [slots[signature.inputs[n]] for n in self.states]
            out = {t: i for i, t in enumerate(self.graph.outputs)}
            self.state_out = [out[signature.outputs[n]] for n in self.states]
            self.inputs = [i for i in self.inputs if i not in self.state_in]
            self.outputs = [i for i in range(len(self.graph.outputs)) if i not in self.state_out]
        else:
            self.outputs = list(range(len(self.graph.outputs)))
        self.reset()

    def reset(self) -> None:
        self.values = []
        for name in self.states:
            t = self.graph.tensors[self.graph.signatures["step"].inputs[name]]
            self.values.append(np.full(t.shape, sum(t.zero_point), t.dtype))

    def step(self, *inputs):
        for i, value in zip(self.inputs, inputs, strict=True):
            self.interpreter.set_input(value, i)
        for i, value in zip(self.state_in, self.values, strict=True):
            self.interpreter.set_input(value, i)
        self.interpreter.invoke()
        self.values = [self.interpreter.get_output(i) for i in self.state_out]
        return [self.interpreter.get_output(i) for i in self.outputs]
