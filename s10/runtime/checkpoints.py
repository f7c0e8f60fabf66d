"""Checkpoints: everything that a run depends on, saved as it goes, so that it resumes exactly."""

import contextlib
import hashlib
import random
import re
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from s10.runtime.checkpoint_files import CheckpointFolder
from s10.runtime.device import describe_device, pick_precision
from s10.runtime.distributed import SINGLE_PROCESS, DistributedContext, unwrap
from s10.runtime.errors import InputError
from s10.runtime.files import lock_folder
from s10.runtime.hooks import Hook

SECONDS = 10  # between checkpoints after epochs shorter than that: writing takes 0.2 to 0.4 s


class Checkpointer(Hook):
    """Saves a run as it goes: `fit(…, hooks=[Checkpointer("folder", resume=True)])`.

    A checkpoint is written after every epoch (of epochs shorter than `SECONDS`: every
    `SECONDS`), every `minutes` within one, and when the run is stopped. Where writing
    fails, that is reported and training continues. Loaders that cannot begin within an
    epoch (a plain DataLoader) have checkpoints after epochs only.

    Args:
        folder: of the checkpoints of one run.
        resume: continue from the newest checkpoint in the folder, as if there had been
            no interruption; without any, start at the beginning.
        minutes: between two checkpoints within an epoch.
        context: the processes that train together; the main process writes.

    Raises:
        InputError: by `fit`, if the checkpoint is of another recipe, other classes or other
            images, or the folder holds one and `resume` is false, or another process uses it.
        DamagedCheckpoint: by `fit`, if no checkpoint is intact.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        resume: bool = False,
        minutes: float = 5.0,
        context: DistributedContext = SINGLE_PROCESS,
    ):
        self.folder = CheckpointFolder(Path(folder).expanduser())
        self.resume, self.minutes, self.context = resume, minutes, context
        self.last_position: str | None = None  # of the newest checkpoint
        self.last_saved = time.monotonic()
        self.data: dict = {}
        self.lock = contextlib.ExitStack()

    def on_start(self, state) -> None:
        if self.context.is_main_process:
            self.lock.enter_context(lock_folder(self.folder.folder))
        # The main process's: in a plain loader each process may hold a shard of its own.
        fingerprint = self.context.broadcast(_fingerprint(state.train_loader))
        self.data = {"classes": list(state.classes), "fingerprint": fingerprint}
        if self.resume:
            found = self.folder.newest() if self.context.is_main_process else None
            if (content := self.context.broadcast(found)) is not None:
                self._restore(state, content)
            elif self.context.is_main_process:
                print(f"no checkpoint in {self.folder.folder} yet: starting at the beginning")
        elif self.context.is_main_process and self.folder.files():
            raise InputError(
                f"{self.folder.folder} holds the checkpoints of a run; resume it (resume=True), "
                "or use another folder"
            )
        self.last_saved = time.monotonic()

    def on_step(self, state) -> None:
        due = time.monotonic() - self.last_saved > 60 * self.minutes
        if hasattr(state.train_loader, "first_batch") and self._agree(due or state.stop):
            self._save(state)

    def on_epoch(self, state) -> None:
        due = time.monotonic() - self.last_saved >= min(SECONDS, 60 * self.minutes)
        if self._agree(due or state.stop or state.finished):
            self._save(state)

    def on_end(self, state) -> None:
        if state.stop and not state.finished and self.context.is_main_process:
            print(self._last_checkpoint(), flush=True)
        self.lock.close()

    def _agree(self, due: bool) -> bool:
        """The main process's answer, in all processes: they have to save together."""
        return bool(self.context.all_reduce_max(int(due and self.context.is_main_process)))

    def _last_checkpoint(self) -> str:
        if self.last_position is None:
            return "there is no checkpoint yet"
        return f"the checkpoint in {self.folder.folder} is from after {self.last_position}"

    def _save(self, state) -> None:
        self.last_saved = time.monotonic()
        metrics = state.metrics.state_dict()  # The sums of all processes.
        if not self.context.is_main_process:
            return
        content = {
            "recipe": state.recipe.to_dict(), "data": self.data, "types": _types(state),
            "conditions": self._conditions(state), "epoch": state.epoch, "step": state.step,
            "steps": len(state.train_loader), "metrics": metrics, "history": state.history,
            "seconds": time.monotonic() - state.epoch_started, "random": random_state(),
            "generators": [generator.get_state() for generator in _generators(state.train_loader)],
            **{name: part.state_dict() for name, part in _parts(state).items()},
        }  # fmt: skip
        try:
            self.folder.save(content)
            self.last_position = state.position
        except (OSError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(
                f"no checkpoint: cannot write to {self.folder.folder}: {reason}; training "
                f"continues, {self._last_checkpoint()}",
                flush=True,
            )

    def _restore(self, state, content: dict) -> None:
        folder = self.folder.folder
        try:
            self._check_same_run(state, content)
            before = content["conditions"]
            changed = "; ".join(
                f"{name} was {before.get(name)}, is {value}"
                for name, value in self._conditions(state).items()
                if before.get(name) != value
            )
            metrics = content["metrics"]
            if not self.context.is_main_process:  # The sums are counted in the main process.
                metrics = {**metrics, "images": 0, "correct": 0, "loss_sum": 0.0}
            state.metrics.load_state_dict(metrics)
            for name, part in _parts(state).items():
                if content[name] or name != "scaler":  # A disabled scaler has no state.
                    part.load_state_dict(content[name])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error)
            if not isinstance(error, InputError):
                reason = f"it does not fit this network ({reason.splitlines()[-1].strip()})"
            raise InputError(
                f"cannot resume from {folder}: {reason}; to start again, use another folder"
            ) from None
        state.epoch, state.step, state.history = (content[n] for n in ("epoch", "step", "history"))
        state.epoch_started = time.monotonic() - content["seconds"]
        restore_random_state(content["random"])
        generators = _generators(state.train_loader)
        for generator, saved in zip(generators, content.get("generators", []), strict=False):
            generator.set_state(saved)
        self.last_position = state.position
        if self.context.is_main_process:
            print(f"resuming after {state.position}", flush=True)
            if changed:
                print(f"the last bits will differ from an uninterrupted run: {changed}", flush=True)

    def _conditions(self, state) -> dict:
        """What the bits depend on apart from recipe and images."""
        device = next(state.model.parameters()).device
        return {
            "device": describe_device(device),
            "precision": pick_precision(state.recipe.precision, device).name,
            "PyTorch": str(torch.__version__),
            "processes": self.context.world_size,
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        }

    def _check_same_run(self, state, content: dict) -> None:
        # Another path to the same images will do, and another precision is reported.
        same = {"data": state.recipe.data, "precision": state.recipe.precision}
        if differences := state.recipe.differences({**content["recipe"], **same}):
            raise InputError(f"its recipe differs: {'; '.join(differences)}")
        for name, type_name in _types(state).items():
            if type_name != content["types"][name]:
                raise InputError(f"its {name} is {content['types'][name]}, not {type_name}")
        before, now = content["data"], self.data
        if before["classes"] != now["classes"]:
            raise InputError(
                f"the images have other classes ({', '.join(now['classes'])}) than those it was "
                f"trained on ({', '.join(before['classes'])})"
            )
        if before["fingerprint"] not in (None, now["fingerprint"]):
            raise InputError(
                "these are not the images that it was trained on: their fingerprint is "
                f"{now['fingerprint']}, not {before['fingerprint']}"
            )
        if content["steps"] != len(state.train_loader):
            raise InputError(
                f"an epoch had {content['steps']} batches, not {len(state.train_loader)}"
            )


