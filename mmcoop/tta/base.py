"""Base class of test-time adaptations: a wrapper of the tested classifier."""
import inspect
from typing import Any, List, Optional, Union

import torch
import torch.nn as nn
from mmengine.dist import get_world_size
from mmengine.model import BaseTTAModel
from mmpretrain.structures import DataSample

from ..registry import MODELS

ENCODED_AT_ONCE = 256  # images: bounds the memory, whatever batch and views


class BaseAdaptation(BaseTTAModel):
    """Classify each test image with what its views, or earlier images, tell.

    It takes the place of mmengine's ``cfg.tta_model``; ``tools/test.py --tta``
    puts it there. Subclasses implement :meth:`adapt`, and say what they need.
    No label is used.

    Args:
        module: The classifier, a :class:`mmcoop.CoOp`, or its config.
        views: Number of views of an image that the pipeline gives; the first
            is the image as a plain test sees it. See
            :class:`mmcoop.ImageViews`.
        **kwargs: Of mmengine's ``BaseTTAModel``.

    Attributes:
        needs_prompt: Whether the head must compare images with class features
            made from prompts.
        learns_context: Whether the context of a learned prompt is adapted, so
            that it may start from words, without a training.
        depends_on_order: Whether an image's prediction depends on the images
            before it.

    Raises:
        ValueError: An argument is invalid, the head is of another kind, or
            the order of images matters and there are several processes.
    """
    needs_prompt = True
    learns_context = False
    depends_on_order = False

    def __init__(self, module: Union[dict, nn.Module], views: int = 1,
                 **kwargs) -> None:
        if type(views) is not int or views < 1:
            raise ValueError(f'tta_model.views={views}: a whole number of at '
                             'least 1 is needed.')
        # before the CLIP is loaded, so that mistakes show at once
        self.check_head(*_find_types(module))
        if self.depends_on_order and get_world_size() > 1:
            raise ValueError(
                f'{type(self).__name__} learns from the test images in their '
                f'order, which {get_world_size()} processes would divide: '
                'test on one GPU, without --launcher.')
        super().__init__(module, **kwargs)
        self.views = views

    def check_head(self, head: str, prompt: Optional[type]) -> None:
        """Refuse a head that does not suit the adaptation.

        Args:
            head: Its type, for messages.
            prompt: The class of its prompt, or None.

        Raises:
            ValueError: It does not suit.
        """
        name = type(self).__name__
        if self.needs_prompt and prompt is None:
            raise ValueError(
                f'{name} compares images with class features made from '
                f'prompts, and a {head} has none: take a config whose head '
                'is a mmcoop.PromptLearnerHead (configs/zeroshot, '
                'configs/coop).')
        if self.needs_prompt and prompt.sees_patches:
            raise ValueError(
                f'{name} needs one feature of an image, and '
                f'{prompt.__name__} compares many patches: take another '
                'prompt.')

    def adapt(self, feats: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        """Classify one image.

        Args:
            feats: (V, E), features of its views as the head takes them, not
                normalised; (V, 1 + M, E) with patches.
            plain: (K,), logits of the first view without adaptation.

        Returns:
            Logits (K,); the prediction is their softmax.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all images; :class:`mmcoop.AdaptationHook` calls it before
        each test."""

    def settings(self) -> dict:
        """The arguments of the adaptation."""
        return {name: getattr(self, name) for name in _parameters(self)}

    def changed(self) -> dict:
        """Those of :meth:`settings` that differ from the defaults."""
        defaults = _parameters(self)
        return {name: value for name, value in self.settings().items()
                if value != defaults[name]}

    def logits(self, feats: torch.Tensor) -> torch.Tensor:
        """Logits (n, K) without adaptation from features (n, ...)."""
        return self.module.head((feats, ))

    def test_step(self, data: dict) -> List[DataSample]:
        """Predict a batch.

        Args:
            data: ``inputs``: (B, V, 3, H, W), or (B, 3, H, W), or cached
                features (B, E); or a list of B tensors. ``data_samples``: B
                data samples.

        Returns:
            The data samples with ``pred_score``, ``pred_label``, and
            ``plain_label``: the prediction without adaptation.
        """
        inputs, samples = data['inputs'], data['data_samples']
        if not isinstance(inputs, torch.Tensor):
            inputs = torch.stack(list(inputs))
        feats = self._encode(inputs)  # (B, V, ...)
        if inputs.ndim == 5:  # VisualizationHook draws one image of a sample
            data['inputs'] = inputs[:, 0]
        # the images alone are encoded in half precision (--amp)
        with torch.autocast(feats.device.type, enabled=False):
            for sample, views, plain in zip(samples, feats,
                                            self.logits(feats[:, 0])):
                score = self.adapt(views, plain).softmax(0)
                sample.set_pred_score(score).set_pred_label(score.argmax())
                sample.set_field(plain.argmax().item(), 'plain_label')
        return samples

    def merge_preds(self, data_samples_list: list) -> List[DataSample]:
        """Not used: predictions are not merged, see :meth:`test_step`."""
        raise NotImplementedError

    def _encode(self, inputs: torch.Tensor) -> torch.Tensor:
        """Features (B, V, E), or (B, V, 1 + M, E) with patches."""
        V = inputs.shape[1] if inputs.ndim == 5 else 1
        if V != self.views:
            raise ValueError(
                f'{type(self).__name__} takes {self.views} views of an image '
                f'(tta_model.views), and the pipeline gives {V}: set views of '
                'mmcoop.ImageViews in tta_pipeline to the same number.')
        flat = inputs.flatten(0, 1) if inputs.ndim == 5 else inputs
        feats = [self.module.extract_feat(self.module.data_preprocessor(
            dict(inputs=part), False)['inputs'])[-1]
            for part in flat.split(ENCODED_AT_ONCE)]
        return torch.cat(feats).unflatten(0, (-1, V))


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the softmax in nats, (..., K) -> (...)."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def most_confident(logits: torch.Tensor, share: float) -> torch.Tensor:
    """Indices of the views of least entropy, the most confident first.

    Args:
        logits: (V, K).
        share: The part of the views to keep; ``int(share * V)``, and at
            least one.
    """
    kept = max(1, int(share * len(logits)))
    return entropy(logits).argsort(stable=True)[:kept]


def check_share(name: str, value: Any) -> None:
    """Raise ValueError unless a setting is a part above 0 and at most 1."""
    if not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ValueError(f'tta_model.{name}={value}: a number above 0 and at '
                         'most 1 is needed, the part of the views.')


def _parameters(adaptation: BaseAdaptation) -> dict:
    """Names of an adaptation's own arguments, and their defaults."""
    signature = inspect.signature(type(adaptation).__init__).parameters
    return {name: p.default for name, p in signature.items()
            if p.default is not p.empty}


def _find_types(module: Union[dict, nn.Module]) -> tuple:
    """The name of the head's type, and the class of its prompt or None."""
    if isinstance(module, nn.Module):
        prompt = getattr(module.head, 'prompt', None)
        return type(module.head).__name__, prompt and type(prompt)
    head = module.get('head') or {}
    prompt = (head.get('prompt') or {}).get('type')
    if isinstance(prompt, str):
        prompt = MODELS.get(prompt)
    return str(head.get('type')).split('.')[-1], prompt
