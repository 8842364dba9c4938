"""Feature-wise linear modulation by time: ``h = norm(u) * (1 + gamma(e)) + delta(e)``.

One FiLM layer serves the norms of one group. (gamma, delta) are linear in the time embedding e. For
a fixed t they fold into the norm's own scale and shift.
"""

from torch import Tensor, nn


class FiLM(nn.Module):
    """Scale and shift, one value a channel and sample, for the sites of one group.

    Args:
        embedding_dim: length of the time embedding e.
        channels: channels at every site of the group.
        neutral: both are zero at initialisation, so that a freshly wrapped network computes what it
            computed before, for every t; False for what torch gives a linear layer, as the
            released code has it.
    """

    # Attributes of one forward pass: what conditions it, and what it notes (PresentConditions).
    given, noted = ('_current',), ()

    def __init__(self, embedding_dim: int, channels: int, neutral: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(embedding_dim, 2 * channels)
        if neutral:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        self._current: tuple[Tensor, Tensor] | None = None

    def scale_and_shift(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """1 + gamma and delta, (B, C) each, of time embeddings (B, D)."""
        gamma, delta = self.linear(embedding).chunk(2, dim=1)
        return 1 + gamma, delta

    def set_time(self, embedding: Tensor | None) -> None:
        """Computes scale and shift for the forward pass that follows; None ends it."""
        self._current = None if embedding is None else self.scale_and_shift(embedding)

    def modulate(
        self, site: str, axis: int, module: nn.Module, inputs: tuple, output: Tensor
    ) -> Tensor:
        """Forward hook of the module called ``site``: its output, modulated.

        Channels lie at ``axis`` of the output.

        Raises:
            RuntimeError: the network runs outside ``ConditionedBackbone.forward``.
            ValueError: the output's batch is not that of t (window tokens, say).
        """
        if self._current is None:
            raise RuntimeError(
                f'{site} ran without a time step: call the ConditionedBackbone. If this was in a '
                f"backward pass, set its checkpoint_activations=True instead of the network's own "
                f'checkpointing'
            )
        scale, shift = self._current
        if output.shape[0] != scale.shape[0]:
            raise ValueError(
                f'cannot condition module {site!r}: its output has batch {output.shape[0]}, but '
                f'there are {scale.shape[0]} time steps. Name other modules by conditioning=[...] '
                f'of ConditionedBackbone'
            )
        shape = [1] * output.ndim
        shape[0], shape[axis] = -1, self.channels
        return output * scale.reshape(shape) + shift.reshape(shape)
