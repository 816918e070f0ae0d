"""What is asked: suites, the catalogue of pairs and arms, and the cells they expand to (no torch)."""
