"""All that a training depends on, taken apart into tensors and JSON, and put back.

Together with the recipe and the images this decides every later step: weights,
the optimizer's moments, the schedule, the loss scaler, and the random states.
"""

import math
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from s10.checkpoints import DamagedCheckpoint

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")  # of Adam; SGD's may be None
PLAIN = (bool, int, float, str, type(None))
LARGEST = torch.finfo(torch.float32).max  # PyTorch refuses larger ones, in the next step.


@dataclass
class TrainingState:
    """The living parts of one training; `scheduler` and `scaler` have a `state_dict`, too."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: object
    scaler: object

    def parts(self) -> dict:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
        }

    def take_apart(self) -> tuple[dict[str, Tensor], dict]:
        """Tensors, and the rest as JSON.

        Raises:
            TypeError: a part holds something that is neither, such as a
                schedule of one's own that keeps a function.
        """
        tensors = {}
        state = {name: part.state_dict() for name, part in self.parts().items()}
        return tensors, _pack({**state, "random": _random_state()}, tensors, "state")

    def put_back(self, tensors: dict[str, Tensor], packed: dict) -> None:
        """Make the parts what they were.

        Raises:
            DamagedCheckpoint: they do not fit this network, optimizer or schedule.
        """
        try:
            state = _unpack(packed, tensors)
            for name, part in self.parts().items():
                _check_kinds(part.state_dict(), state[name], name)
            self.model.load_state_dict(state["model"])
            _lay_out_as_weights(self.optimizer, state["optimizer"])
            for name in ("optimizer", "scheduler", "scaler"):
                if state[name] or name != "scaler":  # A scaler that is off has no state.
                    self.parts()[name].load_state_dict(state[name])
            _restore_random_state(state["random"])
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError,
                ValueError) as error:  # fmt: skip
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DamagedCheckpoint(
                f"it does not fit this network and its optimizer ({reason.rstrip(':')})"
            ) from None


def _pack(value, tensors: dict[str, Tensor], name: str):
    """The value as JSON; each tensor in it goes to `tensors`, its name stands in its place."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        # As pairs: JSON would make the optimizer's whole numbers into texts.
        return {"dict": [[key, _pack(v, tensors, f"{name}.{key}")] for key, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [_pack(v, tensors, f"{name}.{i}") for i, v in enumerate(value)]}
    if isinstance(value, PLAIN):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which cannot be saved")


def _unpack(value, tensors: dict[str, Tensor]):
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unpack(v, tensors) for key, v in content}
    if kind == "list":
        return [_unpack(v, tensors) for v in content]
    raise ValueError(f"unknown kind {kind!r}")


def _check_kinds(ours, theirs, where: str) -> None:
    """Raise ValueError where something else stands than this training would have there.

    PyTorch's own loading takes any value for an option, and fails at the next step.
    """
    kinds = (bool, str, type(None), Tensor, dict, (list, tuple), (int, float))
    kind = next((kind for kind in kinds if isinstance(ours, kind)), object)
    if not isinstance(theirs, kind) or (isinstance(theirs, bool) and kind is not bool):
        raise ValueError(f"{where} is {theirs!r:.40}")
    if kind in (bool, str) and ours != theirs:  # Switches; a run does not change them.
        raise ValueError(f"{where} is {theirs!r:.40}, not {ours!r:.40}")
    if kind == (int, float) and math.isfinite(theirs) and abs(theirs) > LARGEST:
        raise ValueError(f"{where} is too large a number")
    if isinstance(ours, dict):
        # A scaler that was off has no state: it was trained in another precision.
        names = ours if theirs or where != "scaler" else ()
        for name in names:
            if name not in theirs:
                raise ValueError(f"{where} lacks {name}")
            _check_kinds(ours[name], theirs[name], f"{where} {name}")
    elif isinstance(ours, (list, tuple)):
        if len(ours) != len(theirs):
            raise ValueError(f"{where} has {len(theirs)} entries")
        for number, value in enumerate(ours):
            _check_kinds(value, theirs[number], f"{where} {number}")


def _lay_out_as_weights(optimizer: Optimizer, state: dict) -> None:
    """Lay out each moment in memory as its weight is, channels_last say.

    The numbers would be the same, but another layout takes other loops, which
    may round in another order.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    adam = isinstance(optimizer, torch.optim.Adam)
    for number, moments in state["state"].items():
        if adam and moments and not {"step", *MOMENTS[:2]} <= set(moments):
            raise ValueError(f"of weight {number} it has only {', '.join(map(str, moments))}")
        for name, moment in moments.items():
            weight = weights[number]
            alike = isinstance(moment, Tensor) and moment.shape == weight.shape
            if name in MOMENTS and not alike:
                raise ValueError(f"{name} is not of the weight's shape {tuple(weight.shape)}")
            if name == "step" and isinstance(moment, Tensor) and moment.numel() != 1:
                raise ValueError(f"step has {moment.numel()} numbers")
            if alike:
                laid_out = torch.empty_like(weight, dtype=moment.dtype, requires_grad=False)
                moments[name] = laid_out.copy_(moment)


def _random_state() -> dict:
    """The random states of Python, NumPy and PyTorch, in tensors and plain numbers."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    return {
        "python": [version, torch.tensor(numbers, dtype=torch.int64), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore_random_state(state: dict) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    name, keys, position, *rest = state["numpy"]
    # NumPy believes it, and would read beyond its memory.
    if keys.dtype != torch.int64 or not 0 <= position <= len(keys):
        raise ValueError(f"NumPy's random state is at {position} of {len(keys)} {keys.dtype}")
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, *rest))
    torch.set_rng_state(state["torch"])
    # On another machine, with fewer GPUs or none, there is nothing to set.
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
