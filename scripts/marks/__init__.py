"""The table of marks: every mark of the paper with its code, its tests and the mistakes that they must catch.

`paper_map.py` writes it as a page, `mutate.py` makes the mistakes.
"""

from marks import attention, channels, merging, mixers, models, tokenization, van
from marks.values import Mark, Mutation, Section

SECTIONS: tuple[Section, ...] = (
    tokenization.TOKENIZATION,
    attention.ATTENTION,
    mixers.TOKEN_MIXING,
    channels.CHANNEL_MIXING,
    merging.MERGING,
    models.MODELS,
    van.VAN,
)

__all__ = ["SECTIONS", "Mark", "Mutation", "Section"]
