"""Errors, warnings and precision of gradient orthogonality."""

import pytest
import torch
from finetune_cases import SAMPLES, build, compute, gradients_of, set_term
from mmengine.logging import MMLogger
from torch import Tensor, nn

from dtir_mm import compat
from dtir_mm.models.regularizers import orthogonality_penalty
from dtir_mm.models.regularizers.gradient_projection import GradientProjection
from dtir_mm.models.regularizers.orthogonality_penalty import GradientOrthogonality
from dtir_mm.registry import MODELS


@pytest.mark.parametrize('implementation', ['group', 'per_sample'])
def test_second_derivatives_are_not_taken_under_autocast(implementation):
    restorer = build(precision='bf16')
    term = GradientOrthogonality(interval=2, implementation=implementation)
    set_term(restorer, 'orthogonality', term)
    seen = []
    restorer.backbone.net.register_forward_hook(
        lambda *_: seen.append(torch.is_autocast_enabled('cpu'))
    )
    for iteration in (3, 4):
        seen.clear()
        compute(restorer, iteration)
        assert set(seen) == {iteration % 2 == 1}
    assert restorer.precision == 'bf16'


class RootMeanSquareNorm(torch.autograd.Function):
    """Its first derivative is right; for the second it treats saved tensors as constants."""

    @staticmethod
    def forward(ctx, u: Tensor) -> Tensor:
        inverse = (u.square().mean(1, keepdim=True) + 1e-6).rsqrt()
        ctx.save_for_backward(u * inverse, inverse)
        return u * inverse

    @staticmethod
    def backward(ctx, by_output: Tensor) -> Tensor:
        output, inverse = ctx.saved_tensors
        return inverse * (by_output - output * (by_output * output).mean(1, keepdim=True))


@MODELS.register_module()
class HandWritten(nn.Module):
    """A network with that norm."""

    global_skip = False

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return self.last(RootMeanSquareNorm.apply(self.first(u)))


MMAGIC = dict(
    type='mmagic.NAFNet', mid_channels=4, middle_blk_num=1, enc_blk_nums=[1], dec_blk_nums=[1]
)


@pytest.mark.parametrize(
    ('backbone', 'function'),
    [(dict(type='HandWritten'), 'RootMeanSquareNorm'), (MMAGIC, 'LayerNormFunction')],
    ids=['own', 'mmagic'],
)
def test_custom_autograd_functions_are_rejected(backbone, function, monkeypatch):
    """But by projection, which is of first order."""
    monkeypatch.setattr(compat, 'mend_custom_functions', lambda network: network)
    restorer = build(backbone)
    message = f'custom autograd functions.*{function}.*GradientProjection'
    for implementation in ('group', 'per_sample'):
        term = GradientOrthogonality('align', implementation, interval=2)
        set_term(restorer, 'orthogonality', term)
        with pytest.raises(TypeError, match=message):
            compute(restorer, 4)
        compute(restorer, 3)
    generative, content = (sum(rows) for rows in gradients_of(restorer, SAMPLES))
    set_term(restorer, 'orthogonality', None)
    set_term(restorer, 'projection', GradientProjection())
    overlap = min(float(generative @ content), 0) / float(content.square().sum())
    torch.testing.assert_close(compute(restorer)[0], content + generative - overlap * content)


def test_per_sample_orthogonality_needs_a_single_process(monkeypatch):
    restorer = build()
    term = GradientOrthogonality('align', 'per_sample', interval=1)
    set_term(restorer, 'orthogonality', term)
    monkeypatch.setattr(orthogonality_penalty, 'get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='implementation="per_sample".*one process.*"group"'):
        compute(restorer)


def warnings_of(restorer: nn.Module, monkeypatch: pytest.MonkeyPatch, **arguments) -> list[str]:
    """What three updates with the term warn of."""
    messages = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', messages.append)
    set_term(restorer, 'orthogonality', GradientOrthogonality(interval=1, **arguments))
    for iteration in range(3):
        compute(restorer, iteration)
    return messages


def test_a_single_generative_sample_triggers_one_warning(monkeypatch):
    """With one group of each kind there is no d that would need two."""
    restorer = build()
    assert warnings_of(restorer, monkeypatch) == []
    restorer.step.mixing.ratio = 0.125
    (message,) = warnings_of(restorer, monkeypatch)
    assert 'single generative sample, so that d of Eq. 18' in message and 'mixing.ratio' in message
    assert warnings_of(restorer, monkeypatch, groups=1) == []
    restorer.step.mixing.ratio = 0.0
    assert warnings_of(restorer, monkeypatch) == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(mode='pull'), "mode='pull' of GradientOrthogonality must be one of .*align"),
        (dict(implementation='project'), "implementation='project' of .* one of .*per_sample"),
        (dict(interval=0), 'interval=0 of GradientOrthogonality must be at least 1'),
    ],
)
def test_invalid_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientOrthogonality(**arguments)
