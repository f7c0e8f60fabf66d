"""Extract the logs of the published READMEs, digit for digit, to s10/submissions/logs/*.csv.

    python tools/submission_logs.py [--check] [FOLDER]

FOLDER holds the READMEs (default: ../shared/submissions). With --check nothing
is written, and the exit status is 1 if a file differs.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "s10" / "submissions" / "logs"
NUMBER = r"([\d.e-]+)"

# For each README: the columns of its CSV, and a pattern of what an epoch prints, in the same
# order. Some logs count epochs from 0, some from 1; the CSVs count from 1.
PATTERNS = {
    "era1-s10-strided": (
        "last_batch_loss,train_accuracy_percent,test_loss,test_correct,test_accuracy_percent",
        rf"EPOCH: \d+\s+Loss={NUMBER} Batch_id=97 Accuracy={NUMBER}:.*?"
        rf"Average loss: {NUMBER}, Accuracy: {NUMBER}/10000 \({NUMBER}%\)",
    ),
    "eva4-s11": (
        "lr,momentum,last_batch_loss,train_accuracy_percent,test_loss_printed,test_correct,"
        "test_accuracy_percent",
        rf"EPOCH: \d+\s+LR: \[{NUMBER}\], M : \[{NUMBER}\]\s+Loss={NUMBER} Batch_id=97 "
        rf"Accuracy={NUMBER}:.*?Average loss: {NUMBER}, Accuracy: {NUMBER}/10000 \({NUMBER}%\)",
    ),
    "eva8-s8": (
        "train_accuracy_percent,lr_after",
        rf"Accuracy is: {NUMBER}\s+LR is : \[{NUMBER}\]\s+Epoch is: \d+",
    ),
}


def table(name: str, text: str) -> str:
    """The CSV of one README: one line for each of its 24 epochs."""
    columns, pattern = PATTERNS[name]
    rows = re.findall(pattern, text, re.S)
    if len(rows) != 24:
        raise SystemExit(f"{name}: {len(rows)} epochs found in its README, not 24")
    lines = [f"epoch,{columns}"]
    lines += [",".join((str(epoch), *row)) for epoch, row in enumerate(rows, 1)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ROOT.parent / "shared" / "submissions"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    parser.add_argument("--check", action="store_true", help="only report differences")
    options = parser.parse_args(arguments)
    differ = 0
    for name in PATTERNS:
        text = table(name, (options.folder / f"{name}.md").read_text(encoding="utf-8"))
        path = LOGS / f"{name}.csv"
        if not options.check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path} differs from its README; run `python tools/submission_logs.py`")
            differ += 1
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