def _parts(state) -> dict:
    """What has a state_dict."""
    hooks = {type(hook).__name__: hook for hook in state.hooks if hasattr(hook, "state_dict")}
    return {
        "model": unwrap(state.model), "optimizer": state.optimizer, "scheduler": state.scheduler,
        "scaler": state.scaler, **hooks,
    }  # fmt: skip


def _types(state) -> dict[str, str]:
    """The parts' classes; PyTorch itself accepts the state of another optimizer or scheduler."""
    return {name: type(part).__name__ for name, part in _parts(state).items()}


def _fingerprint(loader) -> str:
    """`loader.fingerprint()`, or a SHA-256 over the arrays and lists of a plain loader's data set.

    Of a list of files the names count and not the folder, which may have moved.
    """
    if hasattr(loader, "fingerprint"):
        return loader.fingerprint()
    digest, parts, seen = hashlib.sha256(), [getattr(loader, "dataset", loader)], set()
    for part in parts:  # The list grows.
        first = part[0] if isinstance(part, (list, tuple)) and part else None
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Dataset):
            parts += vars(part).values()
        elif isinstance(first, (Dataset, torch.Tensor, np.ndarray)):
            parts += part
        elif isinstance(first, (str, int, tuple)):
            digest.update(re.sub(r"[^'\"]*[/\\]", "", repr(part)).encode())
        elif isinstance(part, torch.Tensor):
            digest.update(part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        elif isinstance(part, np.ndarray) and not part.dtype.hasobject:
            digest.update(np.ascontiguousarray(part))
    return digest.hexdigest()[:16]


def _generators(loader) -> list[torch.Generator]:
    """A DataLoader's own random generators; by default it draws from the global one."""
    batches = getattr(loader, "batch_sampler", None)
    owners = (loader, getattr(loader, "sampler", None), getattr(batches, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return [generator for generator in found if isinstance(generator, torch.Generator)]


def random_state() -> dict:
    """The global random states of Python, NumPy and PyTorch."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    # Another machine may have another number of GPUs.
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
