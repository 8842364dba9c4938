"""The shell scripts that start several processes, with programs that record how they are run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
NOTE = """#!{python}
import json, os, sys
with open(os.environ['NOTES'], 'a') as file:
    file.write(json.dumps([{name!r}, *sys.argv[1:]]) + chr(10))
"""
# Runs the command on as many simulated nodes as requested.
SRUN = """
import subprocess
nodes = int(next(a for a in sys.argv if a.startswith('--nodes=')).split('=')[1])
start = sys.argv.index('bash')
for node in range(nodes):
    slurm = dict(
        SLURM_NNODES=str(nodes), SLURM_NODEID=str(node), SLURM_JOB_ID='1234567',
        SLURM_JOB_NODELIST='gpu[07-08]',
    )
    subprocess.run(sys.argv[start:], env={**os.environ, **slurm}, check=True)
"""


@pytest.fixture
def run_script(tmp_path):
    """Runs a script; returns its result, and the names and arguments of the programs called."""

    def run(name: str, *arguments: str, **env: str) -> tuple[subprocess.CompletedProcess, list]:
        programs = tmp_path / 'bin'
        programs.mkdir(exist_ok=True)
        for program, more in (
            ('srun', SRUN),
            ('python', "if sys.argv[1] == '-c':\n    exec(sys.argv[2])"),
            ('scontrol', "print('gpu07\\ngpu08')"),
        ):
            path = programs / program
            path.write_text(NOTE.format(python=sys.executable, name=program) + more)
            path.chmod(0o755)
        notes = tmp_path / 'notes'
        notes.write_text('')
        clean = {k: v for k, v in os.environ.items() if not k.startswith(('MASTER', 'SLURM'))}
        for file in ('c.py', 'run'):
            (tmp_path / file).touch()
        path = f'{programs}{os.pathsep}{os.environ["PATH"]}'
        result = subprocess.run(
            [str(TOOLS / name), *arguments],
            env={**clean, 'PATH': path, 'NOTES': str(notes), **env},
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return result, [json.loads(line) for line in notes.read_text().splitlines()]

    return run


# Writes a cache that several processes would write at the same time.
CACHE = ['python', '-c', 'import mmengine.config']


def torchrun(
    nodes: int, node: int, address: str, port: int, processes: int, *command: str
) -> list[str]:
    return [
        'python', '-m', 'torch.distributed.run', f'--nnodes={nodes}', f'--node_rank={node}',
        f'--master_addr={address}', f'--master_port={port}', f'--nproc_per_node={processes}',
        str(TOOLS / command[0]), *command[1:],
    ]  # fmt: skip


@pytest.mark.parametrize('script', sorted(TOOLS.glob('*.sh')), ids=lambda path: path.name)
def test_scripts_are_bash(script):
    subprocess.run(['bash', '-n', str(script)], check=True)
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize(
    ('env', 'nodes'),
    [
        ({}, (1, 0, '127.0.0.1', 29500)),
        (
            dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1', MASTER_PORT='29999'),
            (2, 1, '10.0.0.1', 29999),
        ),
    ],
)
def test_one_node_and_one_of_several(run_script, env, nodes):
    _, calls = run_script('dist_train.sh', 'c.py', '8', '--resume', '--amp', **env)
    train = ('train.py', 'c.py', '--launcher', 'pytorch', '--resume', '--amp')
    assert calls == [CACHE, torchrun(*nodes, 8, *train)]
    _, calls = run_script('dist_test.sh', 'c.py', 'run', '4', '--images', '1', **env)
    test = ('test.py', 'c.py', 'run', '--launcher', 'pytorch', '--images', '1')
    assert calls == [CACHE, torchrun(*nodes, 4, *test)]


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_the_yapf_cache_is_written_before_processes_start(run_script, tmp_path, script):
    run = ('run',) if script == 'dist_test.sh' else ()
    run_script(script, 'c.py', *run, '2', XDG_CACHE_HOME=str(tmp_path / 'cache'))
    grammars = sorted(path.name.split('-')[0] for path in tmp_path.glob('cache/YAPF/*/*.pickle'))
    assert grammars == ['Grammar', 'PatternGrammar']


def test_slurm_starts_one_torchrun_per_node(run_script):
    env = dict(GPUS='16', SRUN_ARGS='--time=1:00:00 --exclusive')
    result, calls = run_script(
        'slurm_train.sh', 'gpu', 'rain', 'c.py', 'out dir', '--auto-scale-lr', **env
    )
    assert result.returncode == 0, result.stderr
    srun, *others = calls
    assert srun[: srun.index('bash')] == [
        'srun', '--partition=gpu', '--job-name=rain', '--nodes=2', '--ntasks-per-node=1',
        '--gres=gpu:8', '--cpus-per-task=40', '--kill-on-bad-exit=1', '--time=1:00:00',
        '--exclusive',
    ]  # fmt: skip
    train = 'train.py c.py --launcher pytorch --work-dir'.split()
    train += ['out dir', '--auto-scale-lr']
    nodes = ['scontrol', 'show', 'hostnames', 'gpu[07-08]']
    assert others == [
        call for node in (0, 1)
        for call in (nodes, CACHE, torchrun(2, node, 'gpu07', 29500 + 567, 8, *train))
    ]  # fmt: skip


def test_slurm_with_part_of_a_node(run_script):
    env = dict(GPUS='2', CPUS_PER_TASK='8', MASTER_ADDR='here', MASTER_PORT='1')
    _, (srun, _, train) = run_script('slurm_train.sh', 'gpu', 'rain', 'c.py', '--resume', **env)
    assert {'--nodes=1', '--gres=gpu:2', '--cpus-per-task=16'} <= set(srun)
    command = ('train.py', 'c.py', '--launcher', 'pytorch', '--resume')
    assert train == torchrun(1, 0, 'here', 1, 2, *command)


@pytest.mark.parametrize(
    ('name', 'arguments', 'env', 'message'),
    [
        ('dist_train.sh', ['c.py'], {}, 'dist_train.sh CONFIG PROCESSES_PER_NODE'),
        ('dist_test.sh', ['c.py', 'run'], {}, 'CONFIG CHECKPOINT PROCESSES_PER_NODE'),
        ('slurm_train.sh', ['gpu', 'rain'], {}, 'PARTITION JOB_NAME CONFIG [WORK_DIR]'),
        (
            'slurm_train.sh', ['gpu', 'rain', 'c.py'], {'GPUS': '12'},
            'GPUS=12 must be a multiple of GPUS_PER_NODE=8',
        ),
        ('dist_train.sh', ['c.py', 'x'], {}, "must be a positive integer, got 'x'"),
        ('dist_train.sh', ['no.py', '2'], {}, 'no such config: no.py; `dtir-mm configs` lists'),
        ('dist_test.sh', ['c.py', 'run', '0'], {}, "must be a positive integer, got '0'"),
        ('dist_test.sh', ['no.py', 'run', '2'], {}, 'no such config: no.py'),
        ('dist_test.sh', ['c.py', 'gone', '2'], {}, 'no such checkpoint: gone'),
        ('slurm_train.sh', ['gpu', 'rain', 'no.py'], {}, 'no such config: no.py'),
        ('slurm_train.sh', ['gpu', 'rain', 'c.py'], {'GPUS': 'x'}, "GPUS must be a positive"),
    ],
)  # fmt: skip
def test_wrong_usage_starts_nothing(run_script, name, arguments, env, message):
    result, calls = run_script(name, *arguments, **env)
    assert (result.returncode, calls) == (2, [])
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


def test_configs_may_be_named(run_script):
    name = 'setting_a/dtir-unet_scratch_rainy_b16-300k'
    for config in (name, f'configs/{name}.py'):
        _, (_, started) = run_script('dist_train.sh', config, '2')
        assert config in started
