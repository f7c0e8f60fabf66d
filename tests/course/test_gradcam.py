"""Grad-CAM: equal to Captum's, and to what can be computed by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from s10 import CustomResNet
from s10.course.gradcam import grad_cam, place, plot_heat


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = CustomResNet(width=4)
    with torch.no_grad():
        model(torch.randn(64, 3, 32, 32))  # So that the running statistics are no longer 0 and 1.
    return model


IMAGES = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([3, 5, 0, 9, 3, 1])


@pytest.mark.parametrize("name", ["prep", "layer1", "layer2", "layer3"])
def test_it_is_captums(model, name):
    captum = pytest.importorskip("captum.attr")
    layer = getattr(model, name)
    heat = grad_cam(model, layer, IMAGES, CLASSES)
    attribution = captum.LayerGradCam(model.eval(), layer).attribute(
        IMAGES, target=CLASSES, relu_attributions=True
    )
    assert heat.shape == attribution[:, 0].shape
    assert heat.max() > 0
    torch.testing.assert_close(heat, attribution[:, 0].detach())


def test_it_is_what_the_last_layer_says_by_hand(model):
    """After layer 3 come a maximum over 4 × 4 and one linear layer: no gradient is needed."""
    heat = grad_cam(model, model.layer3, IMAGES, CLASSES)
    model.eval()
    with torch.no_grad():
        maps = model.layer3(model.layer2(model.layer1(model.prep(IMAGES))))
        weights = model.fc.weight[CLASSES] / 16  # One of the 16 positions is the maximum.
        expected = torch.einsum("nc,nchw->nhw", weights, maps).clamp_min(0)
    torch.testing.assert_close(heat, expected)


def test_the_model_is_left_as_it_was(model):
    model.train()
    model.layer2[2].eval()  # A layer whose statistics somebody keeps.
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():  # A learner may be inside of it.
        heat = grad_cam(model, model.layer3, IMAGES, CLASSES)
    assert not heat.requires_grad
    assert model.training
    assert not model.layer2[2].training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert not model.layer3._forward_hooks


def test_a_class_without_evidence_has_no_heat():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
                          nn.Linear(2, 2))  # fmt: skip
    model[4].weight.data = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    heat = grad_cam(model, model[1], IMAGES[:2], torch.tensor([0, 1]))
    assert heat[0].max() > 0
    assert not heat[1].any()
    assert place(heat[1]) == "nowhere"


@pytest.mark.parametrize("brightness", [0, 200])
def test_the_figure_colors_dark_and_bright_objects_alike(brightness):
    images = np.full((2, 32, 32, 3), brightness, np.uint8)
    heat = torch.zeros(2, 4, 4)
    heat[0, 0, 0] = 7
    figure = plot_heat(images, [heat], ["a", "b", "map a", "map b"])
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "map a", "map b"]
    assert shown[0].max() == shown[0].min() == pytest.approx(brightness / 255)
    red, green, blue = shown[2][0, 0]  # The map is largest here.
    assert red > green + 0.25
    assert red > blue + 0.25
    assert shown[2][31, 31] == pytest.approx([brightness / 255] * 3)
    assert shown[3].max() == shown[3].min() == pytest.approx(brightness / 255)
    beside = plot_heat(images[:1], [heat[:1], heat[1:]], ["a", "map a", "map b"], columns=3)
    assert len({axes.get_subplotspec().rowspan.start for axes in beside.axes}) == 1


@pytest.mark.parametrize(
    ("position", "words"),
    [((0, 0), "upper left"), ((0, 3), "upper right"), ((1, 2), "center"), ((2, 2), "center"),
     ((3, 1), "lower center"), ((2, 0), "middle left")],
)  # fmt: skip
def test_a_place_in_words(position, words):
    heat = torch.zeros(4, 4)
    heat[position] = 1
    assert place(heat) == words
