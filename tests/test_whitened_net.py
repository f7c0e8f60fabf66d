"""The laptop's network: its first layer whitens, its filters begin by passing on."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from s10 import InputError, Recipe, initial_network
from s10.augment import normalise
from s10.networks import NETWORKS, TAKE_SMALL_PICTURES, make_network
from s10.whitened_net import WhitenedNet, passing_on


@pytest.mark.parametrize(("width", "classes", "size"), [(4, 2, 32), (16, 10, 24), (8, 7, 16)])
def test_shapes(width, classes, size):
    assert WhitenedNet(classes, width)(torch.rand(3, 3, size, size)).shape == (3, classes)


@pytest.mark.parametrize("name", NETWORKS)
def test_small_pictures_are_for_the_networks_that_take_them(name):
    """The others pool until one pixel is left; `make_network` says so in place of PyTorch."""
    recipe = Recipe(network=name, width=4, small_until=0.5)
    if name in TAKE_SMALL_PICTURES:
        for size in range(16, 33):
            assert make_network(recipe).eval()(torch.rand(2, 3, size, size)).shape == (2, 10)
        return
    with pytest.raises(InputError, match=f"{name} takes pictures of 32 pixels.*whitened_net"):
        make_network(recipe)
    with pytest.raises(RuntimeError):
        NETWORKS[name](10, 4).eval()(torch.rand(2, 3, 24, 24))
    make_network(replace(recipe, small_size=32))


def test_parameters():
    """From the layers: 24 whitening filters, then 3 blocks, then 10 logits."""
    convs = 24 * 12 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    norms, fc = 2 * 2 * (64 + 256 + 256), 256 * 10 + 10
    assert sum(p.numel() for p in WhitenedNet().parameters()) == convs + norms + fc


def test_the_first_layer_gives_uncorrelated_numbers_of_variance_one(few):
    images = normalise(few.train_images, few.mean, few.std)
    model = WhitenedNet(width=4)
    model.whiten(images, eps=0.0)
    outputs = model.whitening(images)
    covariance = torch.cov(outputs.permute(1, 0, 2, 3).flatten(1)[:12])
    assert (covariance - torch.eye(12)).abs().max() < 0.02
    assert torch.equal(outputs[:, :12], -outputs[:, 12:])


def test_eps_quietens_the_faintest_directions(few):
    images = normalise(few.train_images, few.mean, few.std)
    model = WhitenedNet(width=4)
    model.whiten(images, eps=1.0)
    variances = model.whitening(images).var((0, 2, 3))[:12]
    assert variances.max() < 1
    assert variances.min() < 0.1 * variances.max()


def test_the_first_layer_is_not_trained(few):
    recipe = replace(Recipe(), network="whitened_net", width=4)
    model = initial_network(recipe, few)
    assert not model.whitening.weight.requires_grad
    before = model.whitening.weight.clone()
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    assert model.whitening.weight.grad is None
    assert torch.equal(before, model.whitening.weight)


def test_it_begins_with_the_whitening_of_the_training_images(few):
    recipe = replace(Recipe(), network="whitened_net", width=4)
    expected = make_network(recipe)
    expected.whiten(normalise(few.train_images, few.mean, few.std))
    assert torch.equal(initial_network(recipe, few).whitening.weight, expected.whitening.weight)


@pytest.mark.parametrize(("channels_in", "channels_out"), [(5, 5), (4, 9), (6, 3)])
def test_the_first_outputs_are_the_inputs(channels_in, channels_out):
    conv = passing_on(nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False))
    x = torch.rand(2, channels_in, 8, 8)
    alike = min(channels_in, channels_out)
    torch.testing.assert_close(conv(x)[:, :alike], x[:, :alike])
    assert conv.weight.requires_grad


def test_bad_input():
    for bad in (0, -1, 2.5):
        with pytest.raises(InputError, match="width"):
            WhitenedNet(10, bad)
    with pytest.raises(InputError, match="two images"):
        WhitenedNet(width=4).whiten(torch.rand(1, 3, 32, 32))


def test_each_variant_lacks_one_trick(few):
    torch.manual_seed(0)
    images = normalise(few.train_images, few.mean, few.std)
    trained = initial_network(replace(Recipe(), network="trained_first_layer", width=4), few)
    before = trained.whitening.weight.detach().clone()
    trained.whiten(images)
    assert torch.equal(before, trained.whitening.weight)
    assert trained.whitening.weight.requires_grad
    x = torch.rand(2, 24, 8, 8)
    torch.testing.assert_close(trained.block1[0](x)[:, :4], x[:, :4])  # It still passes on.

    random = initial_network(replace(Recipe(), network="random_filters", width=4), few)
    assert not random.whitening.weight.requires_grad
    model = WhitenedNet(width=4)
    model.whiten(images)
    assert torch.equal(random.whitening.weight, model.whitening.weight)
    for layer in random.modules():
        if isinstance(layer, nn.Conv2d) and layer is not random.whitening:
            x = torch.rand(2, layer.in_channels, 8, 8)
            assert not torch.allclose(layer(x)[:, 0], x[:, 0], atol=0.1)
