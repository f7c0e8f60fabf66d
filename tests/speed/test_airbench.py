"""The recipe for 94%: its network, its optimizer, and how long each part of the network learns."""

import pytest
import torch
from torch import nn

from s10 import InputError
from s10.cli.registry import RECIPES
from s10.speed.airbench import (
    BIAS_LR_SCALE,
    HEAD_LR_SCALE,
    POLAR,
    SGD_MOMENTUM,
    AirbenchNet,
    AirbenchRecipe,
    MuonSGD,
)
from s10.speed.muon import orthogonalize


def with_singular_values(rows, columns, values):
    generator = torch.Generator().manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(rows, columns, generator=generator), full_matrices=False)
    return u @ torch.diag(values) @ v, u, v


@pytest.mark.parametrize("shape", [(24, 60), (64, 24)])
def test_the_orthogonalization_is_more_exact_than_muons(shape):
    matrix, u, v = with_singular_values(*shape, torch.logspace(0, -2, 24))
    exact, plain = (
        (u.T @ step @ v.T).diagonal()
        for step in (orthogonalize(matrix, POLAR), orthogonalize(matrix))
    )
    assert (exact - 1).abs().max() < 0.02
    assert (plain - 1).abs().max() > 0.2


def test_the_filters_take_exactly_orthogonal_steps():
    torch.manual_seed(0)
    filters = nn.Parameter(torch.randn(8, 4, 3, 3))
    optimizer = MuonSGD([filters], lr=0.1, momentum=0.6)
    before = filters.detach() / filters.detach().norm() * 8**0.5
    filters.grad = torch.randn_like(filters)
    optimizer.step()
    step = (before - filters.detach()).flatten(1) / 0.1
    torch.testing.assert_close(step @ step.T, torch.eye(8), rtol=0, atol=0.04)


@pytest.mark.parametrize(("shape", "scale"), [((6,), BIAS_LR_SCALE), ((3, 6), HEAD_LR_SCALE)])
def test_the_other_weights_are_trained_as_by_pytorchs_sgd(shape, scale):
    filters = nn.Parameter(torch.ones(2, 2, 3, 3))
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    optimizer = MuonSGD([filters, ours], lr=0.001, weight_decay=0.5)
    reference = torch.optim.SGD(
        [theirs], lr=0.001 * scale, momentum=SGD_MOMENTUM, nesterov=True, weight_decay=0.5 / scale
    )
    for number in range(5):
        generator = torch.Generator().manual_seed(number)
        ours.grad = theirs.grad = torch.randn(shape, generator=generator)
        optimizer.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_the_network_has_no_scales_to_train_and_small_logits():
    torch.manual_seed(0)
    model = AirbenchNet(width=8)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    scales = {f"{name}.weight" for name, part in model.named_modules()
              if isinstance(part, nn.BatchNorm2d)}  # fmt: skip
    assert len(scales) == 6
    assert {part.momentum for part in model.modules() if isinstance(part, nn.BatchNorm2d)} == {0.4}
    assert not scales & trained
    assert {model.get_parameter(name).ndim for name in trained} == {1, 2, 4}
    assert "whitening.weight" not in trained
    assert model.fc.bias is None
    assert [block[0].out_channels for block in (model.block1, model.block2, model.block3)] == [
        8, 36, 36
    ]  # fmt: skip
    assert model.fc.weight.std().item() == pytest.approx(1)
    images = torch.randn(50, 3, 32, 32)
    assert model(images).std() < 0.5 < 32 * model(images).std()


def test_the_whitening_bias_is_trained_on_small_images_alone():
    model = AirbenchNet(width=4)
    for size, expected in ((20, True), (32, False)):
        model.zero_grad()
        model(torch.randn(6, 3, size, size)).sum().backward()
        assert (model.whitening.bias.grad is not None) is expected, size
        assert model.block1[0].weight.grad is not None


def test_the_recipe_and_another_number_of_epochs():
    recipe = RECIPES["laptop-94"]
    assert recipe == AirbenchRecipe()
    assert (recipe.width, recipe.batch_size, recipe.tta_views) == (64, 1000, 6)
    optimizer = recipe.make_optimizer(recipe.make_model())
    assert type(optimizer) is MuonSGD
    assert {group["weight_decay"] for group in optimizer.param_groups} == {recipe.weight_decay}
    # The LR rises for one short epoch, however long the run is.
    assert recipe.with_epochs(2).peak_epoch == recipe.peak_epoch == 1
    assert recipe.with_epochs(2).epochs == 2


def test_several_processes_are_refused(few):
    with pytest.raises(InputError, match="AirbenchRecipe is for one process"):
        RECIPES["laptop-94"].train_loader(few, rank=1, world_size=2)
