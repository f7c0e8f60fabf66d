"""What each of two processes does in tests/test_team.py; `torchrun` starts it."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

import s10.batches
from s10 import (
    CustomResNet,
    Recipe,
    eval_batches,
    fit,
    load_images,
    seed_everything,
    train_batches,
)
from s10.team import team


def gradients(members, batch_size):
    """Gradients and buffers of one step in float64, over the whole batch."""
    images = load_images("shapes").subset(100, 10)
    recipe = replace(Recipe(), data="shapes", width=4, batch_size=batch_size)
    seed_everything(0)
    model = CustomResNet(10, 4).double()
    batches = train_batches(images, recipe, team=members)
    trained = members.wrap(model, batches)
    for x, y in batches:
        F.cross_entropy(trained(x.double()), y).backward()
        break
    return {
        **{name: value.grad for name, value in model.named_parameters()},
        **dict(model.named_buffers()),
        "count": torch.tensor(len(y)),
    }


def metrics(members):
    """History and test logits of two epochs in which the weights hardly move.

    Then what is measured is not blurred by what is trained: 500 images in batches of
    100, tested on 250 in batches of 100, of which one process gets one and the
    other two.
    """
    s10.batches.TEST_BATCH_SIZE = 100
    images = load_images("shapes").subset(500, 250)
    recipe = Recipe(
        data="shapes", width=4, batch_size=100, epochs=2, peak_epoch=1, lr_max=1e-9, lr_min=1e-10,
        precision="fp32",
    )  # fmt: skip
    seed_everything(0)
    result = fit(
        CustomResNet(10, 4), train_batches(images, recipe, team=members), eval_batches(images),
        recipe, images.classes, team=members,
    )  # fmt: skip
    return {
        "history": result.history.drop(columns="seconds").to_dict("list"),
        "logits": torch.from_numpy(result.predictions.logits),
        "labels": torch.from_numpy(result.predictions.labels),
    }


if __name__ == "__main__":
    with team(torch.device("cpu")) as members:
        torch.save(metrics(members), Path(sys.argv[1]) / f"metrics-{members.rank}.pt")
        for batch_size in (20, 7):
            found = gradients(members, batch_size)
            torch.save(found, Path(sys.argv[1]) / f"{batch_size}-{members.rank}.pt")
