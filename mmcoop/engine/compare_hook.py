"""Compare the learned prompt with a hand-written one."""
import contextlib
import os.path as osp
from typing import Iterator, List, Sequence, Tuple, Union

import torch
from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook

from ..files import replacing
from ..prompts import TemplatePrompt
from ..registry import HOOKS
from .feature_hook import FeatureCacheHook
from .runner import unwrap


@HOOKS.register_module()
class CompareZeroShotHook(Hook):
    """Evaluate hand-written prompts before training, compare afterwards.

    Logs a table and draws ``zero_shot_vs_coop.png``. Both prompts are
    evaluated on the same validation images with the same towers.

    Args:
        templates: Template(s) of the hand-written prompt.
        num_images: Number of images to show with both predictions, one of
            each class.
    """
    priority = 'LOWEST'  # after ResultHook

    def __init__(self,
                 templates: Union[str, Sequence[str]] = 'a photo of a {}.',
                 num_images: int = 8) -> None:
        self.prompt = TemplatePrompt(templates)
        self.num_images = num_images

    def before_train(self, runner) -> None:
        self.zero_shot = self.learned = None
        if runner.val_loop is None:
            runner.logger.warning('no validation (--no-validate): the '
                                  'comparison with zero-shot is left out.')
            return
        with self._hand_written(runner):
            runner.logger.info(f'Zero-shot with {self.prompt.texts}:')
            self.zero_shot = evaluate(runner)
            self.samples, self.guesses = self._predict_samples(runner)
        runner.logger.info(f'Zero-shot: {_top1(self.zero_shot):.2f}')

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.learned = metrics

    def after_train(self, runner) -> None:
        if self.zero_shot is None or self.learned is None:
            return
        runner.model.eval()
        _, learned_guesses = self._predict_samples(runner)
        rows = [(' / '.join(self.prompt.texts), self.zero_shot),
                ('CoOp, learned context', self.learned)]
        width = max(len(name) for name, _ in rows)
        runner.logger.info('\n'.join(
            ['prompt'.ljust(width) + '   top-1 (%)'] +
            [f'{name:<{width}}   {_top1(m):.2f}' for name, m in rows]))
        self._draw(runner, rows, learned_guesses)

    @contextlib.contextmanager
    def _hand_written(self, runner) -> Iterator[None]:
        """Use the hand-written prompt within a context."""
        head = unwrap(runner.model).head
        learned, was_training = head.prompt, runner.model.training
        self.prompt.set_classes(head.class_names, head.text_tower)
        head.prompt = self.prompt
        runner.model.eval()
        head.reset_cache()
        try:
            yield
        finally:
            head.prompt = learned
            head.reset_cache()
            runner.model.train(was_training)

    @torch.no_grad()
    def _predict_samples(self, runner) -> Tuple[List[dict], List[int]]:
        dataset = runner.val_dataloader.dataset
        dataset = getattr(dataset, 'images', dataset)  # not their features
        first = {}
        for i in range(len(dataset)):
            first.setdefault(dataset.get_data_info(i)['gt_label'], i)
            if len(first) == self.num_images:
                break
        samples = [dataset[i] for i in first.values()]
        batch = dict(
            inputs=[sample['inputs'] for sample in samples],
            data_samples=[sample['data_samples'] for sample in samples])
        outputs = unwrap(runner.model).val_step(batch)
        return samples, [int(out.pred_label) for out in outputs]

    @master_only
    def _draw(self, runner, rows, learned_guesses: List[int]) -> None:
        from matplotlib.figure import Figure  # no global state, no display
        names = unwrap(runner.model).head.class_names
        columns = -(-len(self.samples) // 2)
        figure = Figure(figsize=(4 + 1.9 * columns, 5.6))
        left, right = figure.subfigures(
            1, 2, width_ratios=(3.5, 1.9 * columns))
        axes = left.subplots(gridspec_kw=dict(left=0.2, bottom=0.08))
        values = [_top1(metrics) for _, metrics in rows]
        bars = axes.bar(['zero-shot', 'CoOp'], values,
                        color=['#9aa5b1', '#2f6fde'], width=0.6)
        axes.bar_label(bars, fmt='%.1f %%')
        axes.set(ylim=(0, 105), ylabel='top-1 accuracy (%)',
                 title=f'zero-shot: "{rows[0][0]}"')
        axes.title.set_fontsize(9)
        axes.spines[['top', 'right']].set_visible(False)
        grid = right.subplots(
            2, columns, squeeze=False,
            gridspec_kw=dict(left=0.02, right=0.98, top=0.94, bottom=0.1,
                             hspace=0.38, wspace=0.06)).ravel()
        for axis in grid:
            axis.axis('off')
        for axis, sample, zero, coop in zip(grid, self.samples, self.guesses,
                                            learned_guesses):
            truth = int(sample['data_samples'].gt_label)
            image = sample['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
            axis.imshow(image)
            axis.set_title(names[truth], fontsize=9, fontweight='bold')
            for y, who, guess in ((-0.08, 'zero-shot', zero),
                                  (-0.2, 'CoOp', coop)):
                axis.text(0.5, y, f'{who}: {names[guess]}', fontsize=8,
                          ha='center', va='center',
                          transform=axis.transAxes,
                          color='#1a7f37' if guess == truth else '#c0392b')
        path = osp.join(runner.work_dir, 'zero_shot_vs_coop.png')
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=130, format='png')
        runner.logger.info(f'Picture: {path}')


@torch.no_grad()
def evaluate(runner) -> dict:
    """Evaluate the model on the validation images without calling hooks.

    ``runner.val()`` would notify hooks such as best checkpoint, early
    stopping and results of an evaluation that is not part of the run.

    Returns:
        The metrics.
    """
    for hook in runner.hooks:
        if isinstance(hook, FeatureCacheHook):
            hook.before_val_epoch(runner)
    evaluator: Evaluator = runner.val_evaluator
    dataloader = runner.val_dataloader
    for i, batch in enumerate(dataloader):
        if i % 50 == 0:
            runner.logger.info(f'Zero-shot: batch {i} of {len(dataloader)}')
        outputs = unwrap(runner.model).val_step(batch)
        evaluator.process(data_samples=outputs, data_batch=batch)
    return evaluator.evaluate(len(dataloader.dataset))


def _top1(metrics: dict) -> float:
    return next(v for k, v in metrics.items() if k.endswith('accuracy/top1'))
