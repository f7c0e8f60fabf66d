"""Plots: each function takes data and returns a matplotlib figure."""

from s10.plots.images import plot_images, plot_misclassified
from s10.plots.lr_range import plot_lr_range
from s10.plots.predictions import plot_class_accuracy, plot_confusion
from s10.plots.training import plot_curves, plot_schedule, plot_schedules

__all__ = [
    "plot_class_accuracy",
    "plot_confusion",
    "plot_curves",
    "plot_images",
    "plot_lr_range",
    "plot_misclassified",
    "plot_schedule",
    "plot_schedules",
]
