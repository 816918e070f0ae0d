"""Training and evaluation: the loop, on timm's task, optimizers and schedules."""
