"""The content loss of both recipes and its logs, image by image."""

import pytest
import torch
from restorer_cases import (
    L1_AND_FFT,
    RELEASED,
    STEPS,
    build,
    compute,
    content_loss,
    gradient_of,
    l1_and_fft_loss,
    make_data,
)


def step_of(losses: dict | None) -> dict:
    return dict(objective=dict(type='Reconstruction', losses=losses))


def test_the_preprints_content_loss_is_l1(toy_backbone):
    restorer = build(toy_backbone, step_of(None))
    data = make_data([2, 0, 1])
    gradient, logged = compute(restorer, data)
    expected = torch.stack([content_loss(restorer, data, i) for i in range(3)])
    torch.testing.assert_close(logged['content'], expected.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, gradient_of(expected.mean(), restorer))
    assert set(logged) == {'content', 'content_of_input'}  # a single term is the whole


def test_the_released_content_loss_adds_an_fft_loss(toy_backbone):
    """Each term is logged by its name in the config; they add up to what is minimised."""
    restorer = build(toy_backbone, step_of(L1_AND_FFT), **RELEASED)
    data = make_data([2, 0, 1])
    gradient, logged = compute(restorer, data)
    expected = torch.stack([l1_and_fft_loss(restorer, data, i) for i in range(3)])
    torch.testing.assert_close(logged['content'], expected.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, gradient_of(expected.mean(), restorer))
    assert set(logged) == {'content', 'content_pixel', 'content_fft', 'content_of_input'}
    both = logged['content_pixel'] + logged['content_fft']
    torch.testing.assert_close(both, logged['content'])
    for i in range(3):
        clean, degraded = (data[name][i].double() / 255 for name in ('clean', 'degraded'))
        t = torch.tensor([STEPS[data['task'][i]]])
        error = (degraded - restorer.backbone(degraded[None], t)[0] - clean).detach()
        assert logged['content_pixel'][i].item() == pytest.approx(error.abs().mean().item())
        amplitude = torch.fft.fft2(error).abs().mean().item()
        assert logged['content_fft'][i].item() == pytest.approx(0.1 * amplitude)


def test_content_of_input_is_the_loss_of_the_identity(toy_backbone):
    restorer = build(toy_backbone, step_of(L1_AND_FFT), **RELEASED)
    data = make_data(range(4))
    _, logged = compute(restorer, data)
    restorer.predict_residual = lambda u, t: (0 * next(restorer.parameters()).sum()).expand_as(u)
    _, of_nothing = compute(restorer, data)
    torch.testing.assert_close(logged['content_of_input'], of_nothing['content'])
    assert not torch.isclose(logged['content'], of_nothing['content']).any()


def test_each_sample_is_restored_at_its_tasks_time_step(toy_backbone):
    restorer = build(toy_backbone, step_of(None))
    seen = []
    predict_residual = restorer.predict_residual
    restorer.predict_residual = lambda u, t: (seen.append(t.tolist()), predict_residual(u, t))[1]
    compute(restorer, make_data([1, 0, 2]))
    assert seen == [[47, 8, 8]]


def test_validation_adds_no_losses(toy_backbone):
    restorer = build(toy_backbone, step_of(None))
    batch = restorer.data_preprocessor(make_data([0, 1]))
    assert restorer.step.val_losses(restorer, batch) == {}


def test_degraded_images_are_required(toy_backbone):
    data = make_data([1, 0])
    del data['degraded']
    with pytest.raises(ValueError, match='train_dataloader.dataset have no degraded image'):
        compute(build(toy_backbone, step_of(None)), data)
