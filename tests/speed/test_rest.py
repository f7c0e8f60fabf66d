"""Which images rest in an epoch, and what an image looks like when it comes back."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from s10 import InputError, fit, seed_everything
from s10.loaders import epoch_order
from s10.runtime.hooks import Hook
from s10.speed.airbench import AirbenchRecipe
from s10.speed.rest import IN_A_ROW, rest_easiest

RECIPE = AirbenchRecipe(
    data="shapes", width=4, epochs=6, batch_size=32, rest=0.4, pad=0, low_res_fraction=0,
    precision="fp32",
)  # fmt: skip


class Record(Hook):
    """Of each epoch: the images in their order, whether they were mirrored, and their losses."""

    def __init__(self):
        self.epochs = {}

    def on_step(self, state):
        index = state.train_loader.index
        logits, labels = state.metrics.last_batch
        assert torch.equal(labels, state.train_loader.labels[index])
        losses = F.cross_entropy(logits, labels, label_smoothing=0.2, reduction="none")
        generator = torch.Generator().manual_seed(0)
        flip = state.train_loader.sample_params(generator).flip
        batches = self.epochs.setdefault(state.epoch, [])
        start = sum(len(batch[0]) for batch in batches)
        batches.append((index, flip[start : start + len(index)], losses))


@pytest.fixture(scope="module")
def epochs(few):
    """What `Record` saw in a run of six epochs on 200 images, of which 80 rest."""
    seed_everything(0)
    model, record = RECIPE.initial_model(few), Record()
    fit(model, RECIPE.train_loader(few), RECIPE.test_loader(few), RECIPE, few.classes,
        hooks=[record])  # fmt: skip
    return [[torch.cat(parts) for parts in zip(*batches, strict=True)]
            for batches in record.epochs.values()]  # fmt: skip


def test_each_epoch_leaves_out_the_easiest(epochs):
    last, rested = torch.full((200,), torch.inf), torch.zeros(200, dtype=torch.int64)
    for number, (images, _, losses) in enumerate(epochs, 1):
        shown = torch.zeros(200, dtype=torch.bool)
        shown[images] = True
        assert len(images) == shown.sum() == 120  # Each of them once.
        may_rest = rested < IN_A_ROW
        assert shown[~may_rest].all()
        if number > 1:  # In the first epoch nothing is known of any image.
            assert last[~shown].max() <= last[shown & may_rest].min()
        rested = torch.where(shown, 0, rested + 1)
        last[images] = losses
    assert rested.max() == IN_A_ROW  # So the limit was reached.


def test_the_order_of_those_that_are_shown_is_that_of_the_epoch(epochs):
    for number, (images, _, _) in enumerate(epochs, 1):
        order = epoch_order(200, RECIPE.seed, number)
        assert torch.equal(order[torch.isin(order, images)], images)


def test_an_image_comes_back_mirrored(epochs):
    before, compared = {}, 0
    for images, flips, _ in epochs:
        for image, flip in zip(images.tolist(), flips.tolist(), strict=True):
            compared += image in before
            assert before.get(image) is not flip
            before[image] = flip
    assert compared > 400


@pytest.mark.parametrize(
    ("losses", "rested", "count", "expected"),
    [
        ([0.3, 0.1, 0.2, 0.4], [0, 0, 0, 0], 2, [0, 1, 1, 0]),
        ([0.3, 0.1, 0.2, 0.4], [0, 1, 2, 0], 2, [1, 2, 0, 0]),
        ([0.3, 0.1, 0.2, 0.4], [2, 2, 2, 2], 0, [0, 0, 0, 0]),
        ([float("inf"), 0.1, float("inf"), 9.0], [0, 2, 0, 0], 1, [0, 0, 0, 1]),
    ],
)
def test_the_choice(losses, rested, count, expected):
    assert rest_easiest(torch.tensor(losses), torch.tensor(rested), count).tolist() == expected


def test_without_the_hook_random_images_rest(few):
    loader = RECIPE.train_loader(few)
    found = []
    for epoch in (1, 2):
        loader.set_epoch(epoch)
        assert len(loader) == 4
        assert [len(labels) for _, labels in loader] == [32, 32, 32, 24]
        found.append(set(loader.order().tolist()))
    assert len(found[0]) == len(found[1]) == 120
    assert 40 < len(found[0] & found[1]) < 100  # 72 of two random choices


def test_another_loader_is_refused(few):
    loader = super(AirbenchRecipe, RECIPE).train_loader(few)
    with pytest.raises(InputError, match="use its own train_loader, or set rest to 0"):
        fit(RECIPE.make_model(), loader, RECIPE.test_loader(few), RECIPE, few.classes)


@pytest.mark.parametrize("rest", [-0.1, 0.51, 1, "half"])
def test_a_share_that_makes_no_sense(rest):
    with pytest.raises(InputError, match="rest"):
        AirbenchRecipe(rest=rest)


def test_with_rest_0_the_batches_are_those_of_the_laptop_recipe(few):
    plain = replace(RECIPE, rest=0.0)
    ours = list(plain.train_loader(few))
    theirs = list(super(AirbenchRecipe, plain).train_loader(few))
    for batch, expected in zip(ours, theirs, strict=True):
        assert all(map(torch.equal, batch, expected))
