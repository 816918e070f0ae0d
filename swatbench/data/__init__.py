"""Images: where they come from, and the order and augmentation in which they are seen."""
