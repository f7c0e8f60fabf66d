"""The repository's address is set in pyproject.toml; `make links` copies it everywhere else."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OTHER = "https://github.com/some-one/an.other_repo"

spec = importlib.util.spec_from_file_location("links", ROOT / "tools" / "links.py")
links = importlib.util.module_from_spec(spec)
spec.loader.exec_module(links)


@pytest.fixture
def copy(tmp_path):
    for path in (ROOT / "pyproject.toml", *ROOT.glob("*.md")):
        shutil.copy(path, tmp_path)
    for name in ("notebooks", "s10"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def read_all(root):
    paths = [path for path in root.rglob("*") if path.suffix in (".md", ".py", ".ipynb")]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def test_every_address_is_that_of_the_repository(capsys):
    assert links.main(["--check"]) == 0, capsys.readouterr().out


def test_a_new_address_reaches_every_place(copy, capsys):
    project = copy / "pyproject.toml"
    old = links.address(copy)
    project.write_text(project.read_text().replace(old, OTHER))
    before = read_all(copy)
    name = "/".join(old.split("/")[-2:])
    places = sum(text.count(name) for text in before.values())
    assert places >= 5 * 2 * 2  # At least two badges in each notebook and in its script.
    assert links.main(["--check", str(copy)]) == 1
    out = capsys.readouterr().out
    for path in ("README.md", "notebooks/01_lr_range_test.py", "notebooks/05_fast_on_a_laptop.py"):
        assert path in out

    assert links.main([str(copy)]) == 0
    assert links.main(["--check", str(copy)]) == 0
    after = read_all(copy)
    assert not any(name in text for text in after.values())
    assert sum(text.count("some-one/an.other_repo") for text in after.values()) == places
    assert "(https://some-one.github.io/an.other_repo/)" in after[copy / "README.md"]
    # Nothing else changed.
    owner, repository = name.split("/")
    for path, text in before.items():
        back = after[path].replace("some-one/an.other_repo", name)
        back = back.replace("some-one.github.io/an.other_repo", f"{owner}.github.io/{repository}")
        assert back == text


@pytest.mark.parametrize(
    "place",
    [
        "`pip install git+{}`, and then",
        "!pip install -q git+{}\n",
        "git clone {}.",
        "[![CI]({}/actions/workflows/ci.yml/badge.svg)]({}/actions/workflows/ci.yml)",
        "(https://kaggle.com/kernels/welcome?src={}/blob/main/notebooks/01_lr_range_test.ipynb)",
    ],
)
def test_each_kind_of_place(place):
    text = place.replace("{}", "https://github.com/owner/name")
    assert links.update_addresses(text, OTHER) == place.replace("{}", OTHER)


def test_the_web_page_has_the_owner_in_lower_case():
    text = links.update_addresses(
        "[web page](https://owner.github.io/name/)", "https://github.com/Ann/S.10"
    )
    assert text == "[web page](https://ann.github.io/S.10/)"


def test_other_repositories_keep_their_addresses():
    text = "See https://github.com/KellerJordan/cifar10-airbench and https://github.com/a/b/blob/x."
    assert links.update_addresses(text, OTHER) == text


def test_the_readme_has_the_table_of_notebooks_with_badges():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = [match[0] for match in links.TABLE.finditer(readme)]
    for notebook in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        (row,) = [row for row in table.splitlines() if f"(notebooks/{notebook.name})" in row]
        assert "[![Open in Colab]" in row
        assert "[![Open in Kaggle]" in row


def test_a_mistyped_option_is_refused(capsys):
    with pytest.raises(SystemExit):
        links.main(["--chek"])
    assert "--chek" in capsys.readouterr().err
