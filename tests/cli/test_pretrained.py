"""What comes trained with s10 has the accuracy that is stated, on labels that do not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from s10 import (
    CustomResNet,
    InputError,
    Predictions,
    evaluate,
    load_dataset,
    load_pretrained,
    stored_predictions,
)
from s10.cli.main import main
from s10.cli.pretrained import STORED, find_run
from s10.cli.runs import Run
from s10.loaders import eval_loader

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("assignment", "assignment-width16")


def summary(name):
    return json.loads((STORED / name / "summary.json").read_text())


@pytest.fixture(scope="module")
def cifar10(cifar10_dir):
    return load_dataset("cifar10", cifar10_dir)


def test_the_stored_network_has_the_stated_accuracy(cifar10):
    model, images = load_pretrained(), cifar10.test_images
    assert not model.training
    batches = eval_loader(images, cifar10.test_labels, cifar10.mean, cifar10.std)
    accuracy = evaluate(model, batches, cifar10.classes).accuracy
    # Another CPU may round sums otherwise, which decides a few close calls.
    stated = summary("assignment-width16")
    assert accuracy == pytest.approx(stated["stored_test_accuracy"], abs=0.0005)
    assert accuracy == pytest.approx(stated["test_accuracy"], abs=0.002)  # In bf16, say.


def test_the_stored_predictions_have_the_accuracy_of_their_run(cifar10):
    found = stored_predictions("assignment", cifar10)
    assert isinstance(found, Predictions)
    assert found.labels is cifar10.test_labels or np.array_equal(found.labels, cifar10.test_labels)
    stated = summary("assignment")
    assert found.accuracy == stated["test_accuracy"]
    assert found.loss == pytest.approx(stated["test_loss"], abs=1e-3)
    by_class = dict(found.class_accuracy()[["class", "accuracy"]].itertuples(index=False))
    assert by_class == stated["class_accuracy"]


def test_by_default_the_labels_are_loaded(cifar10_dir, monkeypatch):
    monkeypatch.setenv("S10_DATA", str(cifar10_dir))
    assert stored_predictions().accuracy == summary("assignment")["test_accuracy"]


def test_labels_of_other_images_are_refused(few, cifar10):
    for dataset in (few, cifar10.subset(100, 10_000), replace(cifar10, name="mine").hold_out(100)):
        with pytest.raises(InputError, match="are for all images of cifar10, not for this data"):
            stored_predictions("assignment", dataset)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_its_provenance(name):
    stated = summary(name)
    assert len(stated["commit"]) == 40
    assert stated["epochs"] == 24
    assert stated["recipe"]["class"] == "Recipe"
    for key in ("device", "precision", "versions", "seed", "finished"):
        assert stated[key] not in ("", None)


def test_no_labels_are_stored():
    with np.load(STORED / "assignment" / "logits.npz") as arrays:
        assert arrays.files == ["logits"]
        assert (arrays["logits"].dtype, arrays["logits"].shape) == (np.float16, (10_000, 10))


def test_the_stored_logits_are_those_of_results():
    stored, source = STORED / "assignment", ROOT / "results" / "cifar10-width64-h200" / "seed0"
    for name in ("logits.npz", "summary.json"):
        assert (stored / name).read_bytes() == (source / name).read_bytes()


def test_the_network_is_the_quarter_width_one_in_float32():
    model = load_pretrained("assignment-width16")
    assert isinstance(model, CustomResNet)
    assert sum(weight.numel() for weight in model.parameters()) == 412_954
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(weight.requires_grad for weight in model.parameters())


def test_what_is_not_stored():
    with pytest.raises(
        InputError, match="'assignment' does not come with s10, only assignment-width16"
    ):
        load_pretrained("assignment")
    with pytest.raises(InputError, match=r"only assignment$"):
        stored_predictions("../stored/assignment")
    with pytest.raises(InputError, match="there is no run nothing"):
        find_run("nothing")


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_run("assignment-width16").folder == STORED / "assignment-width16"
    Path("assignment-width16").mkdir()
    assert find_run("assignment-width16").folder == Path("assignment-width16")
    load_pretrained("assignment-width16")


def test_evaluate_knows_it_too(image_folder, capsys):
    assert main(["evaluate", "assignment-width16", "--data", f"folder:{image_folder}"]) == 2
    assert "the classes of folder:pets (cat, dog) are not those" in capsys.readouterr().err


def test_the_tool_stores_a_run(demo, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import update_pretrained

    logits = tmp_path / "logits"
    logits.mkdir()
    np.savez(logits / "logits.npz", logits=np.zeros((2, 3), np.float16))
    (logits / "summary.json").write_bytes((demo[0] / "summary.json").read_bytes())
    stored = tmp_path / "stored"
    assert update_pretrained.main([f"small={demo[0]}", f"logits={logits}"], stored) == 0
    weights = load_file(stored / "small" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16, torch.int64}
    before, metadata = Run(demo[0]).load_model()
    after, kept = Run(stored / "small").load_model()
    assert kept == metadata
    for name, value in before.state_dict().items():
        assert torch.allclose(after.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    stated = json.loads((stored / "small" / "summary.json").read_text())
    assert stated.pop("stored_test_accuracy") == pytest.approx(stated["test_accuracy"], abs=0.02)
    assert stated == json.loads((demo[0] / "summary.json").read_text())
    assert sorted(path.name for path in (stored / "logits").iterdir()) == [
        "logits.npz", "summary.json",
    ]  # fmt: skip


def test_the_tool_explains_itself(capsys, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import update_pretrained

    assert update_pretrained.main([]) == update_pretrained.main(["runs/one"]) == 2
    assert "NAME=RUN" in capsys.readouterr().out
