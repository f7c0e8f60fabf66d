"""Where a training stands, kept on disk as it goes, so that it can go on exactly there."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from s10.batches import set_epoch
from s10.checkpoints import CheckpointFolder, DamagedCheckpoint
from s10.device import describe, pick_precision
from s10.errors import InputError
from s10.progress import epoch_line
from s10.recipe import Recipe
from s10.runs import COLUMNS
from s10.stopping import Stopped, StopSignals
from s10.team import Team, TeamMeter
from s10.training_state import TrainingState

MINUTES = 5  # between two checkpoints within an epoch
SECONDS = 10  # between two after epochs shorter than that: writing one takes 0.2 to 0.4 s
DUE = 1  # less than the number of any signal that is noted


class Session:
    """The position of a training, its history, and its checkpoints.

    `epoch` is the one being trained, `step` how many of its batches are done,
    `meter` their sums, `rows` the finished epochs. Without a folder nothing is
    written.
    """

    def __init__(
        self,
        state: TrainingState,
        recipe: Recipe,
        classes: tuple[str, ...],
        batches,
        folder: str | Path | None = None,
        minutes: float = MINUTES,
        stop: StopSignals | None = None,
        team: Team | None = None,
    ):
        self.state, self.recipe, self.batches = state, recipe, batches
        self.stop, self.team = stop or StopSignals(), team or Team()
        self.folder = CheckpointFolder(Path(folder).expanduser()) if folder else None
        self.minutes, self.kept = minutes, None
        self.starts_anywhere = getattr(batches, "starts_anywhere", False)
        # By what is trained on: a resume with other images would be another run.
        fingerprint = getattr(batches, "fingerprint", None)
        self.data = {
            "classes": list(classes),
            "fingerprint": fingerprint() if folder and fingerprint else None,
        }
        self.epoch, self.step, self.meter, self.rows = 1, 0, TeamMeter(self.team), []
        self.seconds_before = 0.0  # of this epoch, before it was interrupted
        self.started = self.saved = time.monotonic()

    # Forwards.

    def steps(self) -> "Steps":
        """The batches of this epoch that are still to be trained on."""
        self.started = time.monotonic()
        return Steps(self)

    def seconds(self) -> float:
        """What this epoch has taken so far, interruptions left out."""
        return self.seconds_before + time.monotonic() - self.started

    def begin_epoch(self) -> None:
        """Stop, if a signal came while no step was being made."""
        if self._asked() > DUE:
            self.save()
            raise Stopped

    def after_step(self) -> None:
        """Count the step; save if it is time to; stop if a signal came."""
        self.step += 1
        asked = self._asked(due=time.monotonic() - self.saved > 60 * self.minutes)
        if asked and self.starts_anywhere:
            self.save()  # Other batches cannot begin in the middle: their last epoch is kept.
        if asked > DUE:
            raise Stopped

    def finish_epoch(self, row: dict, on_epoch: Callable[[dict], None] | None = None) -> None:
        """Print the epoch's row, keep it, and hand it on."""
        if self.team.leads:
            print(epoch_line(row, self.recipe.epochs), flush=True)
        self.rows.append(row)
        self.epoch, self.step, self.seconds_before = self.epoch + 1, 0, 0.0
        self.meter = TeamMeter(self.team)
        self.started = time.monotonic()
        # Handed on first: what is killed in between is trained again, and handed on again.
        if self.team.leads and on_epoch is not None:
            on_epoch(row)
        apart = min(SECONDS, 60 * self.minutes)
        ended = self.epoch > self.recipe.epochs
        if self._asked(due=ended or time.monotonic() - self.saved >= apart):
            self.save()

    def _asked(self, due: bool = False) -> int:
        """0, DUE, or the number of a signal; the same for all processes of the team.

        A signal to one of them stops all, and a signal that comes to this one
        just now waits for the next time.
        """
        mine = self.stop.received or (DUE if due and self.team.leads else 0)
        asked = self.team.largest(mine)
        if asked > DUE:
            self.stop.received = asked
        return asked

    # On disk.

    def save(self) -> None:
        """Write a checkpoint; where that fails, say so and go on training."""
        self.saved = time.monotonic()
        if self.folder is None:
            return
        meter = self.meter.totals()  # With the sums of the others.
        if not self.team.leads:
            return
        notes = {
            "recipe": asdict(self.recipe), "data": self.data, "conditions": self.conditions(),
            "epoch": self.epoch,
            "step": self.step, "steps": len(self.batches), "meter": meter,
            "seconds": self.seconds(), "rows": self.rows,
        }  # fmt: skip
        try:
            tensors, state = self.state.take_apart()
            self.folder.save(tensors, {**notes, "state": state})
            self.kept = self.position()
        except (OSError, TypeError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(
                f"no checkpoint: cannot write to {self.folder.folder}: {reason}; "
                f"the training goes on, {self._kept_in_words()}",
                flush=True,
            )

    def begin(self) -> None:
        """Begin at the beginning.

        Raises:
            InputError: the folder holds another training.
        """
        if self.folder is not None and self.team.leads and self.folder.files():
            raise InputError(
                f"{self.folder.folder} holds the checkpoints of a training; go on with it "
                "(resume=True), or take another folder"
            )

    def resume(self) -> None:
        """Go back to the newest whole checkpoint; without any, begin at the beginning.

        Raises:
            InputError: it is of another recipe, other images or other classes.
            DamagedCheckpoint: none is whole.
        """
        if self.folder is None:
            return
        found = self.team.from_leader(self.folder.newest() if self.team.leads else None)
        if found is None:
            if self.team.leads:
                print(f"no checkpoint in {self.folder.folder} yet: this is the beginning")
            return
        tensors, notes = found
        where = self.folder.folder
        try:
            self._check_same(notes)
            epoch, step, rows = notes["epoch"], notes["step"], notes["rows"]
            meter = TeamMeter(self.team)
            meter.go_on(notes["meter"])
            seconds = float(notes["seconds"])
            _check_position(epoch, step, rows, self.recipe, len(self.batches))
            changed = self._changed_conditions(notes["conditions"])
            self.state.put_back(tensors, notes["state"])
        except InputError as error:
            raise type(error)(
                f"cannot go on with {where}: {error}; to begin anew, take another folder"
            ) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DamagedCheckpoint(f"the checkpoint in {where} lacks {error}") from None
        self.epoch, self.step, self.meter, self.rows = epoch, step, meter, rows
        self.seconds_before = seconds
        self.started = self.saved = time.monotonic()
        self.kept = self.position()
        if self.team.leads:
            print(f"going on after {self.kept}", flush=True)
            if changed:
                print(f"not to the same last bit as without a break: {changed}", flush=True)

    def conditions(self) -> dict:
        """What the bits depend on beside recipe and images."""
        device = next(self.state.model.parameters()).device
        return {
            "device": describe(device),
            "precision": pick_precision(self.recipe.precision, device).name,
            "PyTorch": torch.__version__,
            "processes": self.team.size,
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        }

    def _changed_conditions(self, before: dict) -> str:
        return "; ".join(
            f"{name} was {before.get(name)}, is {value}"
            for name, value in self.conditions().items()
            if before.get(name) != value
        )

    def _check_same(self, notes: dict) -> None:
        differences = Recipe.from_dict(notes["recipe"], "its recipe").differences(self.recipe)
        if differences:
            raise InputError(f"its recipe is another one: {'; '.join(differences)}")
        data = notes["data"]
        if data["classes"] != self.data["classes"]:
            gone = [name for name in data["classes"] if name not in self.data["classes"]]
            new = [name for name in self.data["classes"] if name not in data["classes"]]
            raise InputError(
                "the images have other classes than those it was trained on: "
                + (f"{', '.join(gone)} missing; " if gone else "")
                + (f"{', '.join(new)} new" if new else "")
                + ("" if gone or new else "their order differs")
            )
        if data["fingerprint"] != self.data["fingerprint"]:
            raise InputError(
                "the images are not those that it was trained on: their fingerprint is "
                f"{self.data['fingerprint']}, not {data['fingerprint']}"
            )
        if notes["steps"] != len(self.batches):
            raise InputError(f"an epoch had {notes['steps']} batches, not {len(self.batches)}")

    def position(self) -> str:
        """Such as "2 of 24 epochs and 13 of 98 batches"."""
        batches = f" and {self.step} of {len(self.batches)} batches" if self.step else ""
        return f"{len(self.rows)} of {self.recipe.epochs} epochs{batches}"

    def in_words(self) -> str:
        """Where the training stopped, and from where it can go on."""
        if self.folder is None:
            return f"stopped after {self.position()}; the model stays as it is"
        return f"stopped after {self.position()}; {self._kept_in_words()}"

    def _kept_in_words(self) -> str:
        if self.kept is None:
            return "no checkpoint is there yet"
        return f"kept in {self.folder.folder} is what there was after {self.kept}"


class Steps:
    """The batches of the session's epoch from where it stands; it hears when each is done."""

    def __init__(self, session: Session):
        self.session = session

    def __len__(self) -> int:
        return len(self.session.batches) - self.session.step

    def __iter__(self) -> Iterator:
        session = self.session
        set_epoch(session.batches, session.epoch, session.step)
        session.begin_epoch()
        for batch in session.batches:
            yield batch
            # Asked for the next batch: the step with this one is taken.
            session.after_step()


def _check_position(epoch, step, rows, recipe: Recipe, steps: int) -> None:
    for number in (epoch, step):
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError("a position")
    if not (1 <= epoch <= recipe.epochs + 1 and 0 <= step <= steps and len(rows) == epoch - 1):
        raise ValueError("a position within the run")
    for number, row in enumerate(rows, 1):
        numbers = all(type(value) in (int, float) for value in row.values())
        if set(row) != set(COLUMNS) or row["epoch"] != number or not numbers:
            raise ValueError("a history")
