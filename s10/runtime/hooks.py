"""The places in a run where other code can take part."""


class Hook:
    """Override what you need; `s10.fit` calls every method with its `TrainState`.

    A hook may read and change the state. `state.stop = True` ends the run after
    this step, or after this epoch.
    """

    def on_start(self, state) -> None:
        """Before the first step. A hook that resumes a run changes the state here."""

    def on_step(self, state) -> None:
        """After each optimizer step; `state.step` batches of `state.epoch` are done."""

    def on_epoch(self, state) -> None:
        """After each epoch and its evaluation; `state.history[-1]` is its row."""

    def on_end(self, state) -> None:
        """At the end, also after an interruption or an error."""
