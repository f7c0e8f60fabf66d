"""s10: train a small residual network on CIFAR-10 in 24 epochs with the one-cycle policy.

>>> import s10
>>> dataset = s10.load_dataset("shapes")
>>> model = s10.CustomResNet(width=16)
"""

import os

# What Apple's GPUs cannot compute is then done by the CPU. PyTorch reads it when it is imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

from s10.cli.pictures import predict
from s10.cli.pretrained import load_pretrained, stored_predictions
from s10.course.assignment import check_assignment
from s10.course.diagnosis import check_run, check_start
from s10.custom_resnet import CustomResNet
from s10.datasets import ImageDataset, load_dataset
from s10.lr_finder import LRRange, range_test_per_batch, range_test_per_epoch
from s10.metrics import TrainingDiverged
from s10.plots import (
    plot_class_accuracy,
    plot_confusion,
    plot_curves,
    plot_images,
    plot_lr_range,
    plot_misclassified,
    plot_schedule,
)
from s10.predictions import Predictions
from s10.recipe import Recipe
from s10.runtime.checkpoints import Checkpointer
from s10.runtime.errors import InputError
from s10.runtime.hooks import Hook
from s10.schedules import OneCycle, simulate_schedule, triangular
from s10.training import FitResult, evaluate, fit, seed_everything, train_epoch

__all__ = [
    "Checkpointer",
    "CustomResNet",
    "FitResult",
    "Hook",
    "ImageDataset",
    "InputError",
    "LRRange",
    "OneCycle",
    "Predictions",
    "Recipe",
    "TrainingDiverged",
    "check_assignment",
    "check_run",
    "check_start",
    "evaluate",
    "fit",
    "load_dataset",
    "load_pretrained",
    "plot_class_accuracy",
    "plot_confusion",
    "plot_curves",
    "plot_images",
    "plot_lr_range",
    "plot_misclassified",
    "plot_schedule",
    "predict",
    "range_test_per_batch",
    "range_test_per_epoch",
    "seed_everything",
    "simulate_schedule",
    "stored_predictions",
    "train_epoch",
    "triangular",
]
