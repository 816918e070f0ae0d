"""In what condition a model is measured: what both arms of a pair share by construction.

Shapes: images (B, C, H, W).
"""

from dataclasses import dataclass, replace

from swatbench.measure.machine import Device
from swatbench.precision import Precision
from swatbench.spec.cost import Layout, Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a call is made of, whatever the model.

    Attributes:
        batch_size: Images in a call, B.
        input_size: C, H and W.
        num_classes: Classes of the logits.
        device: Where it runs.
        precision: Autocast type.
        mode: How the call reaches the device.
        layout: Memory layout of images and convolutions.
        threads: CPU threads.
        auxiliary_weight: Weight of a segmenter's auxiliary head in its loss; None where models classify.
    """

    batch_size: int
    input_size: tuple[int, int, int]
    num_classes: int
    device: Device
    precision: Precision
    mode: Mode = "eager"
    layout: Layout = "contiguous"
    threads: int = 1
    auxiliary_weight: float | None = None

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """B, C, H, W."""
        return (self.batch_size, *self.input_size)

    def at(self, batch_size: int) -> "Condition":
        """The same with another batch."""
        return replace(self, batch_size=batch_size)
