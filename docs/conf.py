"""Sphinx settings of the course as a web page: `make site` writes it to build/site.

Each page is a file that is there anyway. `adapt` gives it, while it is read, what a page
without a kernel needs.
"""

import json
import posixpath
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tools")]
import links  # noqa: E402

URL = links.address(HERE.parent)

project = html_title = "s10"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "README"
include_patterns = [
    "README.md", "notebooks/*.ipynb", "docs/reference.md", "results/README.md",
    "benchmarks/README.md", "RELIABILITY.md", "CONTRIBUTING.md", "TEACHING.md",
]  # fmt: skip
TOCTREES = f"""
```{{toctree}}
:hidden:
:glob:
:caption: Notebooks

notebooks/*
```
```{{toctree}}
:hidden:
:caption: More

docs/reference
results/README
benchmarks/README
RELIABILITY
TEACHING
CONTRIBUTING
GitHub <{URL}>
```
"""

html_theme = "furo"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_favicon = "favicon.svg"
html_copy_source = html_show_sourcelink = html_show_copyright = False
html_use_index = False
pygments_dark_style = "github-dark"

nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # which has tables
nb_render_image_options = {"width": "100%"}  # With a width, a click shows the whole figure.
nb_code_prompt_show, nb_code_prompt_hide = "Show the {type}", "Hide the {type}"
myst_enable_extensions = ["attrs_inline", "html_image"]
myst_heading_anchors = 3
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # PyTorch's of what its classes inherit
add_module_names = False

BADGE = re.compile(r"\[!\[(Open in \w+)\]\([^)]+\)\]\(([^)]+)\)")
LINK = re.compile(r"(?<!!)(\[[^]]*\]\()(?!https?:|#)([^)#]+)")


def adapt(app, docname: str, source: list[str]) -> None:
    """Change a page's text (`source[0]`) while Sphinx reads it, not the file."""

    def to_github(match):
        """A link within the repository, unless it leads to a page."""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(docname), match[2]))
        page = posixpath.splitext(path)[0] in app.env.found_docs
        return match[0] if page else f"{match[1]}{URL}/blob/main/{path}"

    def adapted(text):
        # Without images from Colab and Kaggle, a page needs no network.
        return LINK.sub(to_github, BADGE.sub(r"[\1](\2){.button}", text))

    if not docname.startswith("notebooks/"):
        source[0] = adapted(source[0]) + TOCTREES * (docname == root_doc)
        return
    notebook = json.loads(source[0])
    notebook["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = adapted(text)
        hidden = cell["metadata"].get("jupyter", {})
        tags = cell["metadata"].setdefault("tags", [])
        tags += ["hide-output"] * hidden.get("outputs_hidden", False)
        tags += ["hide-input"] * hidden.get("source_hidden", False)
        if "explore_one_cycle()" in text:
            explorer = {"text/html": (HERE / "explorer.html").read_text()}
            cell["outputs"] = [{"output_type": "display_data", "data": explorer, "metadata": {}}]
    first = notebook["cells"][0]
    download = f"{{download}}`Download <{posixpath.basename(docname)}.ipynb>`"
    first["source"] = first["source"].replace(".button}\n\n", f".button}}\n{download}\n\n", 1)
    source[0] = json.dumps(notebook)


def add_index(app, exception) -> None:
    """The start page under the name by which web servers find it."""
    if not exception:
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def keep_colons(app, what, name, thing, options, lines: list[str]) -> None:
    """Napoleon would read "assignment: 0 for none" as the type and the text of an attribute."""
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]  # an empty comment


def setup(app) -> None:
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before Napoleon
    app.connect("source-read", adapt)
    app.connect("build-finished", add_index)
