"""Where the window of a convolution or a pooling moves over an image."""

from __future__ import annotations

from dataclasses import dataclass

from edgernn.tflite import Operator, Tensor
from edgernn.tflite_schema import PADDINGS
from targets.lowering.base import Model


@dataclass(frozen=True)
class Window:
    """Where a window moves over an image, height before width."""

    image: tuple[int, int]
    out: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]

    @property
    def covers_all(self) -> bool:
        """Whether there is one position, which covers the whole image."""
        return self.size == self.image and self.out == (1, 1) and self.pad == (0, 0)

    @property
    def stays_inside(self) -> bool:
        """Whether no position covers a point outside of the image."""
        ends = (
            (n - 1) * step + (size - 1) * dilation < image
            for n, step, size, dilation, image in zip(
                self.out, self.stride, self.size, self.dilation, self.image, strict=True
            )
        )
        return self.pad == (0, 0) and all(ends)

    @property
    def takes_whole_rows(self) -> bool:
        """Whether what it covers is, at each position, one piece of memory."""
        dense = all(n == 1 or d == 1 for n, d in zip(self.size, self.dilation, strict=True))
        return dense and self.size[1] == self.image[1] and self.stays_inside

    def parameters(self, batches: int, depth: int) -> str:
        """The initialiser of an `edgernn_window_t`."""
        pairs = (self.out, self.size, self.stride, self.dilation, self.pad)
        numbers = [batches, *self.image, depth, *(n for pair in pairs for n in pair)]
        return "{" + ", ".join(map(str, numbers)) + "}"


def window_of(model: Model, op: Operator, x: Tensor, out: Tensor, size: tuple[int, int]) -> Window:
    """How the operator's window moves, checked against its shapes."""
    if len(x.shape) != 4 or len(out.shape) != 4 or x.shape[0] != out.shape[0]:
        raise model.unsupported(f"from shape {x.shape} to {out.shape}")
    padding = int(op.options["padding"])
    stride = int(op.options["stride_h"]), int(op.options["stride_w"])
    dilation = (
        int(op.options.get("dilation_h_factor", 1)),
        int(op.options.get("dilation_w_factor", 1)),
    )
    if padding not in range(len(PADDINGS)):
        raise model.unsupported(f"it has the unknown padding {padding}")
    if not all(1 <= n <= 1 << 16 for n in (*stride, *dilation, *size)):
        raise model.unsupported(f"its window {size} has strides {stride} and dilations {dilation}")
    pads = []
    for axis in range(2):
        n, count = x.shape[1 + axis], out.shape[1 + axis]
        reach = (size[axis] - 1) * dilation[axis] + 1
        fits = n - reach if PADDINGS[padding] == "VALID" else n - 1
        if fits < 0 or count != fits // stride[axis] + 1:
            raise model.unsupported(f"from shape {x.shape} to {out.shape} with window {size}")
        pads.append(max((count - 1) * stride[axis] + reach - n, 0) // 2)
    image, positions = (x.shape[1], x.shape[2]), (out.shape[1], out.shape[2])
    return Window(image, positions, size, stride, dilation, (pads[0], pads[1]))
