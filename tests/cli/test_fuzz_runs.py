"""Whatever the files of a run hold: one InputError, little memory, nothing in them is executed."""

import dataclasses
import json
import resource

import pytest
from fuzzing import bounded_memory, error_of
from hypothesis import given
from hypothesis import strategies as st

from s10 import CustomResNet, InputError, Recipe
from s10.cli.registry import CLASSES, load_recipe
from s10.cli.runs import Run

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
classes = st.sampled_from(sorted(CLASSES))


@given(
    st.binary(max_size=300)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["class", "width", "network"]), json_values).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_a_recipe_of_anything(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "recipe.json"
    path.write_bytes(content)
    assert "\n" not in error_of(lambda: load_recipe(path))


@given(classes, st.data(), json_values)
def test_a_recipe_with_anything_in_a_field(tmp_path_factory, name, data, value):
    fields = [field.name for field in dataclasses.fields(CLASSES[name])]
    field = data.draw(st.sampled_from(fields))
    path = tmp_path_factory.getbasetemp() / "recipe.json"
    path.write_text(json.dumps({"class": name, field: value}))
    error = error_of(lambda: load_recipe(path))
    assert "\n" not in error
    if not error:
        recipe = load_recipe(path)
        path.write_text(recipe.to_json())
        assert load_recipe(path) == recipe


def test_a_recipe_that_never_ends(tmp_path):
    path = tmp_path / "recipe.json"
    with open(path, "wb") as file:
        file.truncate(1 << 32)
    with bounded_memory(), pytest.raises(InputError, match="is not JSON"):
        load_recipe(path)
    path.write_text("[" * 100_000)
    with bounded_memory(), pytest.raises(InputError, match="is not JSON"):
        load_recipe(path)


def test_weights_do_not_take_the_memory_that_a_recipe_claims(tmp_path):
    """recipe.json says width 1024, 1.7 billion parameters; the file holds those of width 4."""
    run = Run.start(tmp_path / "run", Recipe(width=4))
    run.save_model(CustomResNet(10, 4), list("abcdefghij"), (0.5,) * 3, (0.2,) * 3)
    (run.folder / "recipe.json").write_text(Recipe(width=1024).to_json())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="damaged or not a network"):
        run.load_model()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


def test_names_of_classes_do_not_become_paths(tmp_path):
    run = Run.start(tmp_path / "run", Recipe(width=4))
    run.save_model(
        CustomResNet(2, 4), ["C:\\evil; $(touch evil)", "../evil"], (0.5,) * 3, (0.2,) * 3
    )
    _, metadata = run.load_model()
    assert metadata["classes"][1] == "../evil"
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
