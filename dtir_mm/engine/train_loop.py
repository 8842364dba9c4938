"""The training loop, which owns the task schedule."""

from typing import Any

from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from dtir_mm.engine.dry_pass import dry_pass
from dtir_mm.engine.task_mixture_sampler import TaskMixtureSampler
from dtir_mm.engine.task_schedule import TaskSchedule
from dtir_mm.engine.watched_metrics import metric_faults
from dtir_mm.registry import LOOPS


@LOOPS.register_module()
class IterationTrainLoop(BaseLoop):
    """Trains from update ``iter`` to ``max_iters``, and validates every ``val_interval`` updates.

    mmengine's ``IterBasedTrainLoop`` resumes by reading and discarding every earlier batch; here
    the sampler starts at the iteration.

    Args:
        runner: the runner.
        dataloader: config of the loader; its sampler is an ``IterationSampler`` unless it names
            another one that starts at any iteration (``TaskMixtureSampler``).
        max_iters: number of optimiser updates.
        val_interval: updates between validations; one more follows at the end.

    Attributes:
        schedule: which tasks are trained when. Sampler and hooks read it; by default one stage of
            all tasks, which ``IncrementalTaskSchedulerHook`` replaces by ``follow``.

    Raises:
        ValueError: ``max_iters`` or ``val_interval`` is below 1.
    """

    max_epochs = 1
    epoch = 0

    def __init__(
        self, runner: Any, dataloader: DataLoader | dict, max_iters: int, val_interval: int = 1000
    ) -> None:
        for name, value in (('max_iters', max_iters), ('val_interval', val_interval)):
            if value < 1:
                raise ValueError(f'train_cfg.{name}={value} must be at least 1')
        if isinstance(dataloader, dict):
            own = dataloader.get('sampler', {'type': 'dtir_mm.IterationSampler'})
            sampler = {**own, 'batch_size': dataloader['batch_size']}
            collate = {'type': 'default_collate'}
            dataloader = {'collate_fn': collate, **dataloader, 'sampler': sampler}
        super().__init__(runner, dataloader)
        self.max_iters = max_iters
        self.val_interval = val_interval
        self.iter = 0
        self.stop_training = False
        tasks = tuple(self.dataloader.dataset.tasks)
        self.schedule = TaskSchedule(tasks, 'joint', max_iters)

    def follow(self, schedule: TaskSchedule) -> None:
        """Trains in the stages of a schedule from here on.

        Raises:
            TypeError: the sampler is not a ``TaskMixtureSampler``.
        """
        if not isinstance(self.dataloader.sampler, TaskMixtureSampler):
            raise TypeError(
                'IncrementalTaskSchedulerHook needs train_dataloader.dataset of type '
                '"TaskMixtureDataset" and train_dataloader.sampler=dict(type="TaskMixtureSampler")'
            )
        self.schedule = self.dataloader.sampler.schedule = schedule

    def run(self) -> Any:
        """Trains, and returns the model.

        Before each stage but the first, hooks' ``before_stage`` is called with the stage's tasks.

        Raises:
            ValueError: model and data do not fit together, or a hook watches an unknown metric; see
                ``dry_pass.py``.
        """
        dry_pass(self.runner)
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        if self.iter >= self.max_iters:
            self.runner.logger.info(
                f'nothing left to train: {self.iter} updates are done, train_cfg.max_iters='
                f'{self.max_iters}'
            )
        self.dataloader.sampler.start_iteration = self.iter
        batches = iter(self.dataloader)
        while self.iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            self._run_iter(next(batches))
            due = self.iter % self.val_interval == 0 or self.iter == self.max_iters
            if self.runner.val_loop is not None and due:
                self._validate()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate(self) -> None:
        metrics = self.runner.val_loop.run()
        faults = metric_faults(self.runner.hooks, metrics)  # some data sets only tell now
        if faults:
            raise ValueError('\n'.join(faults))

    def _run_iter(self, batch: dict[str, Any]) -> None:
        # mmengine's hooks take runner.iter for the index of the current update until it is done.
        index = self.iter
        if self.schedule.begins_at(index):
            self.runner.call_hook('before_stage', tasks=self.schedule.tasks_at(index))
        self.runner.call_hook('before_train_iter', batch_idx=index, data_batch=batch)
        outputs = self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook(
            'after_train_iter', batch_idx=index, data_batch=batch, outputs=outputs
        )
        self.iter += 1
