"""A trained SWAT model as it is deployed: its attention is its baseline's, layer by layer.

Source: `swatbench.swat.fuse`, for why a linear map and a convolution within a token are one linear map.
"""

from torch import nn

from swatbench.swat.mixing import StructureAwareLinear


def fold_attention(model: nn.Module) -> nn.Module:
    """Put a plain linear map in the place of each structured projection of attention, in place.

    The outputs stay what they were, up to rounding, and operators and multiply-accumulates of attention are
    the baseline's. What is left is for inference: the folded layers have no gradient, and checkpoints are
    made of the trained model. Weights of a trained model can be loaded into a folded one.

    Args:
        model: Any model; one without structured projections is left as it is.

    Returns:
        The same model, in evaluation mode.

    Example:
        >>> import timm
        >>> model = timm.create_model("swat_deit_ti", fold=True)
        >>> type(model.blocks[0].attn.qkv).__name__
        'FoldedLinear'
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, StructureAwareLinear):
                setattr(module, name, child.fold())
    return model.eval()
