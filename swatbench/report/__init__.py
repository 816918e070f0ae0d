"""The page: tables, figures and words, drawn from what is stored (no torch)."""
