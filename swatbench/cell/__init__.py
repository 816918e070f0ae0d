"""What runs in a process of its own: cells, from description to record, and questions to the machine."""
