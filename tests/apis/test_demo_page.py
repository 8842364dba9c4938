"""What the page of ``dtir-mm demo`` does with a photograph, without the page itself."""

from types import SimpleNamespace

import numpy as np
import pytest

from dtir_mm.apis import demo_page
from dtir_mm.datasets.degradations import DEGRADATIONS
from dtir_mm.image_io import save_image
from dtir_mm.models.restorers.blind_inference import UNSURE, Prediction
from dtir_mm.models.restorers.task_timesteps import TaskTimesteps


def choices_of(timesteps, *, trained=(), classifier=None):
    restorer = SimpleNamespace(
        backbone=None,
        timesteps=TaskTimesteps(timesteps, 50),
        trained_tasks=list(trained),
        classifier=classifier,
    )
    return demo_page._choices(restorer)


def test_what_can_be_chosen_depends_on_the_model():
    two = {'rainy': 8, 'noisy': 4, 'blind': 1}
    named = [('rain', 'rainy'), ('noise', 'noisy')]
    assert choices_of(two, classifier=object()) == [('predicted by the model', ''), *named]
    assert choices_of(two, trained=['noisy']) == [('what the model was trained for', ''), *named]
    assert choices_of(two) == named
    assert choices_of('fixed:1') == [('what the model was trained for', '')]


def test_every_degradation_has_a_noun():
    assert demo_page.NOUNS.keys() == DEGRADATIONS.keys()
    assert len(set(demo_page.NOUNS.values())) == len(DEGRADATIONS)


@pytest.mark.parametrize(
    ('found', 'words'),
    [
        (Prediction('low_light', 0.98, 38), 'Restored: low light (98% probable)'),
        (Prediction('foggy', None, 12), 'Restored: foggy'),
        (Prediction(None, None, 8), 'Restored.'),
        (Prediction('clean', 0.9, 0), 'No degradation was found (90% probable): the photograph'),
        (Prediction(UNSURE, 0.4, 1), 'The model is not sure which degradation this is'),
        (Prediction(UNSURE, 0.4, 0), 'The model is not sure that the photograph is degraded'),
    ],
)
def test_what_was_found_is_said_without_time_steps(found, words):
    assert demo_page.in_words(found).startswith(words)


def test_a_photograph_of_too_many_pixels_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_page, 'MAX_PIXELS', 2999)
    monkeypatch.setattr(demo_page, 'restore_file', None)
    save_image(tmp_path / 'a.png', np.zeros((50, 60, 3), np.uint8))
    message = r'a\.png has 3,000 pixels, more than the 2,999 that this page restores: use `dtir-mm'
    with pytest.raises(ValueError, match=message):
        demo_page.restored_in(tmp_path, None, tmp_path / 'a.png', None, 1.0, None)
