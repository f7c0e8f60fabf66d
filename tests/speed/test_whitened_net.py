"""The laptop's network: its first layer whitens, its filters start as copies of their input."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from s10 import CustomResNet, InputError
from s10.speed.ablations import WithoutDirac, WithoutWhitening
from s10.speed.recipes import LaptopRecipe
from s10.speed.whitened_net import PooledConv, WhitenedNet, dirac_init_
from s10.transforms import normalize


@pytest.fixture(scope="module")
def images(few):
    return normalize(few.train_images, few.mean, few.std)


@pytest.mark.parametrize(("width", "classes", "size"), [(4, 2, 32), (16, 10, 24), (8, 7, 16)])
def test_shapes(width, classes, size):
    assert WhitenedNet(classes, width)(torch.rand(3, 3, size, size)).shape == (3, classes)


def test_it_accepts_every_size_from_16_on_and_the_assignments_network_only_32():
    for size in range(16, 33):
        assert WhitenedNet(10, 4).eval()(torch.rand(2, 3, size, size)).shape == (2, 10)
    with pytest.raises(RuntimeError):
        CustomResNet(10, 4).eval()(torch.rand(2, 3, 24, 24))


def test_parameters():
    """From the layers: 24 whitening filters, then 3 blocks, then 10 logits."""
    convs = 24 * 12 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    norms, fc = 2 * 2 * (64 + 256 + 256), 256 * 10 + 10
    assert sum(p.numel() for p in WhitenedNet().parameters()) == convs + norms + fc


def test_the_first_layer_has_uncorrelated_outputs_of_variance_1(images):
    model = WhitenedNet(width=4)
    model.whiten(images, eps=0.0)
    outputs = model.whitening(images)
    covariance = torch.cov(outputs.permute(1, 0, 2, 3).flatten(1)[:12])
    assert (covariance - torch.eye(12)).abs().max() < 0.02
    assert torch.equal(outputs[:, :12], -outputs[:, 12:])


def test_eps_keeps_the_faintest_directions_small(images):
    model = WhitenedNet(width=4)
    model.whiten(images, eps=1.0)
    variances = model.whitening(images).var((0, 2, 3))[:12]
    assert variances.max() < 1
    assert variances.min() < 0.1 * variances.max()


def test_the_first_layer_is_not_trained(few):
    model = LaptopRecipe(width=4).initial_model(few)
    before = model.whitening.weight.clone()
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    assert model.whitening.weight.grad is None
    assert torch.equal(before, model.whitening.weight)


def test_it_starts_with_the_whitening_of_a_sample_of_the_training_images(few, images, monkeypatch):
    recipe, expected = LaptopRecipe(width=4), WhitenedNet(width=4)
    expected.whiten(images)
    assert torch.equal(recipe.initial_model(few).whitening.weight, expected.whitening.weight)
    monkeypatch.setattr("s10.speed.recipes.WHITENING_IMAGES", 50)
    sample = few.subset(50)
    expected.whiten(normalize(sample.train_images, few.mean, few.std))
    assert torch.equal(recipe.initial_model(few).whitening.weight, expected.whitening.weight)


def test_the_whitened_images_are_normalized_by_the_recipe(few):
    class Brighter(LaptopRecipe):
        def normalization(self, dataset):
            return (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)

    expected = WhitenedNet(width=4)
    expected.whiten(normalize(few.train_images, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    model = Brighter(width=4).initial_model(few)
    assert torch.equal(model.whitening.weight, expected.whitening.weight)


@pytest.mark.parametrize(("channels_in", "channels_out"), [(5, 5), (4, 9), (6, 3)])
def test_the_first_outputs_are_the_inputs(channels_in, channels_out):
    conv = dirac_init_(nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False))
    x = torch.rand(2, channels_in, 8, 8)
    equal = min(channels_in, channels_out)
    torch.testing.assert_close(conv(x)[:, :equal], x[:, :equal])
    assert conv.weight.requires_grad


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (7, 8), (10, 5)])
def test_after_the_pooling_a_pooled_convolution_is_a_plain_one(size):
    pooled = PooledConv(3, 4).double()
    plain = nn.Conv2d(3, 4, 3, padding=1, bias=False).double()
    plain.load_state_dict(pooled.state_dict())
    results = []
    for conv in (pooled, plain):
        torch.manual_seed(0)
        x = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
        outputs = F.max_pool2d(conv(x), 2)
        (outputs * torch.rand_like(outputs)).sum().backward()
        results.append((outputs, x.grad, conv.weight.grad))
    torch.testing.assert_close(*results)


def test_a_pooled_convolution_skips_what_the_pooling_drops():
    work = []
    for side in (6, 7):
        with FlopCounterMode(display=False) as counter:
            PooledConv(3, 4)(torch.rand(1, 3, side, side))
        work.append(counter.get_total_flops())
    assert work[0] == work[1] == 2 * 6 * 6 * 9 * 3 * 4


def test_bad_input():
    for bad in (0, -1, 2.5):
        with pytest.raises(InputError, match="width"):
            WhitenedNet(10, bad)
        with pytest.raises(InputError, match="wide"):
            WhitenedNet(10, 4, bad)
    with pytest.raises(InputError, match="two images"):
        WhitenedNet(width=4).whiten(torch.rand(1, 3, 32, 32))


def test_without_whitening_the_first_layer_is_random_and_trained(few):
    torch.manual_seed(0)
    model = WithoutWhitening(width=4).initial_model(few)
    torch.manual_seed(0)
    assert torch.equal(model.whitening.weight, WhitenedNet(width=4).whitening.weight)
    assert model.whitening.weight.requires_grad
    filters = WithoutWhitening().make_optimizer(model).param_groups[0]["params"]
    assert any(weight is model.whitening.weight for weight in filters)
    x = torch.rand(2, 24, 8, 8)
    torch.testing.assert_close(model.block1[0](x)[:, :4], x[:, :4])  # The rest is unchanged.


def test_without_dirac_no_filter_copies_its_input(few, images):
    model, expected = WithoutDirac(width=4).initial_model(few), WhitenedNet(width=4)
    expected.whiten(images)
    assert torch.equal(model.whitening.weight, expected.whitening.weight)
    assert not model.whitening.weight.requires_grad
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer is not model.whitening:
            x = torch.rand(2, layer.in_channels, 8, 8)
            assert not torch.allclose(layer(x)[:, 0], x[:, 0], atol=0.1)
