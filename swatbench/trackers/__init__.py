"""Where the curves of a running cell are sent to be watched; no result rests on any of it."""
