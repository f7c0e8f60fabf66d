"""Explanatory drawings for the notebooks: each function returns a matplotlib figure."""

from s10.course.figures.blocks import bottleneck, one_by_one, shortcuts
from s10.course.figures.degradation import degradation
from s10.course.figures.network import network, receptive_fields
from s10.course.figures.schedules import (
    annihilation,
    lr_range_anatomy,
    one_cycle_arithmetic,
    planned_lrs,
)
from s10.course.figures.seeds import seed_by_seed
from s10.course.figures.speed import newton_schulz, patch_correlation
from s10.course.figures.submissions import five_networks

__all__ = [
    "annihilation",
    "bottleneck",
    "degradation",
    "five_networks",
    "lr_range_anatomy",
    "network",
    "newton_schulz",
    "one_by_one",
    "one_cycle_arithmetic",
    "patch_correlation",
    "planned_lrs",
    "receptive_fields",
    "seed_by_seed",
    "shortcuts",
]
