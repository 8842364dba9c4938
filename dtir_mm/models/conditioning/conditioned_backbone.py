"""Attaches time to any backbone, and gives it the one interface that the restorers use."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from dtir_mm import compat
from dtir_mm.models.backbones import contract, depth
from dtir_mm.models.backbones.sites import Site, conditioning_sites
from dtir_mm.models.backbones.size_rule import size_rule
from dtir_mm.models.backbones.size_search import settle_sizes
from dtir_mm.models.conditioning.activation_checkpointing import (
    PresentConditions,
    checkpoint_blocks,
)
from dtir_mm.models.conditioning.adapters import Adapters
from dtir_mm.models.conditioning.film import FiLM
from dtir_mm.models.conditioning.restoration_head import RestorationHead
from dtir_mm.registry import MODELS

# What torch says where a width, say, is negative or beyond the memory.
_SIZES_THAT_CANNOT_BE = ('negative dimension', "can't allocate memory", 'size calculation overflow')


@MODELS.register_module()
class ConditionedBackbone(nn.Module):
    """A registered network that predicts the residual in an image at a time step per sample.

    The wrapped network lies unchanged at ``self.net``, with its own parameter names. FiLM layers
    hang behind its norms as forward hooks; their weights live here.

    Args:
        backbone: config of any registered network that keeps to ``backbones/contract.py``.
        time_embedding: config of the embedding of t (``time_embedding.py``); its type is
            ``TimeEmbedding`` unless it says another.
        neutral_films: FiLM layers have no effect at initialisation; see ``FiLM``.
        conditioning: names of the network's modules behind which time enters, with wildcards
            (``'decoder_*.norm1'``); None for those that it states, or that are found
            (``backbones/sites.py``).
        adapters: config of adapters, ``DecoderAdapters`` or ``MoEAdapters``, which they are where
            it names no type; None for no adapters.
        restoration_head: restore with a last convolution of its own, which starts at zero; see
            ``RestorationHead``. Generation keeps the network's.
        checkpoint_activations: keep only the inputs of the network's blocks for the backward pass,
            and compute the rest again: the same gradients, less memory, more time.

    Raises:
        ValueError: the network does not map images to images, or cannot be conditioned, adapted,
            checkpointed or given a head as this asks; the message says why.
    """

    def __init__(
        self,
        backbone: dict,
        time_embedding: dict | None = None,
        neutral_films: bool = True,
        conditioning: Sequence[str] | None = None,
        adapters: dict | None = None,
        restoration_head: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        self.net = settle_sizes(compat.mend_custom_functions(_build(backbone)))
        self.global_skip = contract.has_global_skip(self.net)
        self.size_rule = size_rule(self.net)
        # Its hook comes first: what conditions or adapts the last convolution does so to the head.
        self.restoration_head = self._with_head() if restoration_head else None
        self.adapters = None if adapters is None else self._with_adapters(adapters)
        self.time_embedding = MODELS.build(
            time_embedding or {}, default_args=dict(type='TimeEmbedding')
        )
        self.films = nn.ModuleDict()
        self.film_sites: dict[str, list[Site]] = {}
        for group, sites in conditioning_sites(self.net, conditioning).items():
            self._add_film(group, sites, neutral_films)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self.checkpoint_activations = checkpoint_activations
        if checkpoint_activations:
            checkpoint_blocks(self.net, self._present_conditions)

    def _with_head(self) -> RestorationHead:
        site = contract.last_convolution(self.net)
        last = self.net.get_submodule(site)
        head = RestorationHead(last, site)
        last.register_forward_hook(head.replace)
        return head

    def _with_adapters(self, adapters: dict) -> Adapters:
        return MODELS.build(adapters, default_args=dict(type='MoEAdapters', net=self.net))

    def _add_film(self, group: str, sites: list[Site], neutral: bool) -> None:
        name = group.replace('.', '_')
        while name in self.films:  # a_0 is the name of a.0
            name += '_'
        film = FiLM(self.time_embedding.dim, sites[0].channels, neutral)
        self.films[name] = film
        self.film_sites[name] = sites
        for site in sites:
            module = self.net.get_submodule(site.name)
            module.register_forward_hook(partial(film.modulate, site.name, site.axis))

    def forward(self, u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        """The network's own output for an image (B, 3, H, W) at time steps (B,).

        Adapters and restoration head act while ``restoring``; generative samples bypass them
        (method.md 4.2).
        """
        embedding = self.time_embedding(t)
        try:
            for film in self.films.values():
                film.set_time(embedding)
            if restoring and self.adapters is not None:
                self.adapters.set_time(t)
            if self.restoration_head is not None:
                self.restoration_head.acts = restoring
            compiled = self._compiled if self.training else None
            return (compiled or self.net)(u)
        finally:
            for film in self.films.values():
                film.set_time(None)
            if self.adapters is not None:
                self.adapters.set_time(None)
            if self.restoration_head is not None:
                self.restoration_head.acts = False

    def train(self, mode: bool = True) -> 'ConditionedBackbone':
        """See ``torch.nn.Module``; batch norms keep their statistics, and go on using them.

        A batch holds noise and degradations, in parts that depend on the number of processes and
        the size of micro-batches; no sample's output may depend on the others.
        """
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def compile_network(self, **options: Any) -> None:
        """From here on training runs the network compiled, but for ``twice_differentiable``.

        Images of validation come in many sizes, each of which would be compiled by itself.

        Args:
            options: of ``torch.compile``.

        Raises:
            ValueError: with ``checkpoint_activations``.
        """
        if self.checkpoint_activations:
            raise ValueError(
                'compile and model.backbone.checkpoint_activations exclude one another; compiled '
                'networks choose by themselves what to keep for the backward pass'
            )
        self._compiled = torch.compile(self._run, **options)

    @contextmanager
    def twice_differentiable(self) -> Iterator[None]:
        """What is forwarded and differentiated in here can be differentiated again.

        That of a compiled network cannot, nor that of any attention kernel but one.
        """
        compiled, self._compiled = self._compiled, None
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            self._compiled = compiled

    def _run(self, u: Tensor) -> Tensor:
        return self.net(u)

    def __getstate__(self) -> dict[str, Any]:
        """A copy is not compiled: what is compiled belongs to this network."""
        return super().__getstate__() | {'_compiled': None}

    def _present_conditions(self) -> PresentConditions:
        experts = [] if self.adapters is None else self.adapters.experts.values()
        head = [] if self.restoration_head is None else [self.restoration_head]
        return PresentConditions([*self.films.values(), *experts, *head])

    def predict_residual(self, u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        """``f(u, t)``: the noise or degradation in ``u``, (B, 3, H, W) (method.md 1.4).

        A network with a global skip, ``net(u) = u + b(u)``, or one that was made to restore already
        predicts the clean image, so f = u - net(u); another predicts the residual directly.
        """
        output = self(u, t, restoring)
        return u - output if self.global_skip else output

    def parameter_blocks(self) -> dict[str, str]:
        """The block of the network that each parameter here belongs to, by the parameters' names.

        A FiLM layer belongs to the deepest block that it conditions; the time embedding, which
        enters everywhere, to the first (method.md 3.2), and so does the adapters' prompt. The
        adapter of a stage belongs to the last block executed in it, the restoration head to the
        block of the convolution that it replaces.
        """
        order = self.execution_order()
        block_of = depth.block_of_each_parameter(self.net)
        blocks = {f'net.{name}': block for name, block in block_of.items()}
        for name, _ in self.time_embedding.named_parameters(prefix='time_embedding'):
            blocks[name] = order[0]
        for group, sites in self.film_sites.items():
            hosts = [depth.block_of_module(self.net, site.name) or order[0] for site in sites]
            for name, _ in self.films[group].named_parameters(prefix=f'films.{group}'):
                blocks[name] = max(hosts, key=order.index)
        if self.restoration_head is not None:
            for name, _ in self.restoration_head.named_parameters(prefix='restoration_head'):
                blocks[name] = block_of[f'{self.restoration_head.site}.weight']
        return blocks | self._blocks_of_adapters(order, block_of)

    def _blocks_of_adapters(self, order: list[str], block_of: dict[str, str]) -> dict[str, str]:
        if self.adapters is None:
            return {}
        blocks = {name: order[0] for name, _ in self.adapters.named_parameters(prefix='adapters')}
        for site, adapter in self.adapters.named_adapters():
            inside = [block for name, block in block_of.items() if name.startswith(f'{site}.')]
            prefix = f'adapters.experts.{site.replace(".", "_")}'
            for name, _ in adapter.named_parameters(prefix=prefix):
                blocks[name] = max(inside, key=order.index)
        return blocks

    def execution_order(self) -> list[str]:
        """The network's blocks in the order in which they run (``backbones/depth.py``)."""

        def forward(image: Tensor) -> Tensor:
            t = torch.ones(1, dtype=torch.long, device=image.device)
            return self(image, t, restoring=False)

        return depth.execution_order(self.net, forward)

    def residual_and_features(self, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """``f(u, t)`` and the input of the network's last convolution, (B, C, H, W).

        They come from the generator, without adapters or restoration head.
        """
        captured: list[Tensor] = []

        def capture(module: nn.Module, inputs: tuple[Tensor]) -> None:
            captured[:] = inputs[:1]

        convolutions = [m for m in self.net.modules() if isinstance(m, nn.Conv2d)]
        handles = [m.register_forward_pre_hook(capture) for m in convolutions]
        try:
            residual = self.predict_residual(u, t, restoring=False)
        finally:
            for handle in handles:
                handle.remove()
        return residual, captured[0][..., : u.shape[-2], : u.shape[-1]]


def _build(backbone: dict) -> nn.Module:
    try:
        return MODELS.build(backbone)
    except RuntimeError as error:
        reason = str(error)
        if not any(each in reason for each in _SIZES_THAT_CANNOT_BE):
            raise
        settings = ', '.join(f'{key}={value!r}' for key, value in backbone.items())
        raise ValueError(
            f'model.backbone.backbone, with {settings}, has weights of a size that cannot be: '
            f'{reason.splitlines()[0]}'
        ) from error
