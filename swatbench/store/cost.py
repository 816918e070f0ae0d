"""What a cost cell gave: counts, times, memory and energy of the arms of one pair, in one condition.

Beside the record lie `samples.npz` (raw seconds, see `CostResult`), `modules.jsonl` (`ModuleCost`: who has
the parameters and the MACs) and `breakdown.jsonl` (`Spent`: where the time goes).
"""

from typing import Literal

from pydantic import Field

from swatbench.spec.base import Spec
from swatbench.spec.cost import Layout, Mode, Protocol
from swatbench.store.quantities import Count, Positive


class Quantiles(Spec):
    """Summary of raw samples, in seconds for one call on a whole batch."""

    n: Count
    p50: Positive
    p05: Positive
    p95: Positive


class OperatorMacs(Spec):
    """Multiply-accumulates of one operator."""

    operator: str
    macs: Count


class ModuleCost(Spec):
    """Parameters and MACs of the modules of one arm that share a place, as `blocks.*.attn.qkv`."""

    arm: str
    path: str
    """Place in the model, with `*` for every number; empty for the model itself."""
    kind: str
    """Class of the modules."""
    part: str
    """Part of the model that the place belongs to (`measure.parts`)."""
    copies: Count
    """Modules with this path and kind."""
    params: Count
    """Parameters of theirs, those of modules inside them not counted."""
    macs: Count
    """Multiply-accumulates of one image's forward pass done by themselves, not by modules inside them."""


class Spent(Spec):
    """Time of one operator in one part of a model, by torch.profiler."""

    arm: str
    protocol: Protocol
    path: str
    """Place of the module that called it, with `*` for every number; empty outside of any."""
    part: str
    """Part of the model that the place belongs to (`measure.parts`)."""
    operator: str
    """Operator in plain words, as `depthwise convolution`, or aten's name without its namespace."""
    phase: Literal["forward", "backward", "optimizer"]
    calls: Positive
    """Calls in one step."""
    self_s: Positive
    """Time of its own in one step, in seconds; on CUDA that of its kernels."""


class Memory(Spec):
    """Memory of one protocol, measured in a process that did nothing else, in bytes."""

    peak_bytes: Count
    """Peak above what the process held before the model was built."""
    reserved_bytes: Count | None = None
    """Most that torch's allocator took from the device; null on a CPU."""
    weights_bytes: Count
    """Parameters and buffers."""
    gradients_bytes: Count | None = None
    """Gradients between the backward pass and the step; null in inference."""
    optimizer_bytes: Count | None = None
    """State of the optimizer; null in inference."""
    saved_bytes: Count | None = None
    """Activations that the forward pass keeps for the backward pass, each storage once; null in inference."""
    working_bytes: Count
    """Peak during a call above what is held between calls."""


class LargestBatch(Spec):
    """The largest batch that fits, by search."""

    protocol: Protocol
    batch_size: Count
    """Images; 0 where not even one fits."""
    limit_bytes: Count
    """Memory that it had to fit into."""
    bounded_by: Literal["memory", "search"]
    """Whether a larger batch failed, or the search was not led further."""


class Energy(Spec):
    """Energy of one protocol, by the counter of the card (NVML)."""

    protocol: Protocol
    joules_per_image: Positive
    """Median over windows, idle power included."""
    windows: tuple[Positive, ...]
    """Joules per image of each window."""


class Swept(Spec):
    """Time of one call on a batch of another size than the cell's own."""

    protocol: Protocol
    batch_size: Count
    seconds: Quantiles


class ArmCost(Spec):
    """What one arm costs."""

    arm: str
    params: Count
    """Parameters."""
    params_trainable: Count | None = None
    """Those that are trained."""
    macs: Count
    """Multiply-accumulates of one image's forward pass, by fvcore: attention, norm and pooling included."""
    macs_matmul: Count
    """Those of convolutions and matrix products alone."""
    macs_torch: Count
    """The same by torch's FlopCounterMode, halved; it counts no norm and no pooling."""
    macs_agree: bool
    """Whether the two counters agree exactly on convolutions and matrix products, and what is left are norms,
    pooling and resampling."""
    macs_by_operator: tuple[OperatorMacs, ...]
    activations: Count | None = None
    """Elements that convolutions and matrix products put out for one image (fvcore's activation count)."""
    training_macs: Count | None = None
    """Those of forward and backward of one training step on the whole batch, by torch's counter."""
    moved_bytes: Count | None = None
    """Bytes that the operators of one forward pass on the whole batch read and write, each operand once."""
    training_moved_bytes: Count | None = None
    """The same of forward and backward of a training step."""
    inference_s: Quantiles
    """Wall time of one forward pass over a batch."""
    training_s: Quantiles | None
    """Wall time of one training step over a batch."""
    sweep: tuple[Swept, ...] = ()
    """Times at further batch sizes."""
    inference_peak_bytes: Count
    """Peak memory of inference, above what the process held before the model was built."""
    training_peak_bytes: Count | None
    """Peak memory of training steps, counted alike."""
    inference_memory: Memory | None = None
    """Of what the peak consists."""
    training_memory: Memory | None = None
    largest_batches: tuple[LargestBatch, ...] = ()
    energy: tuple[Energy, ...] = ()
    """Empty where the machine has no counter; `CostResult.energy_absent` says why."""

    def seconds(self, protocol: Protocol) -> Quantiles | None:
        """Time of one call on the cell's own batch, where it was timed."""
        return self.inference_s if protocol == "inference" else self.training_s

    def peak_bytes(self, protocol: Protocol) -> int | None:
        """Peak memory, where it was measured."""
        return self.inference_peak_bytes if protocol == "inference" else self.training_peak_bytes

    def memory(self, protocol: Protocol) -> Memory | None:
        """Of what the peak consists, where that was measured."""
        return self.inference_memory if protocol == "inference" else self.training_memory


