"""Wrong arguments of every tool: at most three lines on stderr, without the log."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_processes import free_port

ROOT = Path(__file__).resolve().parents[2]
# The tool, its arguments (names in braces are fixtures), and a part of the last line.
CASES = [
    # train
    ('train', '', 'required: config'),
    ('train', 'nowhere.py', 'no such config: nowhere.py'),
    ('train', '{syntax}', 'line 2: SyntaxError'),
    ('train', '{baseless}', 'gone.py, which does not exist'),
    ('train', '{misspelt}', 'nearest: load_from'),
    ('train', '{config} --work-dri x', 'nearest: --work-dir'),
    ('test', '{config} {pretrain} --pictures 3', '--pictures 3; it is now --images'),
    ('train', '{config} --cfg-options model.tlie=32', 'nearest: tile'),
    ('train', '{config} --cfg-options model.step.regularizers.x.type=No', 'not registered'),
    ('train', '{config} --cfg-options precision', "'precision' must be KEY=VALUE"),
    ('train', '{config} --cfg-options model.tile=9', 'tile_overlap=64 must lie in 1..8'),
    ('train', '{config} --cfg-options model.tile=x', 'must be an integer or None'),
    ('train', '{config} --cfg-options train_dataloader.dataset.folder=nowhere', 'nowhere'),
    ('train', '{config} --cfg-options load_from=nowhere.pth', 'nowhere.pth'),
    ('train', '{config} --cfg-options load_from={text}', 'notes.pth'),
    ('train', '{config} --cfg-options optim_wrapper.optimizer.lr=-1', 'Invalid learning rate'),
    ('train', '{config} --cfg-options optim_wrapper.optimizer.lr=abc', 'must be a number'),
    ('train', '{config} --cfg-options train_cfg.val_interval=0', 'must be at least 1'),
    ('train', '{config} --cfg-options precision=fp8', 'bf16'),
    ('train', '{config} --cfg-options test_cfg=None', 'to test it must have test_dataloader'),
    ('train', '{config} --cfg-options train_cfg=None', 'to train it must have'),
    ('train', '{config} --resume nowhere.pth', 'nowhere.pth'),
    ('train', '{config} --work-dir {text}/x', 'Name another one'),
    ('train', '{config} --auto-scale-lr --cfg-options auto_scale_lr=None', 'base_batch_size=N'),
    # test
    ('test', '{config}', 'required: checkpoint'),
    ('test', '{config} nowhere.pth', 'nowhere.pth'),
    ('test', '{config} {text}', 'notes.pth'),
    ('test', 'nowhere.py {finetune}', 'no such config: nowhere.py'),
    ('test', '{pretraining} {pretrain}', 'to test it must have'),
    ('test', '{empty} {finetune}', 'the config has no model'),
    ('test', '{config} {finetune} --protocol psnr', "choose from"),
    ('test', '{config} {finetune} --images -1', 'at least 0'),
    ('test', '{config} {finetune} --cfg-options model.tlie=3', 'nearest: tile'),
    ('test', '{config} {finetune} --cfg-options model.timesteps=fixed:99', '1..50'),
    ('test', '{config} {finetune} --cfg-options test_dataloader.dataset.folder=no', 'images: no'),
    # report, figure and demo
    ('report', 'nowhere --out {out}', 'no such folder of results: nowhere'),
    ('report', '{photos} --out {out}', 'photos has no results'),
    ('figure', 'radr {photos} --out {out}.png', "invalid choice: 'radr'"),
    ('figure', 'radar nowhere --out {out}.png', 'nowhere'),
    ('figure', 'radar {photos} --out {out}.png', 'photos'),
    ('figure', 'radar {photos} --out {out}.bmp', '.svg'),
    ('demo', '--port 70000', '70000'),
    ('demo', '--checkpoint nowhere.pth', 'nowhere.pth'),
    # other tools that read a config
    ('print_config', 'nowhere.py', 'nowhere.py'),
    ('print_config', '{photos}', 'photos is a folder, not a config: name a file in it'),
    ('print_config', '{misspelt}', 'nearest: load_from'),
    ('print_config', '{config} --cfg-options model.tlie=32', 'nearest: tile'),
    ('check_data', '{misspelt}', 'nearest: load_from'),
    ('check_data', '{config} --workers 0', 'at least 1'),
    ('check_data', '', 'give a config'),
    ('check_data', '{empty}', 'names no data set'),
    ('check_data', '--generate-fixture Nothing x', 'Nothing'),
    ('prepare_decoded', '{config}', 'decoded=data/decoded'),
    ('prepare_decoded', '{config} --workers two', 'at least 1'),
    ('prepare_decoded', '{config} --cfg-options modle=1', 'nearest: model'),
    # tools that read a checkpoint
    ('restore', 'nowhere.pth {photos} {out}', 'nowhere.pth'),
    ('restore', '{finetune} nowhere.png {out}', 'nowhere.png'),
    ('restore', '{text} {photos} {out}', 'notes.pth'),
    ('restore', '{finetune} {photos} {out} --t 0', '1..50'),
    ('restore', '{finetune} {photos} {out} --t 51', '1..50'),
    ('restore', '{finetune} {photos} {out} --tile 1', 'at least 2'),
    ('restore', '{finetune} {photos} {out} --task rayny', 'rayny'),
    ('restore', '{finetune} {photos} {out} --config {misspelt}', 'nearest: load_from'),
    ('deploy', 'nowhere.pth {out} --t 3', 'nowhere.pth'),
    ('deploy', '{text} {out} --t 3', 'notes.pth'),
    ('deploy', '{finetune} {out}', 'required'),
    ('deploy', '{finetune} {out} --t x', "invalid int value: 'x'"),
    ('deploy', '{finetune} {out} --t 51', '1..50'),
    ('deploy', '{finetune} {out} --task rayny', 'rayny'),
    ('match_timesteps', 'no.pth {out}.json --photos {photos} --tasks rainy', 'no.pth'),
    ('match_timesteps', '{pretrain} {out}.txt --photos {photos} --tasks rainy', '.json'),
    ('match_timesteps', '{pretrain} {out}.json --photos {photos} --tasks rainny', 'nearest: rainy'),
    ('match_timesteps', '{pretrain} {out}.json --photos no --tasks rainy', 'images: no'),
    ('match_timesteps', '{pretrain} {out}.json --tasks rainy', 'give either --photos'),
    ('match_timesteps', '{pretrain} {out}.json --photos {photos} --degraded x --tasks rainy',
     'give either --photos'),
    ('match_timesteps', '{pretrain} {out}.json --photos {photos} --tasks rainy --num-images 0',
     'at least 4'),
    ('match_timesteps', '{pretrain} {out}.json --photos {photos} --tasks rainy --method best',
     'best'),
    ('interpolate_weights', '{pretrain} no.pth {out}', 'no.pth'),
    ('interpolate_weights', '{pretrain} {finetune} {out} --share 2', '0'),
    ('accumulate_importance', 'no.pth {out}', 'no.pth'),
    ('accumulate_importance', '{pretrain} {out} --batches 0', 'at least 1'),
    # tools that read images and results
    ('show_degradations', 'nowhere {out}.png', 'nowhere'),
    ('show_degradations', '{photos} {out}.png --tasks rain', 'rainy'),
    ('show_degradations', '{photos} {out}.png --count 0', 'at least 1'),
    ('show_degradations', '{photos} {out}.png --width 0', 'at least 8'),
    ('prepare_pairs', 'link Nothing train {photos}', 'Nothing'),
    ('prepare_pairs', 'link GoPro train nowhere', 'nowhere'),
    ('prepare_pairs', 'link GoPro dev {photos}', 'choose from'),
    ('prepare_pairs', 'degrade noisy nowhere --out {out}', 'nowhere'),
    ('prepare_pairs', 'degrade noisy {photos} --out {out} --workers -1', 'at least 1'),
    ('prepare_photos', '{out} --photos nowhere', 'nowhere'),
    ('prepare_photos', '{out} --packages large', 'choose from'),
    ('prepare_lpips', '--verbose', 'unrecognized'),
    ('check_env', '--verbose', 'unrecognized'),
    ('config_schema', '--fodler x', 'nearest: --folder'),
    ('summarize', '{out} nowhere', 'nowhere'),
    ('summarize', '{out} {results}', 'is not what this version of dtir-mm test writes'),
]  # fmt: skip


@pytest.fixture(scope='module')
def places(toy, tmp_path_factory) -> dict[str, Path]:
    """The files that the cases name."""
    folder = tmp_path_factory.mktemp('wrong')
    files = {
        'empty': ('empty.py', ''),
        'syntax': ('syntax.py', 'a = 1\nb = = 2\n'),
        'baseless': ('baseless.py', "_base_ = 'gone.py'\n"),
        'misspelt': ('misspelt.py', f"_base_ = {str(toy.config)!r}\nload_form = 'x'\n"),
        'text': ('notes.pth', 'not a checkpoint'),
    }
    found = {name: folder / file for name, (file, _) in files.items()}
    for name, (_, text) in files.items():
        found[name].write_text(text)
    (folder / 'results').mkdir()
    (folder / 'results' / 'summary.json').write_text('[]')
    return found | {
        'config': toy.config,
        'pretraining': toy.config.with_name('pretrain.py'),
        'pretrain': toy.pretrain,
        'finetune': toy.finetune,
        'photos': toy.photos,
        'results': folder / 'results',
        'out': folder / 'out',
    }


@pytest.mark.parametrize(
    ('tool', 'arguments', 'said'), CASES, ids=[' '.join(case[:2]) for case in CASES]
)
def test_wrong_arguments_take_three_lines_at_most(
    toy, places, tool, arguments, said, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    status = toy.call(tool, *arguments.format(**places).split())
    out, err = capsys.readouterr()
    if isinstance(status, str):  # printed by the interpreter
        status, err = 1, f'{err}{status}\n'
    lines = [line for line in err.splitlines() if line and '%|' not in line]  # no progress bars
    assert status in (1, 2)
    assert 1 <= len(lines) <= 3, err
    # check_env checks what is installed before it imports our code.
    assert lines[0].startswith((f'{tool}: ', 'usage: check_env'))
    assert said in lines[-1]
    assert 'Traceback' not in err
    if tool in ('train', 'test'):
        assert out == ''


def test_every_tool_is_in_the_table():
    tools = {path.stem for path in (ROOT / 'tools').glob('*.py')}
    assert {tool for tool, _, _ in CASES} == tools


def test_the_log_file_is_complete_after_an_error(toy, places, tmp_path, capsys):
    option = ('--cfg-options', 'train_dataloader.dataset.folder=nowhere')
    assert toy.call('train', places['config'], '--work-dir', tmp_path, *option) == 1
    assert capsys.readouterr() == ('', 'train: no such folder of images: nowhere\n')
    (log,) = tmp_path.glob('*/*.log')
    assert 'System environment' in log.read_text()


def test_the_log_is_shown_once_training_starts(toy, run_tool, tmp_path):
    printed = run_tool('train', toy.config, '--work-dir', tmp_path)
    place = printed.index
    assert place('System environment') < place('Hooks will be') < place('precision: fp32')
    assert printed.count('System environment') == 1


def test_an_interruption_names_the_command_to_resume(toy, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('dtir_mm.engine.train_loop.IterationTrainLoop._run_iter', interrupt)
    assert toy.call('train', toy.config, '--work-dir', tmp_path) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        'train: interrupted; continue with the same command and --resume'
    )


def test_only_one_of_two_processes_reports_an_error(places, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('two processes would need two GPUs')
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2',
               f'--master_port={free_port()}', ROOT / 'tools' / 'train.py', places['config'],
               '--launcher', 'pytorch', '--work-dir', 'run',
               '--cfg-options', 'train_dataloader.dataset.folder=nowhere']  # fmt: skip
    shown = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )  # fmt: skip
    assert (shown.returncode, shown.stdout) == (1, '')
    assert shown.stderr.count('train: no such folder of images: nowhere\n') == 1
    assert shown.stderr.count('nowhere') == 1
