"""Pictures of one's own in a notebook: an upload button on Colab, a path elsewhere."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from s10 import InputError, predict
from s10.course import own_pictures


@pytest.fixture
def colab(monkeypatch):
    """Colab's module, whose button uploads the files in `colab.uploaded`."""
    module = ModuleType("google.colab")
    module.uploaded = {}
    module.files = SimpleNamespace(upload=lambda: module.uploaded)
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", module)
    return module


def test_elsewhere_it_is_a_path(tmp_path):
    assert own_pictures(str(tmp_path)) == [tmp_path]
    with pytest.raises(InputError, match=r"there is no picture .*no\.png"):
        predict("assignment-width16", own_pictures(tmp_path / "no.png"))


def test_without_one_it_is_an_example(demo, capsys):
    (path,) = own_pictures()
    assert capsys.readouterr().out.startswith("an example; for your own pictures: own_pictures(")
    assert predict(demo[0], own_pictures()).names == (str(path),)


def test_on_colab_files_are_uploaded(colab, capsys):
    colab.uploaded = {"cat.jpg": b"...", "dog (1).png": b"..."}
    assert own_pictures() == [Path("cat.jpg"), Path("dog (1).png")]
    assert own_pictures(__file__) == [Path(__file__)]
    colab.uploaded = {}
    assert own_pictures()[0].exists()
    assert capsys.readouterr().out == "nothing was uploaded, so this is an example\n"
