"""A running mean of the weights, which is a better network than any of those it averages."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from s10.runtime.distributed import unwrap
from s10.runtime.errors import check_fraction
from s10.runtime.hooks import Hook

STEPS = 5  # between two updates of the mean: each step would bring nothing but work


class AverageWeights(Hook):
    """Replaces the weights by their running mean after the last step.

    Each step moves the weights along the gradient of one batch, so they keep jumping
    around the point that all batches agree on; the mean is nearer to it (Polyak & Juditsky
    1992; Izmailov et al., "Averaging Weights Leads to Wider Optima", 2018). The running
    statistics of batch norms are averaged, too. What is printed before the last epoch's end
    is of the weights as they are.

    Args:
        decay: 0 ≤ decay < 1; at each update, every `STEPS` steps, the new weights count
            1 − decay. So 0.98 looks back over 5 / (1 − 0.98) = 250 steps.

    Raises:
        InputError: `decay` is not in that range.
    """

    def __init__(self, decay: float):
        self.decay = check_fraction("the decay of averaged weights", decay, below_1=True)

    def on_start(self, state) -> None:
        average = get_ema_multi_avg_fn(self.decay)
        self.average = AveragedModel(unwrap(state.model), multi_avg_fn=average, use_buffers=True)

    def on_step(self, state) -> None:
        steps = (state.epoch - 1) * len(state.train_loader) + state.step
        if steps % STEPS == 0:
            self.average.update_parameters(unwrap(state.model))
        if steps == state.recipe.epochs * len(state.train_loader):
            unwrap(state.model).load_state_dict(self.average.module.state_dict())

    def state_dict(self) -> dict:
        """The mean so far; a checkpoint contains it."""
        return self.average.state_dict()

    def load_state_dict(self, values: dict) -> None:
        """Continue with a mean from `state_dict`."""
        self.average.load_state_dict(values)
