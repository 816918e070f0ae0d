"""The paper: structure-aware tokenization and mixing, in torch and einops alone."""
