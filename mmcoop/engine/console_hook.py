"""Hook that tells a person at the console what happens."""
import logging
import os.path as osp
import time
from typing import Any, Optional

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger

from ..progress import Bar, Display, begin, duration, print_line
from ..registry import HOOKS
from .describe import describe, name_images, quote_templates
from .result_hook import added_to_result


@HOOKS.register_module()
class ConsoleHook(Hook):
    """Describe a run, show its progress in one bar, and print the result.

    :class:`mmcoop.FewShotRunner` then keeps the log off the console but for
    warnings and errors; all of it is in the log file. Without this hook
    (``--verbose``) the console shows the log instead. Only rank 0 speaks.
    """
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.display: Optional[Display] = None
        self._bar: Optional[Bar] = None
        self._evaluation: Optional[Bar] = None
        self._metrics: Optional[dict] = None
        self._evaluated = ''

    def before_run(self, runner) -> None:
        self.start = time.perf_counter()
        if not is_main_process() or runner.logger.getEffectiveLevel() > \
                logging.INFO:
            return
        self.display = Display()
        self.display.__enter__()
        lines = describe(runner, hasattr(runner._train_loop, 'run'))
        lines.append(('Folder', f'{runner.work_dir} (full log: '
                      f'{osp.relpath(runner._log_dir, runner.work_dir)}/'
                      f'{runner.timestamp}.log)'))
        from rich.table import Table
        from rich.text import Text
        table = Table.grid(padding=(0, 2))
        for what, text in lines:
            table.add_row(Text(what, 'bold'), Text(text))
        self.display.print(table, '')
        for what, text in lines:
            runner.logger.info(f'{what}: {text}')

    def before_train_epoch(self, runner) -> None:
        if self.display is None or self._bar is not None:
            return
        fitted = hasattr(runner.train_loop, 'selection')
        self._first = runner.iter
        self._bar = begin('fitting' if fitted else 'training', None if fitted
                          else runner.max_iters - runner.iter)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        if self._bar is None:
            return
        if runner.iter + 1 == runner.max_iters:
            self._bar.end(_describe_step(runner, ended=True))
        elif self._bar.due():
            self._bar.update(runner.iter + 1 - self._first,
                             _describe_step(runner))

    def after_train_epoch(self, runner) -> None:
        if self._bar is not None and hasattr(runner.train_loop, 'selection'):
            self._bar.end()

    def before_val_epoch(self, runner) -> None:
        self._begin_evaluation(runner.val_dataloader)

    def before_test_epoch(self, runner) -> None:
        self._begin_evaluation(runner.test_dataloader)

    def _begin_evaluation(self, loader: Any) -> None:
        if self.display is not None:
            self._evaluated = f'of {len(loader.dataset)} ' \
                f'{name_images(loader.dataset)}'
            self._evaluation = begin('evaluating', len(loader))

    def after_val_iter(self, runner, batch_idx: int, data_batch=None,
                       outputs=None) -> None:
        if self._evaluation is not None and self._evaluation.due():
            self._evaluation.update(batch_idx + 1)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        self._metrics = metrics
        if self._evaluation is not None:
            self._evaluation.end()

    after_test_epoch = after_val_epoch

    def after_run(self, runner) -> None:
        if self.display is None:
            return
        self._print_result(runner)
        self.close()

    def close(self) -> None:
        """Give the console back; also after an error."""
        if self.display is not None:
            self.display.close()
            self.display = None

    def _print_result(self, runner) -> None:
        from rich.table import Table
        from rich.text import Text
        added, metrics = added_to_result(runner), self._metrics or {}
        zero_shot = added.get('zero_shot') or {}
        table = Table.grid(padding=(0, 2))
        rows = [('accuracy', _accuracy(metrics), self._evaluated)]
        if zero_shot:
            rows.append(('zero-shot', _accuracy(zero_shot),
                         f'told {quote_templates(zero_shot["templates"])}'))
        if 'ece_after' in added:
            rows.append(('calibration error', added['ece_after'],
                         f'{added["ece_before"]:.1f} % without the '
                         f'temperature {added["temperature"]:.3g}'))
        for what, value, text in rows:
            if value is not None:
                table.add_row(Text(what, 'bold'),
                              Text(f'{value:.1f} %', justify='right'),
                              Text(text))
        if table.row_count:
            self.display.print('', table, '')
        seconds = duration(time.perf_counter() - self.start)
        for what, name in (
                ('Report', 'report.html'), ('Result', 'result.json'),
                ('Result', 'result_test.json')):
            path = osp.join(runner.work_dir, name)
            if osp.isfile(path) and osp.getmtime(path) >= \
                    time.time() - (time.perf_counter() - self.start):
                self.display.print(f'{what}: {path}')
        self.display.print(f'{seconds} in all')


class _WarningHandler(logging.Handler):
    """Prints warnings and errors, above a bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        if 'will be deprecated' in record.getMessage():
            return  # by mmengine, which tells itself
        from rich.text import Text
        style = 'red' if record.levelno >= logging.ERROR else 'yellow'
        print_line(Text(f'{record.levelname.capitalize()}: '
                        f'{record.getMessage()}', style))


def is_quiet(cfg: Config) -> bool:
    """Whether a config has a :class:`ConsoleHook`."""
    hooks = [*(cfg.get('default_hooks') or {}).values(),
             *(cfg.get('custom_hooks') or ())]
    return any(isinstance(hook, ConsoleHook) or isinstance(hook, dict)
               and 'ConsoleHook' in str(hook.get('type')) for hook in hooks)


def quieten(logger: MMLogger, level: int = logging.WARNING) -> None:
    """Keep what is below a level off the console; files get all of it."""
    for place, handler in enumerate(logger.handlers):
        if type(handler) is not logging.StreamHandler:
            continue  # of a file
        shown = _WarningHandler(max(handler.level, level))
        for seen in handler.filters:  # repeated warnings are left out
            shown.addFilter(seen)
        logger.handlers[place] = shown


def _accuracy(metrics: dict) -> Optional[float]:
    return next((value for key, value in metrics.items()
                 if key.endswith('accuracy/top1')), None)


def _describe_step(runner, ended: bool = False) -> str:
    epochs = runner.max_epochs
    text = f'{epochs} epochs' if ended else \
        f'epoch {runner.epoch + 1} of {epochs}'
    scalars = runner.message_hub.log_scalars
    if 'train/loss' in scalars:
        text += f', loss {scalars["train/loss"].mean(20):.3f}'
    return text
