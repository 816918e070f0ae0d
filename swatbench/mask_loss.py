"""The training loss of a segmenter, which training takes and measuring times.

Letters: b images, K classes, H × W pixels, H' × W' those of a feature map.
"""

import torch.nn.functional as F
from torch import Tensor

from swatbench.spec.segmentation import IGNORED

Outputs = Tensor | tuple[Tensor, Tensor]
"""What a segmenter gives in training: logits (b, K, H, W), and with an auxiliary head its (b, K, H', W')."""


def mask_loss(
    outputs: Outputs, masks: Tensor, *, auxiliary_weight: float, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross entropy (), that of the auxiliary head added by its weight; in float32.

    The mean is over all pixels: one without a label counts as a loss of 0, as in the published trainings of
    UPerNet (mmsegmentation's `avg_non_ignore=False`). So every image of a step has the same weight, however a
    batch is cut into micro-batches and processes, and a micro-batch without labels has the loss 0.

    Args:
        outputs: What the model gives.
        masks: int64 (b, H, W), classes, and `IGNORED` where a pixel counts for nothing.
        auxiliary_weight: Weight of the auxiliary head's loss.
        label_smoothing: Probability mass spread over the wrong classes.
    """
    if isinstance(outputs, Tensor):
        return _cross_entropy(outputs, masks, label_smoothing)
    logits, auxiliary = outputs
    upsampled = F.interpolate(auxiliary.float(), size=masks.shape[-2:], mode="bilinear", align_corners=False)
    own = _cross_entropy(logits, masks, label_smoothing)
    return own + auxiliary_weight * _cross_entropy(upsampled, masks, label_smoothing)


def _cross_entropy(logits: Tensor, masks: Tensor, label_smoothing: float) -> Tensor:
    # In float32: autocast on a CPU leaves the log-softmax in bfloat16, good for two or three digits. Of each
    # pixel first: torch's own sum over pixels has no deterministic kernel on CUDA.
    each = F.cross_entropy(
        logits.float(), masks, ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="none"
    )
    return each.mean()
