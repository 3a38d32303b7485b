"""Watching a learned context: how far it goes, and what it is like."""
from typing import List, Optional

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.visualization import LocalVisBackend, Visualizer

from ..prompts.nearest_words import nearest_words
from ..registry import HOOKS
from .runner import unwrap

SHOWN = 3  # classes of a class-specific context, or contexts, that are read


@HOOKS.register_module()
class ContextHook(Hook):
    """Log the distance of the context from its start, and its nearest words.

    The log, and with it every backend of the visualizer (TensorBoard, WandB),
    gets ``ctx_distance`` beside loss and learning rate: the Euclidean
    distance between a vector and its start, mean over the vectors. After
    training the words nearest to each vector are logged; backends other than
    ``LocalVisBackend`` get them as an image, ``nearest_words``.

    Models without a context are left alone. After ``load_from`` the start is
    what was loaded; after ``resume`` it is that of the run.
    """

    def __init__(self) -> None:
        self.start: Optional[torch.Tensor] = None

    def before_run(self, runner) -> None:
        self._keep_start(runner)  # before a checkpoint is loaded

    def before_train(self, runner) -> None:
        if not runner._resume:
            self._keep_start(runner)
        if self.start is not None:
            self.start = self.start.to(_context(runner))

    def _keep_start(self, runner) -> None:
        ctx = _context(runner)
        self.start = None if ctx is None else ctx.detach().clone()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        if self.start is not None:
            moved = _context(runner).detach() - self.start
            runner.message_hub.update_scalar(
                'train/ctx_distance', moved.norm(dim=-1).mean())

    @master_only
    def after_train(self, runner) -> None:
        tower = getattr(unwrap(runner.model).head, 'text_tower', None)
        if self.start is None or tower is None:
            return
        ctx = _context(runner).detach()
        contexts = ctx.reshape(-1, *ctx.shape[-2:])[:SHOWN]  # (n, M, D)
        words = [[near[0].word for near in vectors]
                 for vectors in nearest_words(tower, contexts)]
        of = '' if ctx.ndim == 2 else f' (the first {len(words)})'
        runner.logger.info(f'Words nearest to the context{of}: '
                           + '; '.join(' '.join(row) for row in words))
        visualizer: Visualizer = runner.visualizer
        if any(not isinstance(backend, LocalVisBackend)
               for backend in visualizer._vis_backends.values()):
            visualizer.add_image('nearest_words', draw_words(words),
                                 step=runner.iter)


def draw_words(words: List[List[str]]) -> np.ndarray:
    """A picture (H, W, 3), uint8: a column of words for each context."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    rows = max(map(len, words))
    figure = Figure(figsize=(2.2 * len(words) + .4, .3 * rows + .4), dpi=100)
    for column, names in enumerate(words):
        for row, name in enumerate(names):
            figure.text((column + .1) / len(words),
                        1 - (row + 1) / (rows + 1), f'{row + 1}  {name}',
                        family='monospace', va='center',
                        parse_math=False)  # "$_$" is a word
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _context(runner) -> Optional[torch.Tensor]:
    """The learned context (..., M, D), or None."""
    prompt = getattr(unwrap(runner.model).head, 'prompt', None)
    ctx = getattr(prompt, 'ctx', None)
    return ctx if isinstance(ctx, torch.nn.Parameter) else None
