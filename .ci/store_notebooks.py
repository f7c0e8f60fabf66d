"""Run the notebooks from top to bottom and store what they show.

    python .ci/store_notebooks.py [NAME …]

Each is run as a learner would, on the real data, in this environment's kernel;
it is written only when all its cells ran. Progress bars and widget state are
left out, pictures are made small. The minutes go to results/notebooks.json.
"""

import base64
import io
import json
import os
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


def run(path: Path) -> float:
    """Run one notebook and write it with its outputs; gives back the seconds."""
    pairs.update(path.with_suffix(".py"), path)
    notebook = nbformat.read(path, 4)
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
        seconds = time.perf_counter() - start
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # Time stamps of each cell.
        if cell.cell_type == "code":
            cell.outputs = joined([clean(output) for output in cell.outputs if kept(output)])
    pairs.write(path, notebook.cells)
    return seconds


def kept(output) -> bool:
    """Progress bars (carriage returns on stderr) and widgets live only while they run."""
    if output.output_type == "stream":
        return not (output.name == "stderr" and (not output.text.strip() or "\r" in output.text))
    return WIDGET not in output.get("data", {})


def clean(output):
    """The output with its picture made smaller."""
    picture = output.get("data", {}).get("image/png")
    if picture:
        output["data"]["image/png"] = smaller(picture)
    output.get("metadata", {}).pop("image/png", None)
    return output


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


def main() -> None:
    # A still picture in place of the sliders.
    os.environ["S10_STATIC"] = "1"
    os.environ.setdefault("S10_DATA", str(pairs.NOTEBOOKS.parent / "data"))
    os.environ["S10_DATA"] = str(Path(os.environ["S10_DATA"]).resolve())
    times = json.loads(TIMES.read_text()) if TIMES.exists() else {}
    device = pick_device("auto")
    for path in sorted(pairs.NOTEBOOKS.glob("[0-9]*.py")):
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        code = commit()
        seconds = run(path.with_suffix(".ipynb"))
        print(f"{path.stem}: {seconds:.0f} s", flush=True)
        times[path.stem] = {
            "seconds": round(seconds),
            "device": describe(device),
            "precision": pick_precision("auto", device).name,
            "versions": versions(),
            "commit": code,
        }
        TIMES.write_text(json.dumps(times, indent=2) + "\n")


if __name__ == "__main__":
    main()