class Timing(Spec):
    """How one protocol was timed at one batch size, for all arms alike."""

    protocol: Protocol
    batch_size: Count | None = None
    """Images in a call; null for the cell's own batch."""
    calls_per_sample: Count
    """Calls in one sample; short calls are repeated, and a sample is their mean."""
    settled: bool
    """Whether the warm-up ended by its rule, and not because it had lasted long enough."""
    stopped_by: Literal["rounds", "budget", "precision"]
    """What ended the sampling; never significance."""
    preparation_s: dict[str, Positive] = Field(default_factory=dict)
    """Arm → time of the calls before warm-up, in which compilation and graph capture take place."""


class Peaks(Spec):
    """What this machine does at best, measured in the same cell with the same threads and arithmetic."""

    flops_per_s: Positive
    """Floating-point operations a second (2 for each MAC) of the best of several matrix products."""
    bytes_per_s: Positive
    """Bytes read and written a second by copying a tensor that no cache holds."""
    datasheet_flops_per_s: Positive | None = None
    """What the maker states for dense products in this type; null where that is not known here."""


class DeviceState(Spec):
    """The machine at one moment of the measurement; null where it does not tell."""

    moment: Literal["before", "after"]
    load_average: Positive | None = None
    """Processes that wanted to run over the last minute, by the system."""
    cpu_hz: Positive | None = None
    governor: str | None = None
    """Frequency governor of the first processor."""
    sm_hz: Positive | None = None
    memory_hz: Positive | None = None
    power_w: Positive | None = None
    temperature_c: float | None = None
    throttled_by: tuple[str, ...] | None = None
    """Reasons for which the card lowered its clocks at that moment, by NVML; null where it does not tell."""
    l2_bytes: Count | None = None
    """Size of the card's L2 cache; it is warm from one call to the next and never flushed."""


DEPLOYED = " deployed"
"""What follows the name of an arm in the names of its samples, where they are of its deployed form."""
TWIN = "twin"
"""Name, among the samples, of the second copy of the reference arm."""


def samples_name(protocol: Protocol, batch_size: int | None = None) -> str:
    """What stands before the slash and the arm in the names of raw samples.

    Args:
        protocol: What was called.
        batch_size: Images in the call, where they are not the cell's own batch.

    >>> samples_name("inference"), samples_name("training", 256)
    ('inference', 'training@256')
    """
    return protocol if batch_size is None else f"{protocol}@{batch_size}"


class Deployed(Spec):
    """What an arm costs at inference once its structured attention is folded into linear maps."""

    arm: str
    params: int
    macs: int
    """MACs of one image."""
    inference_s: Quantiles
    """Seconds for one call on a whole batch; the raw samples are `inference/<arm> deployed`."""


class CostResult(Spec):
    """What the arms of a pair cost, measured interleaved.

    `samples.npz` holds, for each protocol (`inference`, `training`), a float64 array `<protocol>/<arm>` of
    seconds per call, one entry a round, and `<protocol>/twin`: a second copy of the reference arm, timed in
    the same rounds. The ratio of twin to reference is the A/A noise floor. Rounds of the warm-up are kept
    apart, as `<protocol>_warmup/<arm>`, and enter nothing. On CUDA `<protocol>_host/<arm>` is the part of a
    call in which the host queued it. At further batch sizes the protocol's name is followed by the size, as
    `inference@256/<arm>`.
    """

    reference: str
    """Arm that every ratio is taken to."""
    arms: tuple[ArmCost, ...]
    batch_size: Count
    input_size: tuple[Count, Count, Count]
    """C, H and W of the input."""
    device: str
    dtype: str
    mode: Mode = "eager"
    layout: Layout = "contiguous"
    threads: Count
    memory_kind: Literal["resident growth", "allocated"]
    """CPU: growth of the peak resident set; CUDA: peak bytes allocated by torch."""
    measured: str
    """What lies inside the timed region, in words."""
    timings: tuple[Timing, ...]
    """How each protocol was timed."""
    peaks: Peaks | None = None
    states: tuple[DeviceState, ...] = ()
    deployed: tuple[Deployed, ...] = ()
    """Arms as they are deployed, where that was asked for and changes anything."""
    energy_absent: str | None = None
    """Why no energy was measured."""

    @property
    def img_size(self) -> int:
        """Height of the input in pixels."""
        return self.input_size[1]
