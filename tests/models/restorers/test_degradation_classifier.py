"""The degradation classifier's predictions."""

import itertools
import re

import pytest
import torch
from blind_cases import TASKS, images

from dtir_mm.models.restorers.degradation_classifier import DegradationClassifier


def test_predictions_depend_neither_on_other_images_nor_on_the_size():
    classifier = DegradationClassifier(TASKS, width=4).double()
    x = images(3, 16, 24)
    together = classifier(x)
    for i in range(3):
        torch.testing.assert_close(classifier(x[i : i + 1])[0], together[i])
    constant = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64).reshape(1, 3, 1, 1)
    answers = [classifier(constant.expand(1, 3, side, side)) for side in (256, 512, 1024)]
    changes = [(b - a).detach().abs().max() for a, b in itertools.pairwise(answers)]
    # Twice the size has half the borders, in a standard deviation their root.
    assert changes[1] < 0.75 * changes[0] < 0.1


@pytest.mark.parametrize('tasks', [['hazy', 'hazy'], ['hazy', 'clean']])
def test_duplicate_classes_are_rejected(tasks):
    with pytest.raises(ValueError, match=re.escape(f'tasks={tasks} of DegradationClassifier must')):
        DegradationClassifier(tasks)


def test_parts_are_classified_by_the_statistics_of_all_together():
    classifier = DegradationClassifier(TASKS, width=4).double()
    parts = [images(2, 16, 24) for _ in range(3)]
    torch.testing.assert_close(classifier.classify_parts(parts[:1]), classifier(parts[0]))
    torch.testing.assert_close(classifier.classify_parts(parts[:1] * 3), classifier(parts[0]))
    reordered = classifier.classify_parts(iter(parts[::-1]))
    torch.testing.assert_close(reordered, classifier.classify_parts(parts))

    classifier.head = torch.nn.Identity()
    pooled, whole = classifier.classify_parts(parts), torch.cat(parts, dim=2).flatten(2)
    torch.testing.assert_close(pooled[:, :3], whole.mean(2))
    expected = (whole.var(2, unbiased=False) + 1e-6).sqrt()
    torch.testing.assert_close(pooled[:, 6:9], expected)
    largest = torch.stack([classifier(part) for part in parts])[..., -16:].amax(0)
    torch.testing.assert_close(pooled[:, -16:], largest)


def test_one_pixel_is_classified_like_a_larger_image():
    classifier = DegradationClassifier(TASKS, width=8).double().eval()
    pixel = images(1, 1, 1)
    assert torch.isfinite(classifier(pixel)).all()
    with torch.no_grad():
        for parameter in classifier.layers.parameters():
            parameter.zero_()
    large = pixel.expand(1, 3, 64, 48)
    torch.testing.assert_close(classifier(pixel), classifier(large))


@pytest.mark.parametrize('confidence', [-0.1, 1.5])
def test_confidences_that_are_no_probabilities_are_rejected(confidence):
    with pytest.raises(ValueError, match=rf'confidence={confidence} of .* must lie in \[0, 1\]'):
        DegradationClassifier(TASKS, width=4, confidence=confidence)


def test_widths_that_are_not_multiples_of_the_groups_are_rejected():
    with pytest.raises(ValueError, match='width=6 of DegradationClassifier .* multiple of 4'):
        DegradationClassifier(TASKS, width=6)
