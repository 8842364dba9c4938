"""The interface of criteria: one error per image and time step, small where the step fits.

The paper defines the matching time step in three ways that disagree (docs/method.md, "Where the
paper is silent or contradicts itself"). To add one, register a subclass in ``CRITERIA``; its
name is then a ``method`` of ``match_timesteps``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from dtir_mm.diffusion.noise_schedule import NoiseSchedule

ErrorsAt = Callable[[int], Tensor]


class PretrainedNetwork(Protocol):
    """The part of ``Restorer`` that criteria use."""

    schedule: NoiseSchedule

    def predict_noise(self, noisy: Tensor, t: Tensor) -> Tensor:
        """The eps of ``x_t = signal_t x_0 + sigma_t eps``, (B, 3, H, W), at steps (B,)."""

    def residual_and_features(self, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """f(u, t) and the features (B, C, H, W) of the last layer before it."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """See ``nn.Module``."""

    def train(self, mode: bool = True) -> Any:
        """See ``nn.Module``."""

    def __call__(self, degraded: Tensor, t: Tensor) -> Tensor:
        """Restored images (B, 3, H, W), at steps (B,)."""


class Criterion(ABC):
    """Errors of a network at time steps; its arguments are the keys of its config.

    Attributes:
        trains: whether it trains the network, so that the time step may gain an effect.
        min_gain: the best step must reduce the relative error of doing nothing, 1, by more than
            this to be identified; None for one standard error.
        report: called with messages on the progress within an expensive time step.
    """

    trains = False
    min_gain: float | None = None
    report: Callable[[str], Any] = staticmethod(lambda text: None)

    def grid(self, num_steps: int) -> Sequence[int] | None:
        """The time steps of 1..T to evaluate; None to search from coarse to fine."""
        return None

    @abstractmethod
    def errors_at(
        self, network: PretrainedNetwork, degraded: Tensor, clean: Tensor, seed: int
    ) -> ErrorsAt:
        """Prepares the errors of the pairs.

        Args:
            network: the pre-trained network, in evaluation mode.
            degraded: images (N, 3, H, W) in the network's range; each differs from its ground
                truth, and N is at least 4.
            clean: their ground truths.
            seed: of all random numbers.

        Returns:
            A function of t in 1..T to (N,), on the CPU: squared errors relative to the squared
            residual ``||y - x||^2`` of each image. 1 is as good as doing nothing.
        """
