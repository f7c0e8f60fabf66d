"""Pictures: each function takes data and gives back a matplotlib figure."""

from s10.plots.images import plot_images
from s10.plots.predictions import plot_class_accuracy, plot_confusion, plot_misclassified
from s10.plots.training import plot_curves, plot_history_lr, plot_schedule, plot_schedules

__all__ = [
    "plot_class_accuracy",
    "plot_confusion",
    "plot_curves",
    "plot_history_lr",
    "plot_images",
    "plot_misclassified",
    "plot_schedule",
    "plot_schedules",
]
