"""Which code a cell needs, however the student has rearranged the notebook."""

import json

import pytest

from s10.course.cells import needed, read_cell, read_notebook
from s10.runtime.errors import InputError

IMPORT = "import numpy as np"
SLOW = "import numpy as np\nvalues = train()\n\ndef square(x):\n    return np.square(x)\n"


def sources(*texts, index=-1, answer="None"):
    """The sources that a cell needs, by default the last one."""
    cells = [read_cell(text) for text in texts]
    return list(needed(cells, index % len(cells), answer).values())


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["a = 1", "b = 2", "a + c"], ["a = 1"]),
        (["a = 1", "b = a", "c = b"], ["a = 1", "b = a"]),
        (["a = 1", "a = 2", "a"], ["a = 2"]),  # the nearest one
        (["a = 1", "a = a + 1", "a"], ["a = 1", "a = a + 1"]),
        (["d = {}", "d['A'] = 1", "d"], ["d = {}", "d['A'] = 1"]),
        (["a = 1", "!pip install a\n%matplotlib inline\nb = a", "b"], None),
        (["a = 1", "%%time\nb = a", "b"], ["a = 1", "%%time\nb = a"]),
        # An import, a function or a class runs without the rest of its cell.
        ([SLOW, "def f(x):\n    return np.exp(x)"], [IMPORT]),
        ([SLOW, "square(2)"], [IMPORT, "def square(x):\n    return np.square(x)"]),
        ([SLOW, "values"], [SLOW]),
        (["from math import *\ntrain()", "1", "exp(1)"], ["from math import *"]),
        (["def f():\n    return 1\nf.x = 2", "f.x"], ["def f():\n    return 1\nf.x = 2"]),
        # What a function calls its own is not global.
        (
            ["images = train()", "def f(images):\n    rows = [i for i in images]\n    return rows"],
            [],
        ),
        (["x = train()", "x = 1\ny = x"], []),
        (["x = train()", "def f():\n    return x\nx = 1"], []),
        # Broken cells define nothing.
        (["a = 1", "a = = 2", "a"], ["a = 1"]),
        (["a = 1\0", "a"], []),
        (["(" * 500 + ")" * 500, "a"], []),
    ],
)
def test_a_cell_needs_what_it_uses(cells, expected):
    assert sources(*cells) == (cells[:-1] if expected is None else expected)


def test_a_definition_below_counts_if_there_is_none_above():
    assert sources("f(1)", "def f(x):\n    return g(x)", "def g(x): pass", index=0) == [
        "def f(x):\n    return g(x)", "def g(x):\n    pass",
    ]  # fmt: skip
    assert sources("def f(): return g()\ndef g(): return f()", "f()") != []


def test_what_the_answer_uses_is_needed_too():
    assert sources("mine = 1", "check = 2", answer="mine") == ["mine = 1"]
    assert sources("mine = 1", "mine = 2", answer="mine") == []


def test_calls_are_found_with_their_argument():
    cell = read_cell(
        "print(exercises.blocks.f(lambda x: 2 * x))\n\ndef g():\n    blocks.h((yield))"
    )
    assert cell.calls["blocks.f"] == "lambda x: 2 * x"
    assert "blocks.h" not in cell.calls


def test_a_notebook_is_read_whatever_else_is_in_it(tmp_path):
    path = tmp_path / "a.ipynb"
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"], "metadata": {"tags": ["x", 3]}},
        {"cell_type": "code", "source": "'\\d'"},  # which gives a SyntaxWarning
    ]
    path.write_text(json.dumps({"cells": cells}))
    first, second = read_notebook(path)
    assert (first.code.source, first.tags) == ("a = 1\nb = 2", {"x", "3"})
    assert second.code.source == "'\\d'"


@pytest.mark.parametrize(
    "content",
    [b"", b"%PDF-1.7 \xff", b"[]", b"3", b'{"cells": 3}', b'{"cells": [{}]}', b'{"worksheets": []}',
     b'{"cells": [{"cell_type": "code", "source": 3}]}',
     b'{"cells": [{"cell_type": "code", "source": "", "metadata": []}]}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_notebook_is_said(tmp_path, content):
    (tmp_path / "a.ipynb").write_bytes(content)
    with pytest.raises(InputError, match="not a Jupyter notebook"):
        read_notebook(tmp_path / "a.ipynb")


def test_a_file_that_is_too_large_or_gone_is_said(tmp_path):
    with open(tmp_path / "a.ipynb", "wb") as file:
        file.truncate(101_000_000)  # without blocks on the disk
    with pytest.raises(InputError, match="101 MB: clear its outputs"):
        read_notebook(tmp_path / "a.ipynb")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_notebook(tmp_path / "b.ipynb")
