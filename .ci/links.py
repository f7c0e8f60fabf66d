"""Write the repository's address, which stands in pyproject.toml, wherever it is needed.

    python .ci/links.py [--check] [ROOT]

Rewrites the install address and the badges in README.md, notebooks/ and the
messages of s10/. With --check nothing is written, and the exit status is 1
where a file holds another address.
"""

import re
import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
INSTALL = re.compile(r"git\+https://[\w./-]+")
COLAB = re.compile(r"https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/")
KAGGLE = re.compile(r"(https://kaggle\.com/kernels/welcome\?src=)https://[\w./-]+?/blob/")
TABLE = re.compile(r"(<!-- notebooks -->\n).*?(<!-- end -->)", re.S)


def address(root: Path) -> str:
    """The repository's address, such as https://github.com/owner/name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].rstrip("/")


def colab(url: str) -> str:
    return "https://colab.research.google.com/github/" + "/".join(url.split("/")[-2:]) + "/blob/"


def updated(text: str, url: str) -> str:
    """The text with every address in it made that of the repository."""
    text = INSTALL.sub(f"git+{url}", text)
    text = COLAB.sub(colab(url), text)
    return KAGGLE.sub(rf"\g<1>{url}/blob/", text)


def table(root: Path, url: str) -> str:
    """The README's table of the notebooks: title and badges."""
    rows = ["| notebook | |", "| --- | --- |"]
    for script in sorted((root / "notebooks").glob("[0-9]*.py")):
        text = script.read_text(encoding="utf-8")
        title = re.search(r"^# # (.+)$", text, re.M)[1]
        badges = re.findall(r"\[!\[Open in \w+\]\([^)]+\)\]\([^)]+\)", text)
        link = f"[{title}](notebooks/{script.stem}.ipynb)"
        rows.append(f"| {link} | {' '.join(badges)} |")
    return updated("\n".join(rows) + "\n", url)


def files(root: Path) -> list[Path]:
    found = [root / "README.md", *sorted((root / "notebooks").glob("[0-9]*"))]
    return found + sorted((root / "s10").rglob("*.py"))


def main() -> int:
    arguments = [word for word in sys.argv[1:] if word != "--check"]
    root = Path(arguments[0]) if arguments else ROOT
    url, wrong = address(root), 0
    for path in files(root):
        before = path.read_text(encoding="utf-8")
        after = updated(before, url)
        if path.name == "README.md":
            after = TABLE.sub(lambda match: match[1] + table(root, url) + match[2], after)
        if before == after:
            continue
        wrong += 1
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(root)} does not hold {url}; run `make links`")
        else:
            path.write_text(after, encoding="utf-8")
    return int(wrong > 0 and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
