"""For each family of timm models, which of its layers each part of SWAT replaces."""
