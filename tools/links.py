"""Copy the repository's address from pyproject.toml to every place that needs it.

    python tools/links.py [--check] [ROOT]

Rewrites install and clone commands, badges, and the table of notebooks in README.md,
in the other pages beside it, in notebooks/ and in the messages of s10/. With --check
nothing is written, and the exit status is 1 if a file holds another address.
"""

import argparse
import re
import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
# After `git+` or `git clone`, before the path of a CI badge, and before that of one of our files.
PLAIN = re.compile(
    r"(?<=git\+)https://[\w./-]*\w|(?<=git clone )https://[\w./-]*\w"
    r"|https://[\w./-]+?(?=/actions/workflows/)"
    r"|https://[\w./-]+?(?=/blob/main/(?:benchmarks|results|s10)/)"
)
COLAB = re.compile(r"https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/")
KAGGLE = re.compile(r"(https://kaggle\.com/kernels/welcome\?src=)https://[\w./-]+?/blob/")
PAGES = re.compile(r"(?<=\[web page\]\()https://[\w-]+\.github\.io/[\w.-]+/")
BADGE = re.compile(r"\[!\[Open in \w+\]\([^)]+\)\]\([^)]+\)")
TABLE = re.compile(r"(<!-- notebooks -->\n).*?(<!-- end -->)", re.S)


def address(root: Path) -> str:
    """The repository's address, such as https://github.com/owner/name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].rstrip("/")


def update_addresses(text: str, url: str) -> str:
    """The text with `url` in every place that names the repository."""
    owner, name = url.split("/")[-2:]
    text = PAGES.sub(f"https://{owner.lower()}.github.io/{name}/", PLAIN.sub(url, text))
    text = COLAB.sub(f"https://colab.research.google.com/github/{owner}/{name}/blob/", text)
    return KAGGLE.sub(rf"\g<1>{url}/blob/", text)


def notebook_table(root: Path, url: str) -> str:
    """The README's table of the notebooks: their titles and badges."""
    rows = ["| notebook | run it |", "| --- | --- |"]
    for script in sorted((root / "notebooks").glob("[0-9]*.py")):
        text = script.read_text(encoding="utf-8")
        title = re.search(r"^# # (.+)$", text, re.M)[1]
        link = f"[{title}](notebooks/{script.stem}.ipynb)"
        rows.append(f"| {link} | {' '.join(BADGE.findall(text))} |")
    return update_addresses("\n".join(rows) + "\n", url)


def files(root: Path) -> list[Path]:
    """The files that may hold the address."""
    notebooks = sorted((root / "notebooks").glob("[0-9]*"))
    return [*sorted(root.glob("*.md")), *notebooks, *sorted((root / "s10").rglob("*.py"))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--check", action="store_true", help="only report differences")
    options = parser.parse_args(arguments)
    url, differ = address(options.root), 0
    for path in files(options.root):
        before = path.read_text(encoding="utf-8")
        after = update_addresses(before, url)
        if path.name == "README.md":
            table = notebook_table(options.root, url)
            after = TABLE.sub(lambda match, table=table: match[1] + table + match[2], after)
        if before == after:
            continue
        differ += 1
        if options.check:
            print(f"{path.relative_to(options.root)} does not reflect {url}; run `make links`")
        else:
            path.write_text(after, encoding="utf-8")
    return int(options.check and differ > 0)


if __name__ == "__main__":
    sys.exit(main())
