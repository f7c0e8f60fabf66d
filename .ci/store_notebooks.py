"""Run the notebooks from top to bottom and store what they show.

    python .ci/store_notebooks.py [NAME …]

Each is run as a learner would, on the real data, in this environment's kernel;
it is written only when all its cells ran. Progress bars and widget state are
left out, pictures are made small. Then it is run once more on the drawn shapes,
only for the time. The seconds go to results/notebooks.json.
"""

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

from s10.device import describe, pick_device, pick_precision
from s10.runs import commit, versions

TIMES = pairs.NOTEBOOKS.parent / "results" / "notebooks.json"
WIDGET = "application/vnd.jupyter.widget-view+json"
COLOURS = 256
START = "notebook.start()"
# What tqdm draws: a carriage return, then "title:  10%|# | 1/10 [times]" or blanks to wipe it
# out. Whatever else is in the same piece of text, an epoch's line or a warning, stays.
BAR = re.compile(r"\r(?:[^\r\n|]*\|[^\r\n|]*\| \d+/\d+ \[[^\r\n\]]*\] *| *)")


def run(notebook: nbformat.NotebookNode) -> float:
    """Run all cells; gives back the seconds."""
    # Elsewhere, so that nothing a notebook writes ends up in the repository.
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
    """Run one notebook and write it with its outputs; gives back the seconds."""
    pairs.update(path.with_suffix(".py"), path)
    notebook = nbformat.read(path, 4)
    seconds = run(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # Time stamps of each cell.
        if cell.cell_type == "code":
            outputs = [clean(output) for output in cell.outputs]
            cell.outputs = joined([output for output in outputs if kept(output)])
    pairs.write(path, notebook.cells)
    return seconds


def time_on_shapes(path: Path) -> float:
    """Seconds that the notebook takes on the smallest data; nothing is written."""
    notebook = nbformat.read(path, 4)
    (setup,) = [cell for cell in notebook.cells if START in cell.source]
    setup.source = setup.source.replace(START, 'notebook.start(data="shapes")')
    return run(notebook)


def clean(output):
    """The output without the progress bars that were drawn, its picture made smaller."""
    if output.output_type == "stream":
        text = BAR.sub("", output.text)
        output.text = text if text.strip() else ""
    picture = output.get("data", {}).get("image/png")
    if picture:
        output["data"]["image/png"] = smaller(picture)
    output.get("metadata", {}).pop("image/png", None)
    return output


def kept(output) -> bool:
    """Widgets live only while they run, and of a bar nothing is left."""
    if output.output_type == "stream":
        return bool(output.text)
    return WIDGET not in output.get("data", {})


def joined(outputs: list) -> list:
    """Neighbouring pieces of stdout as one, as if no progress bar had come between."""
    result = []
    for output in outputs:
        last = result[-1] if result else None
        if last and last.output_type == output.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            result.append(output)
    return result


def smaller(picture: str) -> str:
    """A PNG (base64) with 256 colours, if that is shorter."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    short = base64.b64encode(buffer.getvalue()).decode()
    return min(picture.strip(), short, key=len)


def chosen(names: list[str]) -> list[Path]:
    """The scripts of these notebooks, of all if none is named."""
    scripts = {path.stem: path for path in sorted(pairs.NOTEBOOKS.glob("[0-9]*.py"))}
    if unknown := set(names) - set(scripts):
        sys.exit(f"no notebook {', '.join(sorted(unknown))}: there are {', '.join(scripts)}")
    return [scripts[name] for name in names] or list(scripts.values())


def main() -> None:
    paths = chosen(sys.argv[1:])
    # A still picture in place of the sliders.
    os.environ["S10_STATIC"] = "1"
    os.environ.setdefault("S10_DATA", str(pairs.NOTEBOOKS.parent / "data"))
    os.environ["S10_DATA"] = str(Path(os.environ["S10_DATA"]).resolve())
    times = json.loads(TIMES.read_text()) if TIMES.exists() else {}
    device = pick_device("auto")
    for path in paths:
        code = commit()
        seconds = store(path.with_suffix(".ipynb"))
        on_shapes = time_on_shapes(path.with_suffix(".ipynb"))
        print(f"{path.stem}: {seconds:.0f} s, on shapes {on_shapes:.0f} s", flush=True)
        times[path.stem] = {
            "seconds": round(seconds),
            "seconds_on_shapes": round(on_shapes),
            "device": describe(device),
            "precision": pick_precision("auto", device).name,
            "versions": versions(),
            "commit": code,
        }
        TIMES.write_text(json.dumps(times, indent=2) + "\n")


if __name__ == "__main__":
    main()
