"""Conditions any backbone on time, and gives it the one interface that the restorers use."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from dtir_mm import compat
from dtir_mm.models.conditioning.activation_checkpointing import checkpoint_blocks
from dtir_mm.models.conditioning.adapters import Adapters, Routing, expert_key
from dtir_mm.models.conditioning.restoration_head import RestorationHead
from dtir_mm.models.conditioning.time_embedding import FiLM, modulate
from dtir_mm.models.tracing.sites import Site, conditioning_sites
from dtir_mm.models.tracing.trace import trace
from dtir_mm.registry import MODELS

# torch's messages for a width that is negative or exceeds the memory.
_IMPOSSIBLE_SIZES = ('negative dimension', "can't allocate memory", 'size calculation overflow')


@dataclass
class Conditions:
    """What one forward pass is conditioned on, and the routing of its adapters.

    Args:
        modulation: scale and shift, (B, C) each, of every FiLM layer by its name.
        time: the adapters' ``time_input``; None bypasses them.
        restoring: whether the restoration head replaces the last convolution.
        routing: the routing at the sites of adapters that have run so far.
    """

    modulation: dict[str, tuple[Tensor, Tensor]]
    time: Tensor | None
    restoring: bool
    routing: dict[str, Routing] = field(default_factory=dict)


@MODELS.register_module()
class ConditionedBackbone(nn.Module):
    """A registered network that predicts the residual in an image at a time step per sample.

    The wrapped network is unchanged at ``self.net``, with its own parameter names. FiLM layers,
    adapters and the restoration head act through forward hooks on its modules, which read the
    conditions of the pass at ``self.conditions``; their weights live here.

    Args:
        backbone: config of a registered network as described in ``tracing/trace.py``.
        time_embedding: config of the embedding of t (``time_embedding.py``); its type defaults to
            ``TimeEmbedding``.
        neutral_films: FiLM layers have no effect at initialisation; see ``FiLM``.
        conditioning: names of the network's modules whose outputs FiLM layers modulate, with
            wildcards (``'decoder_*.norm1'``); None for those that the network declares, or that are
            detected (``tracing/sites.py``).
        adapters: config of adapters, ``MoEAdapters`` (default) or ``DecoderAdapters``; None for no
            adapters.
        restoration_head: restore with a separate last convolution; see ``RestorationHead``.
        checkpoint_activations: recompute the network's blocks in the backward pass: the same
            gradients, less memory, more time.

    Raises:
        ValueError: the network does not map images to images, or cannot be conditioned, adapted,
            checkpointed or given a head as requested; the message says why.
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
        self.net = compat.mend_custom_functions(_build(backbone))
        self.trace = trace(self.net)
        self.global_skip = self.trace.global_skip
        self.size_rule = self.trace.size_rule
        self.conditions: Conditions | None = None
        # Its hook comes first: FiLM and adapters at the last convolution then act on the head.
        self.restoration_head = self._with_head() if restoration_head else None
        self.adapters = None if adapters is None else self._with_adapters(adapters)
        self.time_embedding = MODELS.build(
            time_embedding or {}, default_args=dict(type='TimeEmbedding')
        )
        self.films = nn.ModuleDict()
        self.film_sites: dict[str, list[Site]] = {}
        for group, sites in conditioning_sites(self.trace, conditioning).items():
            self._add_film(group, sites, neutral_films)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self.checkpoint_activations = checkpoint_activations
        if checkpoint_activations:
            checkpoint_blocks(self)

    def _with_head(self) -> RestorationHead:
        last = self.trace.replaceable_convolution()
        last.register_forward_hook(self._replace)
        return RestorationHead(last)

    def _with_adapters(self, config: dict) -> Adapters:
        adapters = MODELS.build(config, default_args=dict(type='MoEAdapters', trace=self.trace))
        for site in adapters.sites:
            self.net.get_submodule(site).register_forward_hook(partial(self._adapt, site))
        return adapters

    def _add_film(self, group: str, sites: list[Site], neutral: bool) -> None:
        name = group.replace('.', '_')
        while name in self.films:  # a_0 is the name of a.0
            name += '_'
        self.films[name] = FiLM(self.time_embedding.dim, sites[0].channels, neutral)
        self.film_sites[name] = sites
        for site in sites:
            module = self.net.get_submodule(site.name)
            module.register_forward_hook(partial(self._modulate, name, site))

    def forward(self, u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        """The network's own output for an image (B, 3, H, W) at time steps (B,).

        Adapters and restoration head are active only while ``restoring``.
        """
        embedding = self.time_embedding(t)
        modulation = {name: film(embedding) for name, film in self.films.items()}
        adapters = self.adapters if restoring else None
        time = None if adapters is None else adapters.time_input(t)
        conditions = Conditions(modulation, time, restoring)
        with self.conditioned_on(conditions):
            output = ((self.training and self._compiled) or self.net)(u)
        if adapters is not None:
            adapters.latest = conditions.routing
        return output

    @contextmanager
    def conditioned_on(self, conditions: Conditions | None) -> Iterator[None]:
        """Inside, the network runs under these conditions."""
        replaced, self.conditions = self.conditions, conditions
        try:
            yield
        finally:
            self.conditions = replaced

    def _modulate(
        self, name: str, site: Site, module: nn.Module, inputs: tuple, output: Tensor
    ) -> Tensor:
        if self.conditions is None:
            raise RuntimeError(
                f'{site.name} ran without a time step: call the ConditionedBackbone. If this was '
                f"in a backward pass, set its checkpoint_activations=True instead of the network's "
                f'own checkpointing'
            )
        return modulate(site.name, site.axis, output, *self.conditions.modulation[name])

    def _adapt(self, site: str, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if self.conditions is None or self.conditions.time is None or self.adapters is None:
            return output
        adapted, routing = self.adapters.adapt(site, self.conditions.time, output)
        self.conditions.routing[site] = routing
        return adapted

    def _replace(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        if self.conditions is None or self.restoration_head is None:
            return output
        return self.restoration_head(*inputs) if self.conditions.restoring else output

    def train(self, mode: bool = True) -> 'ConditionedBackbone':
        """See ``torch.nn.Module``; batch norms keep their running statistics, and use them.

        A micro-batch mixes noise and degradations in any proportion: no sample's output may depend
        on the others.
        """
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def compile_network(self, **options: Any) -> None:
        """Makes training run the network compiled, except in ``twice_differentiable``.

        Validation does not, since it would compile for each of many image sizes. ``options`` are
        those of ``torch.compile``.

        Raises:
            ValueError: with ``checkpoint_activations``.
        """
        if self.checkpoint_activations:
            raise ValueError(
                'compile and model.backbone.checkpoint_activations exclude each other: a compiled '
                'network chooses what to keep for the backward pass'
            )
        self._compiled = torch.compile(lambda u: self.net(u), **options)

    @contextmanager
    def twice_differentiable(self) -> Iterator[None]:
        """Inside, gradients can be differentiated: not compiled, with only one attention kernel."""
        compiled, self._compiled = self._compiled, None
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            self._compiled = compiled

    def __getstate__(self) -> dict[str, Any]:
        """A copy is not compiled."""
        return self.__dict__ | {'_compiled': None}

    def predict_residual(self, u: Tensor, t: Tensor, restoring: bool = True) -> Tensor:
        """``f(u, t)``: the noise or degradation in ``u``, (B, 3, H, W).

        A network with a global skip, ``net(u) = u + b(u)``, or one trained to restore already
        predicts the clean image, so f = u - net(u); any other predicts the residual directly.
        """
        output = self(u, t, restoring)
        return u - output if self.global_skip else output

    def residual_and_features(self, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """``f(u, t)`` and the input of the network's last convolution, (B, C, H, W).

        Without adapters and restoration head.
        """
        captured: list[Tensor] = []

        def capture(module: nn.Module, inputs: tuple[Tensor]) -> None:
            captured[:] = inputs[:1]

        last = self.net.get_submodule(self.trace.last_convolution or '')
        handle = last.register_forward_pre_hook(capture)
        try:
            residual = self.predict_residual(u, t, restoring=False)
        finally:
            handle.remove()
        return residual, captured[0][..., : u.shape[-2], : u.shape[-1]]

    def parameter_blocks(self) -> dict[str, str]:
        """The network's block to which each parameter belongs, by the parameters' names.

        A FiLM layer belongs to the deepest block that it conditions; the time embedding and the
        adapters' prompt to the first; a stage's adapter to the last block executed in the stage;
        the restoration head to the block of the convolution that it replaces.
        """
        order, block_of = self.trace.order, self.trace.blocks
        blocks = {name: order[0] for name, _ in self.named_parameters()}
        blocks |= {f'net.{name}': block for name, block in block_of.items()}

        def assign(module: nn.Module, prefix: str, candidates: list[str]) -> None:
            deepest = max(candidates, key=order.index)
            blocks.update((name, deepest) for name, _ in module.named_parameters(prefix=prefix))

        def around(site: str) -> str:
            return self.trace.block_of_module(site) or order[0]

        for group, sites in self.film_sites.items():
            assign(self.films[group], f'films.{group}', [around(site.name) for site in sites])
        if self.restoration_head is not None:
            assign(self.restoration_head, 'restoration_head', [around(self.trace.last_layer or '')])
        for site, adapter in () if self.adapters is None else self.adapters.named_adapters():
            inside = [block for name, block in block_of.items() if name.startswith(f'{site}.')]
            assign(adapter, f'adapters.experts.{expert_key(site)}', inside)
        return blocks


def _build(backbone: dict) -> nn.Module:
    try:
        return MODELS.build(backbone)
    except RuntimeError as error:
        reason = str(error)
        if not any(each in reason for each in _IMPOSSIBLE_SIZES):
            raise
        settings = ', '.join(f'{key}={value!r}' for key, value in backbone.items())
        raise ValueError(
            f'model.backbone.backbone, with {settings}, has weights of an impossible size: '
            f'{reason.splitlines()[0]}'
        ) from error
