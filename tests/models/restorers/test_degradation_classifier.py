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


def test_one_pixel_is_classified_like_a_larger_image():
    classifier = DegradationClassifier(TASKS, width=8).double().eval()
    pixel = images(1, 1, 1)
    assert torch.isfinite(classifier(pixel)).all()
    with torch.no_grad():
        for parameter in classifier.layers.parameters():
            parameter.zero_()
    large = pixel.expand(1, 3, 64, 48)
    torch.testing.assert_close(classifier(pixel), classifier(large))


def test_widths_that_are_not_multiples_of_the_groups_are_rejected():
    with pytest.raises(ValueError, match='width=6 of DegradationClassifier .* multiple of 4'):
        DegradationClassifier(TASKS, width=6)
