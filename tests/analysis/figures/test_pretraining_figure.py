"""Figure 3a: the bars are the means of the tests."""

import pytest

from dtir_mm.analysis.figures.bars import pretraining_figure
from dtir_mm.analysis.run_files import RunFiles, read_runs


def test_bars_are_means_in_groups_of_a_task(write_test):
    psnr = {'scratch': {'rainy': 24.0, 'noisy': 21.0}, 'ours': {'rainy': 26.5}}
    for method, by_task in psnr.items():
        images = [
            (task, domain, 20 + shift, value + shift - 3 * (domain == 'target'))
            for task, value in by_task.items()
            for domain in ('source', 'target')
            for shift in (-0.5, 0.5)
        ]
        folder = write_test(method, images, method=method)
    figure = pretraining_figure(read_runs([folder])).figure
    assert [axes.get_title() for axes in figure.axes] == ['source', 'unseen (target)']
    for axes, lower in zip(figure.axes, (0, 3), strict=True):
        groups = {bars.get_label(): bars for bars in axes.containers}
        assert list(groups) == ['input', 'scratch', 'ours']
        tasks = [label.get_text() for label in axes.get_xticklabels()]
        assert tasks == ['noisy', 'rainy'] and list(axes.get_xticks()) == [0, 1]
        found = {
            (name, tasks[round(bar.get_center()[0])]): bar.get_height()
            for name, bars in groups.items()
            for bar in bars
        }
        assert found == pytest.approx(
            {('input', task): 20 for task in tasks}
            | {('scratch', 'rainy'): 24 - lower, ('scratch', 'noisy'): 21 - lower}
            | {('ours', 'rainy'): 26.5 - lower}
        )
        printed = {text.get_text() for text in axes.texts}
        assert printed == {f'{height:.1f}' for height in found.values()}
        edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)
        for (_, right), (left, _) in zip(edges, edges[1:], strict=False):
            assert left >= right - 1e-9, 'bars overlap'
        start = axes.get_ylim()[0]
        assert axes.get_ylabel() == f'PSNR in dB (axis starts at {start:g} dB)'
        assert start < min(found.values()) < max(found.values()) < axes.get_ylim()[1]
    hatches = {bars[0].get_hatch() for bars in figure.axes[0].containers}
    assert len(hatches) == 3, 'in grey, only hatches tell the bars apart'


def test_folders_without_tests_are_an_error():
    with pytest.raises(ValueError, match='no results of dtir-mm test'):
        pretraining_figure(RunFiles())
