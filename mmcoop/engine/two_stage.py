"""Two-stage few-shot adaptation: 2SFS (Farina et al., CVPR 2025).

arXiv 2503.11609. The first stage learns inside the towers, with the text
features as the classifier. The second freezes both towers and learns a cosine
classifier that starts from the text features.
"""
from typing import List, Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.optim.scheduler import CosineRestartLR

from ..clip import TowerAdapter
from ..heads import PromptLearnerHead
from ..registry import HOOKS, MODELS, PARAM_SCHEDULERS
from .runner import unwrap

FIRST = 0.6  # part of the steps that the first stage takes


@MODELS.register_module()
class TwoStageHead(PromptLearnerHead):
    """A prompt-learner head that goes on to learn a classifier.

    In the second stage a class that the classifier knows has its row, any
    other class the text feature of the tower that the first stage has
    adapted. Classes are known by their ids or, without ids, by their names.

    Args:
        *args: As of :class:`PromptLearnerHead`.
        classes: As of :class:`PromptLearnerHead`.
        **kwargs: As of :class:`PromptLearnerHead`.

    Attributes:
        classifier: (K, E) of the classes of training; it is L2-normalised
            where it is used.
        stage: 1 or 2, a tensor that checkpoints and averages of models share.

    Raises:
        ValueError: A class has no single text feature.
    """
    fixes_classes = True

    def __init__(self, *args, classes: Optional[Sequence[str]] = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if self.prompt.sees_images or self.prompt.combine == 'logits' \
                or self.prompt.sees_patches:
            raise ValueError(
                'the second stage learns a vector for each class, and '
                f'{type(self.prompt).__name__} has features that depend on '
                'the image, or several of them for a class.')
        self.classifier = nn.Parameter(
            torch.zeros(0, self.text_tower.out_channels))
        self.register_buffer('stage', torch.tensor(1, dtype=torch.uint8))
        self.class_ids: List[str] = []
        self.known_names: List[str] = []  # of the rows of classifier
        self.known_ids: List[str] = []
        if classes is not None:
            self.set_classes(classes)

    def set_classes(self, names: Sequence[str],
                    ids: Optional[Sequence[str]] = None) -> None:
        """Take any classes.

        Args:
            names: Class names.
            ids: Unique identifiers; None uses the names.
        """
        super().set_classes(names)
        self.class_ids = list(ids or names)
        if not self.known_ids:  # DDP wants the shape before training
            self._know(self.class_names, self.class_ids)

    def _know(self, names: List[str], ids: List[str]) -> None:
        self.known_names, self.known_ids = list(names), list(ids)
        # in place: an optimiser may already hold this parameter
        self.classifier.data = self.classifier.data.new_zeros(
            len(ids), self.classifier.shape[1])

    @torch.no_grad()
    def start_second_stage(self) -> None:
        """Start the classifier from the text features of the classes."""
        features = super().text_features()
        if self.class_ids != self.known_ids:
            self._know(self.class_names, self.class_ids)
        self.classifier.data.copy_(features)
        self.stage.fill_(2)

    def text_features(self, image: Optional[torch.Tensor] = None
                      ) -> torch.Tensor:
        """L2-normalised features (K, E): the classifier's, or of the text."""
        if self.stage == 1:
            return super().text_features(image)
        classifier = F.normalize(self.classifier, dim=-1)
        if self.class_ids == self.known_ids:
            return classifier
        rows = {key: row for keys in (self.known_names, self.known_ids)
                for row, key in enumerate(keys)}
        rows = torch.tensor([rows.get(key, -1) for key in self.class_ids],
                            device=classifier.device)
        features = classifier[rows.clamp(min=0)]
        if (rows >= 0).all():
            return features
        return torch.where((rows >= 0)[:, None], features,
                           super().text_features(image))

    def make_record(self) -> dict:
        return dict(super().make_record(), class_ids=self.class_ids,
                    known_names=self.known_names, known_ids=self.known_ids)

    def check_record(self, record: dict, learned: List[str]) -> None:
        """As of :class:`PromptLearnerHead`; restores the known classes."""
        takes_classes = not self.class_names
        super().check_record(record, learned)
        if 'known_ids' not in record:
            raise ValueError('this checkpoint holds no classifier beside the '
                             'prompt: take the config of the run.')
        if takes_classes and record['classes']:
            self.set_classes(record['classes'], record['class_ids'])
        self._know(record['known_names'], record['known_ids'])


@HOOKS.register_module()
class TwoStageHook(Hook):
    """Begin the second stage of a :class:`TwoStageHead`.

    What is learned inside the towers is frozen from then on. The classifier
    has had no gradient before, so that the optimiser's state of it is new.

    Args:
        first: Part of the steps that the first stage takes.
    """

    def __init__(self, first: float = FIRST) -> None:
        self.first = first

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        if not isinstance(model.head, TwoStageHead):
            raise TypeError(
                f'TwoStageHook: a {type(model.head).__name__} has no second '
                'stage: set model.head.type=mmcoop.TwoStageHead.')
        freeze(model, model.head.stage == 2)  # where a run is resumed

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch: Optional[dict] = None) -> None:
        model = unwrap(runner.model)
        if model.head.stage == 1 and \
                runner.iter >= int(self.first * runner.max_iters):
            freeze(model)
            model.head.start_second_stage()
            runner.logger.info(
                f'The second stage begins after {runner.iter} steps: both '
                'towers are frozen, and the classifier starts from the text.')


def freeze(model: nn.Module, frozen: bool = True) -> None:
    """Freeze what is learned inside the towers, or let it learn."""
    for module in model.modules():
        if isinstance(module, TowerAdapter):
            module.learning = not frozen


@PARAM_SCHEDULERS.register_module()
class TwoStageCosineLR(CosineRestartLR):
    """Half a cosine for each stage, from the learning rate to ``eta_min``.

    Args:
        optimizer: The optimiser or its wrapper.
        end: The number of steps; the runner gives it.
        first: Part of the steps that the first stage takes.
        **kwargs: ``eta_min`` and more of mmengine's ``CosineRestartLR``.
    """

    def __init__(self, optimizer, end: int, first: float = FIRST,
                 **kwargs) -> None:
        steps = int(first * end)
        super().__init__(optimizer, periods=[steps, end - steps],
                         restart_weights=[1, 1], end=end, **kwargs)
