"""The running mean of the weights, and the recipe that trains with it."""

from dataclasses import dataclass, replace

import pytest
import torch

from s10 import Hook, InputError, Recipe, evaluate, fit, seed_everything
from s10.speed.averaging import AverageWeights
from s10.speed.recipes import ASSIGNMENT_94, AveragedRecipe

RECIPE = replace(ASSIGNMENT_94, width=4, batch_size=50, precision="fp32", average_decay=0.7)
RECIPE = RECIPE.with_epochs(3)  # of 4 batches: means after steps 5 and 10


@dataclass(frozen=True)
class NotAveraged(AveragedRecipe):
    def make_hooks(self):
        return []


class Snapshots(Hook):
    def on_start(self, state):
        self.weights = []

    def on_step(self, state):
        self.weights.append({k: v.clone() for k, v in state.model.state_dict().items()})


def trained(recipe, dataset):
    seed_everything(0)
    model, snapshots = recipe.initial_model(dataset), Snapshots()
    loaders = recipe.train_loader(dataset), recipe.test_loader(dataset)
    result = fit(model, *loaders, recipe, dataset.classes, hooks=[snapshots])
    return model, result, snapshots.weights


def test_the_last_step_leaves_the_mean_of_the_weights(few):
    values = dict(vars(RECIPE))
    _, _, plain = trained(NotAveraged(**values), few)
    model, result, weights = trained(RECIPE, few)
    assert len(plain) == len(weights) == 12
    for name, value in model.state_dict().items():
        for step in range(11):
            assert torch.equal(weights[step][name], plain[step][name])
        if value.is_floating_point():
            expected = 0.7 * plain[4][name] + 0.3 * plain[9][name]
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
    predictions = evaluate(model, RECIPE.test_loader(few), few.classes)
    assert (predictions.logits == result.predictions.logits).all()


def test_the_recipe_differs_from_the_assignment_where_it_says():
    ours, assignment = RECIPE.to_dict(), Recipe().to_dict()
    changed = {k for k in assignment if ours[k] != assignment[k]}
    assert changed == {
        "class", "lr_max", "lr_min",
        "width", "batch_size", "precision", "epochs", "peak_epoch",  # RECIPE's size
    }  # fmt: skip
    assert {m.momentum for m in RECIPE.make_model().modules() if hasattr(m, "momentum")} == {0.4}


@pytest.mark.parametrize("decay", [1.0, -0.1, "0.9", float("nan")])
def test_a_decay_that_makes_no_sense(decay):
    with pytest.raises(InputError, match=r"decay.*at least 0 and below 1"):
        AverageWeights(decay)
    with pytest.raises(InputError, match=r"average_decay.*at least 0 and below 1"):
        replace(RECIPE, average_decay=decay)
