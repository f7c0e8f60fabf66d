"""`s10 check`: run a learner's file, and compare what it defines with the assignment."""

import runpy
import sys
import traceback
from pathlib import Path
from types import ModuleType

from s10.course.assignment import check_assignment
from s10.runtime.errors import InputError

# What each part may be called in the file; the first name that is there counts.
NAMES = {
    "network": ("network", "model"),
    "transforms": ("transforms", "train_transforms", "train_transform", "transform"),
    "schedule": ("schedule",),
    "history": ("history",),
}


def check(options) -> int:
    """`s10 check`."""
    path = Path(options.file).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    sys.path.insert(0, str(path.resolve().parent))  # It may import its neighbors.
    try:
        defined = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:  # Whatever the learner's code raises.
        steps = traceback.extract_tb(error.__traceback__)
        lines = [f", line {step.lineno}," for step in steps if step.filename == str(path)] or [""]
        kind = type(error).__name__
        raise InputError(f"{path}{lines[-1]} stops with {kind}: {error}") from None
    finally:
        sys.path.pop(0)
    # `from torchvision import transforms` is no transform.
    values = {name: value for name, value in defined.items() if not isinstance(value, ModuleType)}
    given = {
        part: next((values[name] for name in names if values.get(name) is not None), None)
        for part, names in NAMES.items()
    }
    if not any(value is not None for value in given.values()):
        raise InputError(f"{path} defines none of {', '.join(sum(NAMES.values(), ()))}")
    report = check_assignment(**given)
    print(report)
    return 0 if report else 1
