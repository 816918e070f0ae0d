"""What the makers state that their cards do at most in dense matrix products.

Floating-point operations a second, two for each multiply-accumulate, without structured sparsity and at boost
clock. fp32 is plain float32 without TF32; fp16 and bf16 are tensor cores that add up in float32, as cuBLAS
has them do.

Sources: NVIDIA's data sheets of V100, T4, A10, A30, A40, A100, L4, L40, L40S, H100, H200, HGX B200, RTX A6000
and RTX 6000 Ada, and for GeForce and Titan the appendices of its whitepapers on Turing (TU102), Ampere
(GA102), Ada (AD102, AD103) and Blackwell (GB202). Where a sheet states sparse rates alone, they are halved.
"""

import re

from swatbench.precision import Precision

_CARDS: tuple[tuple[str, float, float | None, float], ...] = (
    # Name as torch tells it, without the maker; then teraflops in fp32, bf16 and fp16.
    (r"V100S-PCIE-32GB", 16.4, None, 130.0),
    (r"V100-SXM[23]-\d+GB", 15.7, None, 125.0),
    (r"V100-PCIE-\d+GB", 14.0, None, 112.0),
    (r"T4", 8.1, None, 65.0),
    (r"TITAN RTX", 16.3, None, 130.5),
    (r"A10", 31.2, 125.0, 125.0),
    (r"A30", 10.3, 165.0, 165.0),
    (r"A40", 37.4, 149.7, 149.7),
    (r"A100[- ].*", 19.5, 312.0, 312.0),
    (r"RTX A6000", 38.7, 154.8, 154.8),
    (r"GeForce RTX 3080", 29.8, 59.5, 59.5),
    (r"GeForce RTX 3090", 35.6, 71.0, 71.0),
    (r"GeForce RTX 3090 Ti", 40.0, 80.0, 80.0),
    (r"L4", 30.3, 121.0, 121.0),
    (r"L40", 90.5, 181.05, 181.05),
    (r"L40S", 91.6, 362.05, 362.05),
    (r"RTX 6000 Ada Generation", 91.1, 364.25, 364.25),
    (r"GeForce RTX 4080", 48.7, 97.5, 97.5),
    (r"GeForce RTX 4090", 82.6, 165.2, 165.2),
    (r"H100 PCIe", 51.0, 756.5, 756.5),
    (r"H100 NVL", 60.0, 835.5, 835.5),
    (r"H100( 80GB HBM3|-SXM.*)", 67.0, 989.5, 989.5),
    (r"GH200.*", 67.0, 989.5, 989.5),
    (r"H200", 67.0, 989.5, 989.5),
    (r"H200 NVL", 60.0, 835.5, 835.5),
    (r"GeForce RTX 5090", 104.8, 209.5, 209.5),
    (r"B200", 75.0, 2250.0, 2250.0),
)


def datasheet_flops_per_s(name: str, precision: Precision) -> float | None:
    """What the maker states for dense products of a card, in floating-point operations a second.

    Args:
        name: As `torch.cuda.get_device_name` tells it; a slice of a card (MIG) and a laptop's card of the
            same number are other devices.
        precision: Type of the products.

    Returns:
        None where the card is not known here, or does not compute in that type.

    >>> datasheet_flops_per_s("NVIDIA H200", "bf16")
    989500000000000.0
    >>> datasheet_flops_per_s("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16") is None
    True
    """
    short = re.sub(r"^(NVIDIA|Tesla) ", "", name)
    if " MIG " in short:
        return None
    for pattern, fp32, bf16, fp16 in _CARDS:
        if re.fullmatch(pattern, short):
            teraflops = {"fp32": fp32, "bf16": bf16, "fp16": fp16}[precision]
            return None if teraflops is None else teraflops * 1e12
    return None
