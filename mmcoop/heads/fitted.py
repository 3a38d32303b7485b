"""Heads that are fitted on the features of frozen towers."""
from typing import (Any, Callable, Dict, Iterator, List, Optional, Sequence,
                    Tuple)

import torch
import torch.nn as nn
import torch.nn.functional as F

from .prompt_learner import PromptLearnerHead
from .record import RecordedHead, shorten

Values = Dict[str, float]
Score = Callable[[List[Values]], List[float]]  # accuracies in percent
LOGITS = 1 << 24  # numbers in a part of the logits


class FittedHead(RecordedHead):
    """Base class of heads that :class:`mmcoop.FitLoop` fits.

    Subclasses implement :meth:`learn` and, if they have hyper-parameters,
    :meth:`search` or :meth:`grid`. Which images select them is not theirs to
    say: see :mod:`mmcoop.heads.selection`. The head predicts the classes that
    it was fitted on, or a subset of them. All its own parameters and buffers
    are learned; their shapes may follow from the training images.

    Attributes:
        fixes_classes: Whether what is learned belongs to the classes. If not,
            the head predicts any classes.
        of_classes: Names of learned tensors with a row for each class.
        views: The number of random views of each training image that
            :meth:`learn` gets; None: the view that testing sees.
        values: The hyper-parameters in use, with those of the constructor
            until others are selected.
        in_forward: Names of hyper-parameters that only :meth:`forward` reads.
        before_projection: Whether it sees image features before the tower's
            last projection; :class:`CoOp` then gives it ``projection``.
        ties: Which of equally good candidates is taken, ``first`` or
            ``last``.
        class_names: Class names of the data set at hand.
    """
    fixes_classes = True
    of_classes: Tuple[str, ...] = ()
    views: Optional[int] = None
    in_forward: Tuple[str, ...] = ()
    before_projection = False
    ties = 'first'

    def __init__(self, **kwargs) -> None:
        self.values: Values = {}
        self.fitted_names: List[str] = []  # of the classes that are learned
        self.fitted_ids: List[str] = []
        self.rows: Optional[List[int]] = None  # None: all, in order
        super().__init__(**kwargs)

    @property
    def in_channels(self) -> int:
        """Width of the image features."""
        raise NotImplementedError

    def learn(self, train: Any, **values: float) -> Optional[dict]:
        """Fit to training images.

        Args:
            train: :class:`mmcoop.features.labelled.LabelledFeatures`.
            **values: Hyper-parameters, those of ``in_forward`` left out.

        Returns:
            Entries of the result file, or None.
        """
        raise NotImplementedError

    def grid(self) -> List[Values]:
        """Candidates among which :meth:`search` selects; none: no search."""
        return []

    def search(self, score: Score) -> Values:
        """Select hyper-parameters.

        Args:
            score: Gives the accuracies (percent) of candidates on images that
                they are not fitted to.
        """
        candidates = self.grid()
        scores = score(candidates)
        best = max(scores)
        ranked = [i for i, value in enumerate(scores) if value == best]
        return candidates[ranked[0 if self.ties == 'first' else -1]]

    @property
    def searches(self) -> bool:
        """Whether the head has hyper-parameters to select."""
        return bool(self.grid())

    def count_right(self, train: Any, held_out: Any,
                    candidates: List[Values]) -> List[int]:
        """How many held-out images each candidate predicts correctly.

        Args:
            train: The features to fit.
            held_out: The features and labels to predict.
            candidates: Hyper-parameters.
        """
        counts, fitted = [], None
        for values in candidates:
            early = {name: value for name, value in values.items()
                     if name not in self.in_forward}
            if early != fitted:
                self.learn(train, **early)
                fitted = early
            self.values.update(values)
            counts.append(self.count(held_out))
        return counts

    def count(self, images: Any) -> int:
        """How many images of ``LabelledFeatures`` it predicts correctly."""
        right, start = 0, 0
        for logits in self.score(images):
            labels = images.labels[start:start + len(logits)]
            right += int((logits.argmax(1) == labels).sum())
            start += len(labels)
        return right

    @torch.no_grad()
    def score(self, images: Any) -> Iterator[torch.Tensor]:
        """Logits (b, K) of ``LabelledFeatures``, part by part."""
        step = max(1, LOGITS // max(1, len(self.fitted_names)))
        for part in images.features.split(step):
            yield self((part, ))

    def loss(self, *args, **kwargs) -> dict:
        """Refuse gradient steps of the runner.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f'{type(self).__name__} is fitted at once: set '
            "train_cfg=dict(type='mmcoop.FitLoop', ...), as "
            'configs/_base_/schedules/fit.py does.')

    def set_classes(self, names: Sequence[str],
                    ids: Optional[Sequence[str]] = None) -> None:
        """Set the classes to fit, or select among the fitted ones.

        Args:
            names: Class names.
            ids: Unique identifiers (WordNet ids for ImageNet, where two
                classes share a name); None uses the names.

        Raises:
            ValueError: The head was not fitted on all of these classes.
        """
        names, ids = list(names), list(ids or names)
        if not self.fixes_classes:
            self.fitted_names, self.fitted_ids = names, ids
        elif not self.fitted_names:
            self.fitted_names, self.fitted_ids = names, ids
            self.resize(len(names))
        rows = {key: row for row, key in enumerate(self.fitted_ids)}
        if names != self.fitted_names and not set(ids) <= set(rows):
            raise ValueError(
                f'a {type(self).__name__} knows the classes it was fitted on, '
                f'{shorten(self.fitted_names)}, and the data set has '
                f'{shorten(names)}.')
        self.rows = None if names == self.fitted_names \
            else [rows[key] for key in ids]
        self._name_classes(names)

    def _name_classes(self, names: List[str]) -> None:
        self.class_names = names

    def resize(self, classes: int) -> None:
        """Give the tensors of ``of_classes`` a row for each class."""
        for name in self.of_classes:
            tensor = self.learned()[name]
            self.assign(name, tensor.new_zeros(classes, *tensor.shape[1:]))

    def select(self, tensor: torch.Tensor, dim: int = 0) -> torch.Tensor:
        """The part of a tensor that belongs to the classes at hand."""
        if self.rows is None:
            return tensor
        return tensor.index_select(
            dim, torch.tensor(self.rows, device=tensor.device))

    def learned(self) -> Dict[str, torch.Tensor]:
        """What the head itself has learned: parameters and buffers."""
        return {name: tensor for name, tensor in
                [*self._parameters.items(), *self._buffers.items()]
                if name not in self._non_persistent_buffers_set}

    def assign(self, name: str, tensor: torch.Tensor) -> None:
        """Set a learned tensor, in place: an optimiser may hold it."""
        own = self.learned()[name]
        own.data = tensor.detach().to(own.device, own.dtype).contiguous()

    def fitted_record(self) -> dict:
        """The part of :meth:`make_record` that all fitted heads have."""
        return dict(
            head=type(self).__name__,
            classes=self.fitted_names,
            class_ids=self.fitted_ids,
            values=self.values,
            shapes={name: list(tensor.shape)
                    for name, tensor in self.learned().items()})

    def check_record(self, record: dict, learned: List[str]) -> None:
        """As the head it derives from; and restore classes and shapes."""
        if record.get('head') != type(self).__name__:
            raise ValueError(
                f'this checkpoint holds no {type(self).__name__} '
                f'({record.get("head", "a prompt")}): take the config of the '
                'run.')
        super().check_record(record, learned)
        names = list(self.class_names)  # those of the data set at hand
        ids = [self.fitted_ids[row] for row in self.rows] \
            if self.rows is not None else self.fitted_ids
        self.fitted_names = record['classes']
        self.fitted_ids = record['class_ids']
        self.values = dict(record.get('values', self.values))
        self.resize(len(self.fitted_names))
        for name, shape in record.get('shapes', {}).items():
            own = self.learned()[name]
            own.data = own.data.new_zeros(shape)
        self.set_classes(names or self.fitted_names,
                         ids if names else self.fitted_ids)

    def _check_classes(self, record: dict) -> None:
        """:meth:`set_classes` selects among them, or refuses."""


class FeatureHead(FittedHead, PromptLearnerHead):
    """A fitted head that also sees class features.

    Any prompt gives them: hand-written templates, an ensemble, or a learned
    one (:class:`mmcoop.SavedPrompt`). It is frozen here.

    Args:
        prompt: A prompt, or its config.
        classes: Class names, if they are not to come from the data set.
        **kwargs: Other arguments of :class:`PromptLearnerHead`.
    """

    def __init__(self, prompt: Any,
                 classes: Optional[Sequence[str]] = None, **kwargs) -> None:
        super().__init__(prompt=prompt, **kwargs)
        self.prompt.requires_grad_(False)
        self.build(self.text_tower.out_channels)
        if classes is not None:
            self.set_classes(classes)

    def build(self, channels: int) -> None:
        """Create what is learned, for features of width ``channels``.

        What follows from the classes gets its shape in :meth:`resize`.
        """
        raise NotImplementedError

    @property
    def in_channels(self) -> int:
        return self.text_tower.out_channels

    def _name_classes(self, names: List[str]) -> None:
        PromptLearnerHead.set_classes(self, names)

    def make_record(self) -> dict:
        return dict(PromptLearnerHead.make_record(self),
                    **self.fitted_record())

    def normalize(self, features: torch.Tensor) -> torch.Tensor:
        """L2-normalised features in fp32."""
        return F.normalize(features.float(), dim=-1)

    @property
    def logit_scale(self) -> torch.Tensor:
        """CLIP's ``exp(logit_scale)``, 100 in OpenAI's."""
        return self.text_tower.logit_scale.float().exp()

    @torch.no_grad()
    def class_features(self) -> torch.Tensor:
        """(K, E), L2-normalised, of the classes at hand."""
        return self.text_features()

    @torch.no_grad()
    def raw_class_features(self) -> torch.Tensor:
        """(S, K, E), of S prompts of each class, before normalisation."""
        return torch.cat([
            self.divider.encode(self.text_tower, prompts).float()
            for prompts in self.prompt(self.text_tower)])


def new_parameter(*shape: int, **kwargs) -> nn.Parameter:
    """A parameter of zeros, to be assigned when the head is fitted."""
    return nn.Parameter(torch.zeros(*shape, **kwargs))
