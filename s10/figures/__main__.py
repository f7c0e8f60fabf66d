"""`python -m s10.figures FOLDER` saves all figures there as PNG; see `make figures`."""

import argparse
import io
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from s10 import figures

DRAWN = (
    "shortcuts",
    "bottleneck",
    "one_by_one",
    "network",
    "lr_range_anatomy",
    "one_cycle_arithmetic",
    "triangular_and_annihilation",
    "five_networks",
    "newton_schulz",
)
# A measurement, so it is drawn only where it was made.
DEGRADATION = Path("results/experiments-cifar10-width16/depths.csv")


def save_all(folder: Path, table: Path = DEGRADATION) -> list[Path]:
    """Save each figure as FOLDER/NAME.png; `degradation` only if its table exists."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [save_figure(getattr(figures, name)(), folder / f"{name}.png") for name in DRAWN]
    if table.exists():
        paths.append(
            save_figure(figures.degradation(pd.read_csv(table)), folder / "degradation.png")
        )
    return paths


def save_figure(figure: Figure, path: Path) -> Path:
    """Save a drawn figure as a small PNG; gives back the path."""
    # In 256 colours, which is half the size, and without matplotlib's version in it, so that
    # an equal picture is an equal file.
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110, format="png", metadata={"Software": None})
    picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    return path


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m s10.figures", description=__doc__)
    parser.add_argument("folder", type=Path)
    for path in save_all(parser.parse_args(arguments).folder):
        print(path)


if __name__ == "__main__":
    main()
