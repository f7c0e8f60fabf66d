"""`python -m s10.course.figures FOLDER` saves all figures there as PNG; see `make figures`."""

import argparse
from pathlib import Path

import pandas as pd

from s10.course import figures
from s10.course.figures.drawing import save_drawing

NEED_DATA = {"degradation", "patch_correlation", "planned_lrs", "receptive_fields", "seed_by_seed"}
# All other figures; `receptive_fields` is a table.
DRAWINGS = sorted({*figures.__all__} - NEED_DATA)
# A measurement, not a drawing: the figure needs the stored table.
DEGRADATION = Path("results/experiments-cifar10-width16/depths.csv")


def save_all(folder: Path, table: Path = DEGRADATION) -> list[Path]:
    """Save each figure as FOLDER/NAME.png, `degradation` only if its table exists."""
    drawn = {name: getattr(figures, name)() for name in DRAWINGS}
    if table.exists():
        drawn["degradation"] = figures.degradation(pd.read_csv(table))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in drawn]
    for path, figure in zip(paths, drawn.values(), strict=True):
        save_drawing(figure, path)
    return paths


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m s10.course.figures", description=__doc__)
    parser.add_argument("folder", type=Path)
    for path in save_all(parser.parse_args(arguments).folder):
        print(path)


if __name__ == "__main__":
    main()
