"""What each of two processes does in tests/test_team.py; `torchrun` starts it."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from s10 import CustomResNet, Recipe, load_images, seed_everything, train_batches
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


if __name__ == "__main__":
    with team(torch.device("cpu")) as members:
        for batch_size in (20, 7):
            found = gradients(members, batch_size)
            torch.save(found, Path(sys.argv[1]) / f"{batch_size}-{members.rank}.pt")
