"""Hook that writes the report of a run for people."""
import logging
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import torch
import torch.nn.functional as F
from mmengine.dist import collect_results
from mmengine.hooks import Hook

from ..clip import ImageTower
from ..engine.feature_hook import FeatureCacheHook
from ..engine.predictions import PredictionCollector
from ..engine.result_hook import add_to_result
from ..engine.runner import unwrap
from ..features.compute import log_progress
from ..prompts import TemplatePrompt
from ..registry import HOOKS

ACCURACY = 'accuracy/top1'


@HOOKS.register_module()
class ReportHook(Hook):
    """Write ``report.html``, a page of one file, after the last evaluation.

    Beside it are ``report.json`` and the folder ``report`` with pictures and
    the prediction of every image. Zero-shot CLIP is evaluated first, on the
    same images, where the head has a text tower. See :func:`write_page`.

    Args:
        enable: Whether to do it.
        templates: Template(s) of the hand-written prompt of zero-shot CLIP.
    """
    priority = 'LOWEST'  # after ResultHook

    def __init__(self, enable: bool = True,
                 templates: Union[str, Sequence[str]] = 'a photo of a {}.'
                 ) -> None:
        self.enable = enable
        self.templates = templates
        self._collector = PredictionCollector()
        self._zero_shot: Optional[List[int]] = None

    def before_train(self, runner) -> None:
        if self.enable and runner.val_loop is not None:
            self._predict_zero_shot(runner, 'val')

    def before_test(self, runner) -> None:
        if self.enable:
            self._predict_zero_shot(runner, 'test')

    def _predict_zero_shot(self, runner, name: str) -> None:
        for hook in runner.hooks:
            if isinstance(hook, FeatureCacheHook):
                getattr(hook, f'before_{name}_epoch')(runner)
        loader = getattr(runner, f'{name}_dataloader')
        found = predict_zero_shot(unwrap(runner.model), loader,
                                  self.templates)
        if found is None:
            self._zero_shot = None
            return
        found = collect_results(found, len(loader.dataset))
        if found is None:  # not rank 0
            return
        self._zero_shot = [predicted for _, predicted in found]
        accuracy = 100 * sum(a == b for a, b in found) / max(1, len(found))
        add_to_result(runner, zero_shot={
            ACCURACY: accuracy, 'templates': self.templates})
        runner.logger.info(f'Zero-shot with {self.templates}: '
                           f'{accuracy:.2f} %')

    def before_val_epoch(self, runner) -> None:
        if self.enable:
            self._collector.start(runner.model)

    before_test_epoch = before_val_epoch

    def after_val_iter(self, runner, batch_idx: int, data_batch=None,
                       outputs=None) -> None:
        if self.enable:
            self._collector.add(outputs)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        self._finish(runner, runner.val_dataloader.dataset)

    def after_test_epoch(self, runner, metrics: Optional[dict] = None
                         ) -> None:
        self._finish(runner, runner.test_dataloader.dataset)
        self._write(runner, 'result_test.json')

    def after_train(self, runner) -> None:
        self._write(runner, 'result.json')

    def _finish(self, runner, dataset: Any) -> None:
        self._found = self._collector.gather(len(dataset)) \
            if self.enable else None
        self._classes = dataset.metainfo.get('classes')

    def _write(self, runner, result: str) -> None:
        found = getattr(self, '_found', None)
        if not found:  # not rank 0, or --no-validate
            return
        from .page import read_json, write_page
        from .predictions import Predicted
        zero_shot = self._zero_shot or [None] * len(found)
        try:
            path = write_page(
                runner.work_dir, read_json(Path(runner.work_dir) / result),
                [Predicted(*prediction, predicted) for prediction, predicted
                 in zip(found, zero_shot)], self._classes)
        except OSError as error:  # the run itself is done and saved
            runner.logger.log(logging.ERROR,
                              f'The report is not written: {error}')
            return
        runner.logger.info(f'Report: {path}')


@torch.no_grad()
def predict_zero_shot(model: torch.nn.Module, loader: Any,
                      templates: Union[str, Sequence[str]]
                      ) -> Optional[List[list]]:
    """What zero-shot CLIP predicts of the images of a loader.

    Returns:
        [label, prediction] of each image; None: the head has no text tower,
        or features are not those of a frozen image tower alone.
    """
    head, backbone = model.head, model.backbone
    if not hasattr(head, 'text_tower') or model.neck is not None or \
            not isinstance(backbone, ImageTower):
        return None
    prompt = TemplatePrompt(templates)
    prompt.set_classes(list(head.class_names), head.text_tower)
    prompt.to(head.text_tower.logit_scale.device)
    text = torch.cat([head.divider.encode(head.text_tower, prompts).float()
                      for prompts in prompt(head.text_tower)])
    text = F.normalize(F.normalize(text, dim=-1).mean(0), dim=-1)
    found = []
    for batch in log_progress(loader, len(loader.dataset), loader.batch_size,
                              what='images evaluated zero-shot'):
        data = model.data_preprocessor(batch, False)
        features = data['inputs']
        if features.ndim > 2:  # images, not their features
            features = backbone(features)[-1]
        if getattr(head, 'before_projection', False):
            weight, bias = head.projection
            features = F.linear(features.float(), *(
                part if part is None else part.to(features).float()
                for part in (weight, bias)))
        logits = F.normalize(features.float(), dim=-1) @ text.T
        found += [[int(sample.gt_label[0]), predicted] for sample, predicted
                  in zip(data['data_samples'], logits.argmax(1).tolist())]
    return found
