"""Stage 2, GEF: reconstruction at t_mat with generative samples mixed in (Eq. 12, Alg. 3).

Eq. 12 has the content loss, the importance penalty and the orthogonality; it leaves out the
generative loss, which Alg. 3 trains, and we take that for an omission.
"""

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn

from dtir_mm.models.preprocessor import select
from dtir_mm.models.regularizers.gradient_orthogonality import Orthogonality, project
from dtir_mm.models.restorers.base_restorer import PerSampleLoss
from dtir_mm.models.restorers.generative_pretrainer import GenerativePretrainer
from dtir_mm.models.restorers.gradients import (
    flat_gradient,
    flatten,
    from_named,
    hessian_vector_product,
    per_sample_gradients,
    refuse_custom_functions,
    scale_parts,
    sum_over_processes,
)
from dtir_mm.randomness import generator
from dtir_mm.registry import MODELS

Samples = dict[str, Any]


@MODELS.register_module()
class FinetuneRestorer(GenerativePretrainer):
    """``(n_r / B) L_content + (n_g / B) L_g + L_reg + L_orthog`` over n_r pairs and n_g images.

    Which samples of the global batch are generative depends on their slot alone: the first n_g. So
    it does not depend on the number of processes, of which some may have none.

    Args:
        content_loss: config of the reconstruction loss; None for L1.
        mix_ratio: share of generative samples; 0.1 in the paper (Fig. 4), 0 for naive fine-tuning.
        mix_rounding: "round" takes n_g = round(ratio B) every time, which is none at 10 % of five
            samples or fewer; "dither" rounds up or down by chance, so that the ratio holds on
            average.
        importance_loss: config of the penalty on what pre-training relies on (L_reg); None for
            none. Its importance and anchor come by ``set_importance``.
        orthogonality_loss: config of what reconciles the gradients (L_orthog); None for nothing.
            Without generative samples there is nothing to reconcile.
        kwargs: see ``GenerativePretrainer``.
    """

    def __init__(
        self,
        content_loss: dict | None = None,
        mix_ratio: float = 0.1,
        mix_rounding: str = 'round',
        importance_loss: dict | None = None,
        orthogonality_loss: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= mix_ratio < 1:
            raise ValueError(f'mix_ratio={mix_ratio} must lie in [0, 1)')
        if mix_rounding not in ('round', 'dither'):
            raise ValueError(f'mix_rounding={mix_rounding!r} must be "round" or "dither"')
        self.content_loss = MODELS.build(content_loss or {'type': 'ContentLoss'})
        self.mix_ratio = mix_ratio
        self.mix_rounding = mix_rounding
        self.importance_loss = MODELS.build(importance_loss) if importance_loss else None
        self.orthogonality_loss = MODELS.build(orthogonality_loss) if orthogonality_loss else None
        self.set_layer_decay({}, {})
        self._importance: tuple[Tensor, Tensor, Tensor] | None = None
        self._known_twice_differentiable = False

    # --- what hooks set -----------------------------------------------------------------------

    def set_layer_decay(self, gate: Mapping[str, float], penalty: Mapping[str, float]) -> None:
        """Factors in [0, 1] of parameters' generative gradients and lambda; 1 where not named."""
        names = self.named_trained_parameters()
        self.gate, self.penalty_decay = (
            torch.tensor([factors.get(name, 1.0) for name in names], dtype=torch.float64)
            for factors in (gate, penalty)
        )

    def set_importance(self, omega: Mapping[str, Tensor], anchor: Mapping[str, Tensor]) -> None:
        """Importance and pre-trained value of each parameter; a new one is free to move.

        Raises:
            ValueError: they are those of another network; the message lists names and shapes.
        """
        named = self.named_trained_parameters()
        zeros = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        known = torch.tensor([float(name in anchor) for name in named])
        self._importance = (from_named(omega, zeros), from_named(anchor, named), known)

    # --- one update ---------------------------------------------------------------------------

    def compute_gradient(self, batch: Samples) -> tuple[Tensor, dict[str, Tensor]]:
        """Where the gradients meet: restoration, generative, importance and orthogonality."""
        seed, iteration, _ = batch['key'][0].tolist()
        total = self.global_batch(batch)
        count = self.num_generative(total, seed, iteration)
        if count == total:
            raise ValueError(
                f'model.mix_ratio={self.mix_ratio} makes all {total} samples of the batch '
                f'generative; lower it, or enlarge train_dataloader.batch_size'
            )
        reconcile = self.orthogonality_loss if count else None
        second_order = reconcile is not None and reconcile.is_due(iteration)
        logged: dict[str, Tensor] = {}

        with self.full_precision(second_order):
            groups = self._groups(batch, total, count, reconcile.num_groups if second_order else 1)
            rows, losses = self._objective_gradients(groups, total)
            generative, content = rows['noise'].sum(0), rows['content'].sum(0)
            content_norm = content.norm()
            self.show_gradient(generative + content)
            if count:
                logged['gradient_cosine'] = torch.cosine_similarity(generative, content, dim=0)

            generative = scale_parts(generative, self.gate, self.trained_parameters())
            if reconcile is not None and reconcile.projects:
                generative = project(generative, self._reached(content.clone()))
            gradient = content.add_(generative)
            del generative  # as large as the network
            content_loss = sum_over_processes(losses['content'].sum()) / (total - count)
            penalty = self._importance_gradient(content_loss, logged)
            if penalty is not None:
                gradient += penalty
            if second_order:
                pull = self._orthogonality_gradient(groups, rows, total, count, logged)
                pull = reconcile.limit(pull, content_norm)
                logged['orthogonality_ratio'] = pull.norm() / content_norm
                gradient += pull
        return gradient, {**losses, **{name: value.reshape(-1) for name, value in logged.items()}}

    def content_losses(self, batch: Samples) -> Tensor:
        """Per-sample reconstruction loss (B,) at the matched time steps of the samples' tasks."""
        steps = [self.timesteps[task] for task in batch['task']]
        t = torch.tensor(steps, device=batch['degraded'].device)
        return self.content_loss(self(batch['degraded'], t), batch['clean'])

    def num_generative(self, global_batch: int, seed: int, iteration: int) -> int:
        """n_g of an iteration's global batch."""
        exact = self.mix_ratio * global_batch
        if self.mix_rounding == 'round':
            return round(exact)
        return int(exact + generator(seed, iteration, 'mix').random())

    def _groups(
        self, batch: Samples, total: int, num_generative: int, parts: int
    ) -> dict[str, list[Samples]]:
        """This process's samples of each objective, in at most ``parts`` groups by global slot."""
        slots = batch['key'][:, 2].tolist()

        def split(first: int, end: int) -> list[Samples]:
            number = max(min(parts, end - first), 1)
            return [
                select(
                    batch,
                    [
                        i
                        for i, slot in enumerate(slots)
                        if first <= slot < end and (slot - first) * number // (end - first) == part
                    ],
                )
                for part in range(number)
            ]

        return {'noise': split(0, num_generative), 'content': split(num_generative, total)}

    def _objective_gradients(
        self, groups: dict[str, list[Samples]], total: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Gradients (m, P) of each objective's groups, over all processes, and their losses."""
        rows, losses = {}, {}
        for name, members in groups.items():
            pairs = [self.accumulate(samples, self._loss_of(name), total) for samples in members]
            rows[name] = sum_over_processes(torch.stack([gradient for gradient, _ in pairs]))
            losses[name] = torch.cat([values for _, values in pairs])
        return rows, losses

    def _loss_of(self, objective: str) -> PerSampleLoss:
        return self.noise_losses if objective == 'noise' else self.content_losses

    def _importance_gradient(self, content: Tensor, logged: dict[str, Tensor]) -> Tensor | None:
        """The gradient (P,) of L_reg, if any; logs its parts, and the distance from the anchor."""
        penalizes = self.importance_loss is not None and self.importance_loss.statistic is not None
        if self._importance is None:
            if penalizes:
                raise RuntimeError(
                    'model.importance_loss has no importance to work on: add the hook '
                    'ImportanceAccumulationHook, and load_from a pre-trained checkpoint'
                )
            return None
        omega, anchor, known = self._importance
        parameters = self.trained_parameters()
        delta = scale_parts(flatten(parameters).sub_(anchor), known, parameters)
        logged['drift'] = delta.norm()
        if not penalizes:
            return None
        sizes = [parameter.numel() for parameter in parameters]
        penalty = self.importance_loss(delta, omega, self.penalty_decay.to(delta), sizes)
        logged['importance'] = penalty.value
        logged['importance_s'] = penalty.first_order
        logged['importance_s2'] = penalty.second_order
        logged['importance_ratio'] = penalty.value / content
        return penalty.gradient

    def _orthogonality_gradient(
        self,
        groups: dict[str, list[Samples]],
        rows: dict[str, Tensor],
        total: int,
        num_generative: int,
        logged: dict[str, Tensor],
    ) -> Tensor:
        """The gradient (P,) of L_orthog at what the generative gradient reaches.

        Two phases: the groups' gradients (``rows``, which are changed) give dL / dg_a in closed
        form; then each group adds its Hessian-vector product, with one graph alive at a time.
        """
        if self.orthogonality_loss.literal:
            with self.backbone.twice_differentiable():
                return self._literal_orthogonality_gradient(groups, logged)
        for row in itertools.chain(rows['noise'], rows['content']):
            self._reached(row)
        counts = (num_generative, total - num_generative)
        result = self.orthogonality_loss(rows['noise'], rows['content'], counts)
        _log_orthogonality(result, logged)
        gradient = None
        members = [(name, samples) for name in ('noise', 'content') for samples in groups[name]]
        pulls = result.derivatives(rows['noise'], rows['content'])
        with self.backbone.twice_differentiable():
            for (name, samples), pull in zip(members, pulls, strict=True):
                times_pull = partial(self._second_derivative, pull)
                product, _ = self.accumulate(samples, self._loss_of(name), total, times_pull)
                gradient = product if gradient is None else gradient.add_(product)
        return sum_over_processes(gradient)

    def _literal_orthogonality_gradient(
        self, groups: dict[str, list[Samples]], logged: dict[str, Tensor]
    ) -> Tensor:
        """The same by Eq. 17 to 19 to the letter: every sample's gradient in a single graph."""
        if get_world_size() > 1:
            raise ValueError(
                'orthogonality_loss.implementation="per_sample" needs all samples in one process; '
                'use "group" with several'
            )
        losses = torch.cat(
            [self._loss_of(name)(samples) for name in groups for samples in groups[name]]
        )
        refuse_custom_functions(losses.sum())
        parameters = self.trained_parameters()
        rows = per_sample_gradients(losses, parameters)
        fixed = rows.detach().clone()
        for row in fixed:
            self._reached(row)
        count = sum(len(samples['path']) for samples in groups['noise'])
        result = self.orthogonality_loss(fixed[:count], fixed[count:], (count, len(losses) - count))
        _log_orthogonality(result, logged)
        pulls = torch.stack(list(result.derivatives(fixed[:count], fixed[count:])))
        return self._reached(flat_gradient((rows * pulls).sum(), parameters))

    def _second_derivative(
        self, vector: Tensor, loss: Tensor, parameters: list[nn.Parameter]
    ) -> Tensor:
        if not self._known_twice_differentiable:
            refuse_custom_functions(loss)
            self._known_twice_differentiable = True
        return hessian_vector_product(loss, parameters, vector, (self.gate > 0).tolist())

    def _reached(self, vector: Tensor) -> Tensor:
        """Sets a vector (P,) to zero where no generative gradient reaches, in place."""
        return scale_parts(vector, (self.gate > 0).float(), self.trained_parameters())

    def val_step(self, data: Samples) -> list[Samples]:
        """Restored images, and each clean image's L_g: what is left of the generative skill."""
        batch = self.data_preprocessor(data)
        losses = self.held_out_noise(batch)
        return [
            {**sample, 'held_out_noise': loss}
            for sample, loss in zip(self.predict(batch), losses, strict=True)
        ]


def _log_orthogonality(result: Orthogonality, logged: dict[str, Tensor]) -> None:
    logged['orthogonality'] = result.loss
    logged['orthogonality_cross'] = result.cross
    logged['orthogonality_within'] = result.within
