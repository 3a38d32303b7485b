"""A trained classifier: images in, names and probabilities out."""
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import (Any, Iterable, Iterator, List, Optional, Sequence, Tuple,
                    Union)

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose, pseudo_collate
from PIL import Image

from ..heads import FittedHead
from ..heads.record import shorten

Picture = Union[str, os.PathLike, Image.Image, np.ndarray]
THREADS = 8  # that decode images
_decoding = threading.Lock()  # Pillow decodes late, and one thread must do it
DEEP = ('I', 'I;16', 'I;16B', 'I;16L', 'F')  # Pillow would clip them at 255


class Classifier:
    """What :func:`mmcoop.load` returns.

    Several threads may predict with one classifier.

    Args:
        model: An :class:`mmcoop.CoOp` with its weights.
        pipeline: The transforms that testing uses.
        record: See :func:`mmcoop.engine.model_record.make_model_record`.

    Attributes:
        model: In eval mode, on its device.
        pipeline: Makes ``inputs`` of ``dict(img_path=...)``.
        record: What the checkpoint says of itself.
        preprocessing: ``size``, ``resize_mode``, ``interpolation``, ``mean``
            and ``std`` (RGB, 0 to 1) of the images.
    """

    def __init__(self, model: torch.nn.Module, pipeline: Compose,
                 record: dict) -> None:
        self.model = model
        self.pipeline = pipeline
        self.record = record
        self.preprocessing: dict = record['preprocessing']

    @property
    def classes(self) -> List[str]:
        """Names of the classes, in the order of the logits."""
        return list(getattr(self.model.head, 'class_names', None)
                    or self.record['classes'])

    @property
    def temperature(self) -> Optional[float]:
        """The logits are divided by it, where it is not None."""
        return self.model.head.temperature

    def set_classes(self, names: Sequence[str]) -> None:
        """Predict other classes, without training.

        Args:
            names: Their names, as one would say them.

        Raises:
            TypeError: It is one name, not a sequence of them.
            ValueError: What was learned belongs to the classes that it was
                learned for.
        """
        if isinstance(names, str):  # a sequence of letters
            raise TypeError(f'set_classes({names!r}): give a list of names.')
        head, names = self.model.head, list(names)
        known = head.fitted_names if isinstance(head, FittedHead) else []
        # a linear head says nothing of it
        if getattr(head, 'fixes_classes', True) and names != self.classes \
                and not (known and set(names) <= set(known)):
            raise ValueError(
                f'{self.record["method"]} predicts the classes that it was '
                f'trained on, {shorten(self.classes)}, '
                + ('or some of them, ' if known else '') + 'and no others. '
                'For classes without training take one context for all '
                '(configs/coop, class_specific=False).')
        if hasattr(head, 'set_classes'):
            getattr(self.model, 'set_classes', head.set_classes)(names)

    def class_features(self) -> torch.Tensor:
        """(K, E), L2-normalised class features.

        Raises:
            TypeError: The head has none, or others for each image.
        """
        head = self.model.head
        prompt = getattr(head, 'prompt', None)
        if prompt is None or prompt.sees_images:
            raise TypeError(
                f'{self.record["method"]} has no class features of its own: '
                + ('they follow from each image.' if prompt else
                   f'a {type(head).__name__} sees image features alone.'))
        with torch.no_grad():
            return head.text_features()

    def logits(self, images: Union[Picture, Iterable[Picture]],
               batch_size: int = 32) -> torch.Tensor:
        """Logits (N, K), on the CPU.

        Args:
            images: Paths, PIL images of 8 bits a channel, or arrays (H, W, 3)
                of RGB in uint8; one or several. Files are read as in
                training; the others are taken as they are.
            batch_size: Images that are computed at once.

        Raises:
            OSError: A file cannot be read; the message names it.
            TypeError: It is something else.
            ValueError: The checkpoint does not say how images are made ready.
        """
        rows = []
        for row, error in self.stream(_as_list(images), batch_size):
            if error is not None:
                raise error
            rows.append(row)
        return torch.stack(rows) if rows else torch.empty(
            0, len(self.classes))

    def predict(self, images: Union[Picture, Iterable[Picture]],
                batch_size: int = 32,
                threshold: Optional[float] = None) -> List[dict]:
        """Predict the classes of images.

        Args:
            images: As in :meth:`logits`.
            batch_size: As in :meth:`logits`.
            threshold: Where the best probability is below it, the label is
                None: "none of these".

        Returns:
            For each image ``path`` (None if it is not a file), ``label`` (the
            name), ``score`` (its probability) and ``probabilities`` (of all
            classes, in the order of :attr:`classes`).

        Raises:
            As :meth:`logits`.
        """
        images = _as_list(images)
        return [self.describe(image, row, threshold) for image, row
                in zip(images, self.logits(images, batch_size))]

    def describe(self, image: Picture, logits: torch.Tensor,
                 threshold: Optional[float] = None) -> dict:
        """An entry of :meth:`predict`, from an image's logits (K, )."""
        probabilities = torch.softmax(
            logits.double() / (self.temperature or 1.), dim=0)
        score, best = probabilities.max(0)
        sure = threshold is None or score.item() >= threshold
        return dict(
            path=os.fspath(image)
            if isinstance(image, (str, os.PathLike)) else None,
            label=self.classes[best] if sure else None,
            score=score.item(),
            probabilities=probabilities.tolist())

    def stream(self, images: Sequence[Picture], batch_size: int = 32
               ) -> Iterator[Tuple[Optional[torch.Tensor],
                                   Optional[OSError]]]:
        """Compute logits batch by batch; the next is read in the meantime.

        Args:
            images: As in :meth:`logits`; a sequence.
            batch_size: As in :meth:`logits`.

        Yields:
            For each image its logits (K, ) on the CPU and None, or None and
            the error if it cannot be read.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size={batch_size}: at least 1 is needed.')
        with ThreadPoolExecutor(THREADS) as pool:

            def submit(start: int) -> list:
                return [pool.submit(self._read, image)
                        for image in images[start:start + batch_size]]

            coming = submit(0)
            for start in range(0, len(images), batch_size):
                here, coming = coming, submit(start + batch_size)
                read = [_result(future) for future in here]
                rows = iter(self._compute(
                    [data for data, error in read if error is None]))
                for _, error in read:
                    yield (next(rows), None) if error is None \
                        else (None, error)

    def inferencer(self) -> Any:
        """mmpretrain's ``ImageClassificationInferencer`` of this model.

        It reads images in its own way (OpenCV, upright by their EXIF
        orientation), and knows no temperature.
        """
        from mmengine.config import Config
        from mmpretrain import ImageClassificationInferencer

        # where it looks for the transforms
        self.model._config = Config(dict(test_dataloader=dict(dataset=dict(
            pipeline=self.record['test_pipeline']))))
        return ImageClassificationInferencer(self.model, classes=self.classes)

    def _read(self, image: Picture) -> dict:
        steps = self.pipeline.transforms
        if not steps:
            raise ValueError('this checkpoint does not say how images are '
                             'made ready: its run had no test images. Test it '
                             'with its config (tools/test.py).')
        if isinstance(image, (str, os.PathLike)):
            return self.pipeline(dict(img_path=os.fspath(image)))
        if isinstance(image, Image.Image) and image.mode not in DEEP:
            with _decoding:
                pixels = np.asarray(image.convert('RGB'))
        elif isinstance(image, np.ndarray) and image.dtype == np.uint8 \
                and image.ndim == 3 and image.shape[2] == 3 and image.size:
            pixels = image
        else:
            raise TypeError(
                'an image is a path, a PIL image of 8 bits a channel or an '
                'array (H, W, 3) of RGB in uint8, not a '
                f'{type(image).__name__} ' + ' '.join(
                    str(getattr(image, name)) for name in
                    ('mode', 'dtype', 'shape') if hasattr(image, name)))
        shape = pixels.shape[:2]
        # mm's transforms take BGR
        data = dict(img=pixels[..., ::-1].copy(), img_shape=shape,
                    ori_shape=shape)
        for step in steps:
            if not isinstance(step, LoadImageFromFile):
                data = step(data)
        return data

    @torch.no_grad()
    def _compute(self, inputs: List[dict]) -> torch.Tensor:
        if not inputs:
            return torch.empty(0, len(self.classes))
        data = self.model.data_preprocessor(pseudo_collate(inputs), False)
        return self.model(data['inputs']).float().cpu()


def _result(future: Future) -> Tuple[Optional[dict], Optional[OSError]]:
    try:
        return future.result(), None
    except OSError as error:
        return None, error


def _as_list(images: Any) -> List[Picture]:
    """Raises TypeError for what is neither an image nor several."""
    single = isinstance(images, (str, os.PathLike, Image.Image)) or (
        isinstance(images, np.ndarray) and images.ndim in (2, 3))
    return [images] if single or not isinstance(images, Iterable) \
        else list(images)
