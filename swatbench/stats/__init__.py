"""What the numbers support: paired differences, ratios and frontiers (no torch)."""
