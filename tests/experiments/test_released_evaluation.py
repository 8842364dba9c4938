"""Measuring a restorer told and blind, and tuning classical methods."""

import json
from pathlib import Path

import classical_methods
import numpy as np
import pytest
import torch
from cases import Case, Pair, single
from classical_methods.candidate import Candidate
from classical_methods.tone import gamma
from evaluate import Subject, measure, summary
from figures import Figures
from record import columns, write_record
from tqdm import tqdm

import dtir_mm.models  # noqa: F401  registers the classes
from dtir_mm.evaluation.metrics import psnr, ssim
from dtir_mm.image_io import save_image
from dtir_mm.registry import MODELS

RNG = np.random.default_rng(0)
CLEAN = RNG.integers(60, 200, (48, 64, 3), np.uint8)
STEPS = {'blind': 1, 'noisy': 4, 'jpeg': 12}


class Blank(Figures):
    """Without LPIPS, whether or not it has weights here."""

    def __init__(self) -> None:
        self.lpips = None


def restorer(toy_backbone: dict, **more):
    model = {'type': 'Restorer', 'backbone': toy_backbone, 'timesteps': STEPS, **more}
    return MODELS.build(model).eval()


def case(*tasks: str) -> Case:
    def load(index: int) -> Pair:
        return Pair('ab'[index], (CLEAN + 10 * (index + 1)).astype(np.uint8), CLEAN)

    return Case('source' if len(tasks) == 1 else 'composite', tasks, load, 2)


def measured(subject: Subject, *tasks: str) -> dict:
    with tqdm(disable=True) as bar:
        return measure(case(*tasks), subject, Blank(), bar)


def test_figures_of_the_input_are_those_of_the_formula(toy_backbone):
    row = measured(Subject(restorer(toy_backbone)), 'noisy')
    assert row['photos'] == ['a', 'b']
    expected = [20 * np.log10(255 / 10), 20 * np.log10(255 / 20)]
    assert row['input']['psnr'] == pytest.approx(expected, abs=1e-4)
    degraded = (CLEAN + 10).astype(np.uint8)
    assert row['input']['ssim'][0] == pytest.approx(ssim(degraded, CLEAN), abs=1e-4)
    assert 'lpips' not in row['input']


def test_told_is_restored_at_the_step_of_the_task(toy_backbone):
    model = restorer(toy_backbone)
    row = measured(Subject(model), 'jpeg')
    pixels = torch.from_numpy((CLEAN + 10).astype(np.uint8)).permute(2, 0, 1)[None]
    restored = model.restore_images(model.from_uint8(pixels), torch.tensor([12]))
    restored = restored[0].permute(1, 2, 0).numpy()
    assert row['told']['t'] == [12, 12]
    assert row['told']['psnr'][0] == pytest.approx(psnr(restored * 255, CLEAN), abs=0.02)
    assert row['told']['psnr'] != row['input']['psnr']


def test_two_degradations_are_told_one_by_one(toy_backbone):
    row = measured(Subject(restorer(toy_backbone)), 'noisy', 'jpeg')
    assert [row[f'told {task}']['t'] for task in ('noisy', 'jpeg')] == [[4, 4], [12, 12]]
    assert 'told' not in row


def test_without_a_classifier_blind_is_the_blind_step(toy_backbone):
    row = measured(Subject(restorer(toy_backbone)), 'noisy')
    assert row['blind']['t'] == [1, 1]
    assert row['blind']['found'] == ['blind', 'blind']
    assert row['blind']['probability'] == [None, None]
    model = restorer(toy_backbone, timesteps={'noisy': 4})
    assert 'blind' not in measured(Subject(model), 'noisy')


def test_the_classifier_decides(toy_backbone):
    classifier = {'type': 'DegradationClassifier', 'tasks': ['noisy', 'jpeg']}
    model = restorer(toy_backbone, classifier=classifier)
    head = model.classifier.head[-1]
    head.weight.data.zero_()
    for index, (name, t) in enumerate({'noisy': 4, 'jpeg': 12, 'clean': 0}.items()):
        head.bias.data.zero_()[index] = 5.0
        row = measured(Subject(model), 'noisy')
        assert row['blind']['found'] == [name, name]
        assert row['blind']['t'] == [t, t]
        probability = np.exp(5) / (np.exp(5) + 2)
        assert row['blind']['probability'] == pytest.approx([probability] * 2, abs=1e-4)
    assert row['blind']['psnr'] == row['input']['psnr']  # found to be clean


def test_a_line_sums_up_a_case(toy_backbone):
    line = summary(measured(Subject(restorer(toy_backbone)), 'noisy'))
    assert line.startswith('noisy              source     input 25.12, told ')


def test_records_are_json_with_a_line_a_case(tmp_path):
    rows = [
        {'domain': 'source', 'input': columns([{'psnr': 1 / 3, 't': 4}, {'psnr': 2.0, 't': 5}])}
    ]
    write_record(tmp_path / 'x.json', {'commit': 'abc', 'versions': {'numpy': '2'}}, rows * 2)
    text = (tmp_path / 'x.json').read_text()
    assert json.loads(text) == {
        'commit': 'abc',
        'versions': {'numpy': '2'},
        'cases': [{'domain': 'source', 'input': {'psnr': [0.3333, 2.0], 't': [4, 5]}}] * 2,
    }
    assert sum('"domain"' in line for line in text.splitlines()) == 2


def test_tuning_finds_the_inverse_gamma(monkeypatch, tmp_path):
    pytest.importorskip('pywt')
    from classical import measure as measure_classical
    from classical import tune

    dark = Case('source', ('low_light',), lambda _: Pair('a', gamma(CLEAN, 2.0), CLEAN), 1)
    candidates = (
        Candidate('gamma', gamma, {'exponent': (0.3, 0.5, 0.8)}),
        Candidate('other', gamma, {'exponent': (1.5, 2.0)}),
    )
    monkeypatch.setitem(classical_methods.CANDIDATES, 'low_light', candidates)
    tuned = tune('low_light', dark)
    first, second = tuned['methods']
    assert (first['name'], first['settings']) == ('gamma', {'exponent': 0.5})
    assert (second['name'], second['settings']) == ('other', {'exponent': 1.5})
    assert first['psnr'] > 45 > tuned['input'] > second['psnr']
    row = measure_classical(dark, 'gamma', {'exponent': 0.5}, Blank())
    assert row['classical']['psnr'] == [first['psnr']]
    assert row['input']['psnr'] == [tuned['input']]


def test_inpainting_is_also_measured_with_its_holes(tmp_path):
    pytest.importorskip('pywt')
    from classical import measure as measure_classical

    rows, columns = np.mgrid[:192, :256]
    photo = np.stack([rows, columns // 2, 200 - rows // 2], axis=2).astype(np.uint8)
    photo[20:40, 100:160] = 255  # a white object, which is taken for a hole
    save_image(Path(tmp_path) / 'a.png', photo)
    holes = single(tmp_path, 'inpainting', 'source')
    settings = {'method': 'ns', 'radius': 2, 'grow': 0}
    row = measure_classical(holes, 'inpainting', settings, Blank())
    assert row['holes given']['psnr'][0] > row['classical']['psnr'][0] > row['input']['psnr'][0]
