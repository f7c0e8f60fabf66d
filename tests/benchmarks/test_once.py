"""One run that is tested once: the same training as `fit`, and a last line for the race."""

from dataclasses import replace

import once
import pytest
import torch
from time_to_accuracy import accuracy_in

from s10 import evaluate, fit, seed_everything
from s10.cli.registry import find_recipe
from s10.runtime.device import pick_precision
from s10.speed.tta import evaluate_with_tta

WORDS = ("--data", "shapes", "--device", "cpu", "--width", "4", "--epochs", "2")


@pytest.fixture(autouse=True)
def few_images(monkeypatch, shapes):
    few = shapes.subset(3000, 100)
    monkeypatch.setattr(once, "load_dataset", lambda *_: few)
    return few


@pytest.mark.parametrize("name", ["assignment", "assignment-94", "laptop-94"])
def test_it_trains_as_fit_does_and_tests_once(few_images, capsys, monkeypatch, name):
    tested = []

    def counting(*args, **options):
        tested.append(evaluate_with_tta(*args, **options))
        return tested[-1]

    monkeypatch.setattr(once, "evaluate_with_tta", counting)
    once.main([name, *WORDS, "--seed", "3"])
    last = capsys.readouterr().out.splitlines()[-1]
    recipe = replace(find_recipe(name), data="shapes", seed=3, width=4).with_epochs(2)
    seed_everything(3)
    model = recipe.initial_model(few_images)
    loaders = recipe.train_loader(few_images), recipe.test_loader(few_images)
    fit(model, *loaders, recipe, few_images.classes)
    (found,) = tested
    precision = pick_precision(recipe.precision, torch.device("cpu"))
    expected = evaluate(model, loaders[1], few_images.classes, precision=precision)
    assert accuracy_in(last, name) == pytest.approx(found.accuracy, abs=1e-4)
    # All views of an image where the network is unsure, else the one: three quarters are equal.
    equal = (abs(found.logits - expected.logits) < 1e-3).all(axis=1).mean()
    assert equal == pytest.approx(0.75 if name == "laptop-94" else 1.0, abs=0.02)


def test_training_images_are_held_out(few_images, monkeypatch):
    sizes = []

    def measuring(model, batches, *args, **options):
        sizes.append(sum(len(labels) for _, labels in batches))
        return evaluate_with_tta(model, batches, *args, **options)

    monkeypatch.setattr(once, "evaluate_with_tta", measuring)
    once.main(["assignment", *WORDS, "--hold-out", "60"])
    once.main(["assignment", *WORDS])
    assert sizes == [60, 100]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["labtop"], "did you mean laptop"),
        (["laptop", "--epochs", "-1"], "epochs"),
        (["laptop", "--epochs", "0"], "epochs"),
        (["laptop", "--width", "0"], "width"),
        (["laptop", "--hold-out", "-5"], "--hold-out must be from 1 to 2999"),
        (["laptop", "--hold-out", "3000"], "--hold-out must be from 1 to 2999"),
        (["laptop-94", "--data", "shapes", "--hold-out", "2990"], "no step to rise in"),
    ],
)
def test_bad_input(capsys, words, message):
    with pytest.raises(SystemExit):
        once.main(words)
    assert message in capsys.readouterr().err
