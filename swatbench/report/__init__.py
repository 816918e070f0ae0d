"""The page: tables, figures and words, drawn from records alone (no torch)."""
