"""Figures 9 and 10: what they show is what own hooks see and scikit-learn computes."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score

from dtir_mm.analysis.figures import tsne
from dtir_mm.analysis.figures.features import feature_figure
from dtir_mm.analysis.figures.networks import load_networks
from dtir_mm.analysis.figures.tsne import deep_features, tsne_figure
from dtir_mm.engine.checkpoint import load_checkpoint
from dtir_mm.registry import DATASETS, MODELS

STEPS = {'rainy': 8, 'noisy': 4, 'low_light': 38}
FIRST, LAST = 'encoders.0.0', 'decoders.0.0'  # of the toy network, without stem and last layers


def seen_by_hooks(folder, degraded, t: int) -> dict[str, np.ndarray]:
    """What a network built anew makes of (3, H, W) in [0, 1]: outputs of blocks, and its own."""
    checkpoint = load_checkpoint(folder)
    network = MODELS.build(checkpoint.config['model']).eval()
    network.load_state_dict(checkpoint.weights)
    seen = {}
    for name in (FIRST, LAST):
        module = network.backbone.net.get_submodule(name)
        module.register_forward_hook(
            lambda *args, name=name: seen.update({name: args[-1][0].numpy()})
        )
    with torch.no_grad():
        restored = network(degraded[None] * 2 - 1, torch.tensor([t]))[0]
    return seen | {'restored': ((restored + 1) / 2).clamp(0, 1).numpy()}


def test_features_and_residuals_are_those_of_the_networks(write_network):
    folders = [write_network(name, ['rainy', 'noisy'], seed) for seed, name in enumerate('ab')]
    drawn = feature_figure(folders, False)
    assert drawn.notes == [f'{name}: first block {FIRST}, last block {LAST}' for name in 'ab']
    axes = np.array([axis for axis in drawn.figure.axes if axis.images]).reshape(4, 5)
    data = DATASETS.build(load_checkpoint(folders[0]).config['test_dataloader']['dataset'])
    for line, (domain, folder) in zip(
        axes, [(d, f) for d in ('source', 'target') for f in folders], strict=True
    ):
        samples = (data[i] for i in range(len(data)))
        sample = next(s for s in samples if (s['task'], s['domain']) == ('rainy', domain))
        degraded, clean = (sample[name] / 255 for name in ('degraded', 'clean'))
        shown = [np.asarray(axis.images[0].get_array()) for axis in line]
        assert shown[0] == pytest.approx(degraded.permute(1, 2, 0).numpy(), abs=1e-6)
        seen = seen_by_hooks(folder, degraded, STEPS['rainy'])
        for place, block in ((1, FIRST), (2, LAST)):
            assert shown[place] == pytest.approx(np.abs(seen[block]).mean(0), abs=1e-4)
        for place, image in ((3, seen['restored']), (4, clean.numpy())):
            assert shown[place] == pytest.approx(np.abs(image - degraded.numpy()).mean(0), abs=1e-4)
        assert folder.name in line[0].get_ylabel() and 't = 8' in line[0].get_ylabel()
    scales = np.array([[axis.images[0].get_clim() for axis in line[1:]] for line in axes])
    assert (scales == scales[0]).all(), 'a column has one scale'
    assert (scales[0, 2] == scales[0, 3]).all(), 'both residuals have one'
    assert (scales[..., 0] == 0).all() and len(np.unique(scales[0, :, 1])) == 3


def test_images_of_odd_sizes_are_padded_for_the_network_only(write_network):
    (network,) = load_networks([write_network('a', ['rainy'])], False)
    image = torch.rand(3, 31, 45, generator=torch.Generator().manual_seed(0))
    restored, (deep,) = network.run(image, 8, [LAST])
    padded = torch.nn.functional.pad(image, (0, 1, 0, 1), mode='reflect')
    seen = seen_by_hooks(network.checkpoint.path, padded, 8)
    assert deep.numpy() == pytest.approx(seen[LAST][:, :31, :45], abs=1e-4)
    assert restored.numpy() == pytest.approx(seen['restored'][:, :31, :45], abs=1e-4)


def test_pooled_features_and_silhouettes_at_own_steps_and_at_one(write_network):
    folder = write_network('a', ['rainy', 'noisy', 'low_light'], photos=4)
    data = DATASETS.build(load_checkpoint(folder).config['test_dataloader']['dataset'])
    samples = [data[i] for i in range(len(data))]
    samples = [s for s in samples if s['domain'] == 'source' and s['task'] != 'clean']
    drawn = tsne_figure([folder], False)
    (network,) = load_networks([folder], False)
    found = deep_features(network, False)
    for features, steps in zip(found, (STEPS, dict.fromkeys(STEPS, 8)), strict=True):
        pooled = np.stack([
            seen_by_hooks(folder, s['degraded'] / 255, steps[s['task']])[LAST].mean((1, 2))
            for s in samples
        ])  # fmt: skip
        assert features.tasks == [s['task'] for s in samples]
        assert features.values == pytest.approx(pooled, abs=1e-4)
        score = silhouette_score(pooled, features.tasks)
        assert features.silhouette == pytest.approx(score, abs=1e-3)
    titles = [axes.get_title().split('\n') for axes in drawn.figure.axes]
    assert titles == [
        [title, f'silhouette {each.silhouette:.2f}']
        for title, each in zip(('each task at its own t', 'all tasks at t = 8'), found, strict=True)
    ]
    assert drawn.notes[:2] == [': '.join(title) for title in titles]
    for axes, features in zip(drawn.figure.axes, found, strict=True):
        points = {line.get_label(): line.get_xydata() for line in axes.lines}
        assert list(points) == ['rainy (t = 8)', 'noisy (t = 4)', 'low_light (t = 38)']
        assert np.concatenate(list(points.values())) == pytest.approx(features.plane), 'not fixed'
        assert len({line.get_marker() for line in axes.lines}) == 3


def test_one_task_cannot_be_separated(write_network):
    folder = write_network('a', ['rainy'])
    with pytest.raises(ValueError, match='at least two tasks of two images each, but has rainy 2'):
        tsne_figure([folder], False)


def test_a_second_network_is_refused(write_network):
    folders = [write_network(name, ['rainy', 'noisy']) for name in 'ab']
    with pytest.raises(ValueError, match='features of one network, got 2 folders'):
        tsne_figure(folders, False)


def test_scikit_learn_is_optional(monkeypatch, tmp_path):
    monkeypatch.setattr(tsne.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match='pip install scikit-learn'):
        tsne_figure([tmp_path], False)
    assert importlib.util is tsne.importlib.util


@pytest.mark.parametrize(
    ('test_data', 'said'),
    [
        (None, 'has no test_dataloader'),
        ({'dataset': {'type': 'os.system'}}, 'not registered'),
        ({'dataset': {'type': 'DegradedPhotosDataset', 'folder': 's3://a/b'}}, 'is refused'),
    ],
)
def test_the_config_in_a_checkpoint_is_not_trusted(write_network, test_data, said):
    (network,) = load_networks([write_network('a', ['rainy'])], False)
    config = network.checkpoint.config | {'test_dataloader': test_data}
    meta = replace(network.checkpoint.meta, config_json=json.dumps(config))
    network = replace(network, checkpoint=replace(network.checkpoint, meta=meta))
    with pytest.raises((KeyError, ValueError), match=said):
        network.test_data(False)
