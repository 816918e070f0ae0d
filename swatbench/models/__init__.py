"""Baselines are timm's own classes; SWAT is a transformation of them."""
