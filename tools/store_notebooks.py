"""Run the notebooks from top to bottom and store their outputs.

    python tools/store_notebooks.py [NAME …] [--times FILE]

Each notebook (default: all) runs as a learner would run it, on CIFAR-10, with this
environment's kernel; it is written only if all its cells ran. Progress bars and
widget state are left out, and figures are compressed. The times go to
results/notebooks.json; with --times to that file, and nothing else is written.
"""

import argparse
import base64
import io
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pairs
from nbclient import NotebookClient
from PIL import Image

from s10.cli.runs import commit, versions
from s10.runtime.device import describe_device, pick_device, pick_precision

TIMES = pairs.NOTEBOOKS.parent / "results" / "notebooks.json"
WIDGET = "application/vnd.jupyter.widget-view+json"
COLORS = 256
# What tqdm draws: a carriage return, then "title:  10%|# | 1/10 [times]", or spaces that erase
# it. Anything else in the same output, such as an epoch's line or a warning, stays.
BAR = re.compile(r"\r(?:[^\r\n|]*\|[^\r\n|]*\| \d+/\d+ \[[^\r\n\]]*\] *| *)")


def run(notebook: nbformat.NotebookNode) -> float:
    """Run all cells; returns the seconds."""
    # In a temporary folder, so that nothing a notebook writes ends up in the repository.
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=3600,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            store_widget_state=False,
        )
        start = time.perf_counter()
        client.execute()
        return time.perf_counter() - start


def store(path: Path) -> float:
    """Run one notebook and write it with its outputs; returns the seconds."""
    pairs.update(path.with_suffix(".py"), path)
    notebook = nbformat.read(path, 4)
    seconds = run(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the time stamps of each cell
        if cell.cell_type == "code":
            outputs = [clean(output) for output in cell.outputs]
            cell.outputs = merge_streams([output for output in outputs if is_stored(output)])
    pairs.write(path, notebook.cells)
    return seconds


def clean(output):
    """The output without progress bars, its figure compressed."""
    if output.output_type == "stream":
        text = BAR.sub("", output.text)
        output.text = text if text.strip() else ""
    image = output.get("data", {}).get("image/png")
    if image:
        output["data"]["image/png"] = compress(image)
    output.get("metadata", {}).pop("image/png", None)
    return output


def is_stored(output) -> bool:
    """False for widgets, which need a running kernel, and for text that was only a bar."""
    if output.output_type == "stream":
        return bool(output.text)
    return WIDGET not in output.get("data", {})


def merge_streams(outputs: list) -> list:
    """Merge adjacent outputs of one stream, which a progress bar may have separated."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and last.output_type == output.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def compress(image: str) -> str:
    """A PNG (base64) with a palette of 256 colors, if that is smaller."""
    pixels = Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")
    buffer = io.BytesIO()
    pixels.quantize(COLORS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return min(image.strip(), base64.b64encode(buffer.getvalue()).decode(), key=len)


def find_scripts(names: list[str]) -> list[Path]:
    """The scripts of the notebooks with these names, or of all notebooks."""
    scripts = {path.stem: path for path in sorted(pairs.NOTEBOOKS.glob("[0-9]*.py"))}
    if unknown := set(names) - set(scripts):
        sys.exit(f"no notebook {', '.join(sorted(unknown))}: there are {', '.join(scripts)}")
    return [scripts[name] for name in names] or list(scripts.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", metavar="NAME", nargs="*", help="such as 01_lr_range_test")
    parser.add_argument("--times", type=Path, metavar="FILE", help="only measure, into this file")
    options = parser.parse_args()
    paths, file = find_scripts(options.names), options.times or TIMES
    os.environ["S10_STATIC"] = "1"  # a line in place of the sliders
    data = os.environ.get("S10_DATA", pairs.NOTEBOOKS.parent / "data")
    os.environ["S10_DATA"] = str(Path(data).resolve())
    times = json.loads(file.read_text()) if file.exists() else {}
    device = pick_device("auto")
    for path in paths:
        code = commit()  # before the run, which changes the notebook
        notebook = path.with_suffix(".ipynb")
        seconds = run(nbformat.read(notebook, 4)) if options.times else store(notebook)
        print(f"{path.stem}: {seconds:.0f} s", flush=True)
        times[path.stem] = {
            "seconds": round(seconds),
            "device": describe_device(device),
            "precision": pick_precision("auto", device).name,
            "versions": versions(),
            "commit": code,
        }
        file.write_text(json.dumps(times, indent=2) + "\n")


if __name__ == "__main__":
    main()
