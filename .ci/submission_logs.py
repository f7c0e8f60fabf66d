"""Copy the logs of the published READMEs, digit for digit, into s10/submissions/logs/*.csv.

    python .ci/submission_logs.py [--check] [FOLDER]

FOLDER holds the READMEs (default ../shared/submissions). With --check nothing
is written, and the exit status is 1 where a file differs.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LOGS = TOP / "s10" / "submissions" / "logs"
NUMBER = r"([\d.e-]+)"

# README → the columns of its CSV, and what each epoch prints, in their order. Every log
# counts as it likes; the epochs here run from 1.
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
    """The CSV of one README: a line for each of its 24 epochs."""
    columns, pattern = PATTERNS[name]
    rows = re.findall(pattern, text, re.S)
    if len(rows) != 24:
        raise SystemExit(f"{name}: {len(rows)} epochs found in its README, not 24")
    lines = [f"epoch,{columns}"]
    lines += [",".join((str(epoch), *row)) for epoch, row in enumerate(rows, 1)]
    return "\n".join(lines) + "\n"


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--check"]
    folder = Path(words[0]) if words else TOP.parent / "shared" / "submissions"
    wrong = 0
    for name in PATTERNS:
        text, path = table(name, (folder / f"{name}.md").read_text()), LOGS / f"{name}.csv"
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path} is not what its README prints; run python .ci/submission_logs.py")
            wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
