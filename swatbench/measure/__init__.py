"""What a model costs: counts, time and memory, each in a pass of its own."""
