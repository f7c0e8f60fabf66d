"""s10: train a small residual network on CIFAR-10 in 24 epochs with the one-cycle policy.

    import s10
    images = s10.load_images("shapes")
    model = s10.CustomResNet(width=16)

Each name is imported when it is first used, so that `import s10` costs no more
than PyTorch, and that a learner on `shapes` never waits for albumentations.
"""

import importlib
import time

STARTED = time.perf_counter()  # Before PyTorch, whose import takes longest.

import torch  # noqa: E402, F401  (what all of s10 needs)

_HOME = {
    "CustomResNet": "custom_resnet",
    "Fit": "training",
    "Images": "images",
    "InputError": "errors",
    "LRRange": "lr_range",
    "OneCycle": "schedules",
    "Predictions": "predictions",
    "RECIPES": "recipes",
    "Recipe": "recipe",
    "Run": "runs",
    "S10Error": "errors",
    "TrainingDiverged": "meter",
    "compare_depths": "experiments",
    "compare_schedules": "experiments",
    "evaluate": "training",
    "find_recipe": "recipes",
    "fit": "training",
    "initial_network": "networks",
    "load_images": "images",
    "lr_range_run": "pipeline",
    "make_optimizer": "training",
    "network_summary": "summary",
    "one_cycle": "schedules",
    "pick_device": "device",
    "pick_precision": "device",
    "plot_class_accuracy": "plots",
    "plot_confusion": "plots",
    "plot_curves": "plots",
    "plot_history_lr": "plots",
    "plot_images": "plots",
    "plot_lr_range": "plots.lr_range",
    "plot_misclassified": "plots",
    "plot_schedule": "plots",
    "plot_schedules": "plots",
    "predicted_minutes": "preflight",
    "range_test_per_batch": "lr_range",
    "range_test_per_epoch": "lr_range",
    "seed_everything": "training",
    "eval_batches": "batches",
    "trace": "schedules",
    "train_batches": "batches",
    "train_epoch": "training",
    "train_run": "pipeline",
    "triangular": "schedules",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 's10' has no attribute {name!r}")
    return getattr(importlib.import_module(f"s10.{_HOME[name]}"), name)


def __dir__():
    return sorted([*globals(), *_HOME])
