"""A trained classifier: images in, names and probabilities out."""
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from PIL import Image

from ..heads.record import shorten

Picture = Union[str, os.PathLike, Image.Image, np.ndarray]
THREADS = 8  # that decode images


class Classifier:
    """What :func:`mmcoop.load` returns.

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
            ValueError: What was learned belongs to the classes that it was
                learned for.
        """
        if not hasattr(self.model.head, 'set_classes'):
            raise ValueError(
                f'a {type(self.model.head).__name__} predicts the classes '
                f'that it was trained on, {shorten(self.classes)}, and no '
                'others. A context for all classes (configs/coop) does.')
        self.model.set_classes(names)

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

    def logits(self, images: Union[Picture, Sequence[Picture]],
               batch_size: int = 32) -> torch.Tensor:
        """Logits (N, K), on the CPU.

        Args:
            images: Paths, PIL images, or arrays (H, W, 3) of RGB in uint8;
                one or a sequence.
            batch_size: Images that are computed at once.

        Raises:
            OSError: An image cannot be read; the message names it.
            TypeError: It is something else.
        """
        parts = []
        for _, logits, errors in self.stream(_as_list(images), batch_size):
            if errors:
                raise errors[0]
            parts.append(logits)
        return torch.cat(parts) if parts else torch.empty(
            0, len(self.classes))

    def predict(self, images: Union[Picture, Sequence[Picture]],
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
        """
        images = _as_list(images)
        return [self.describe(image, logits, threshold) for image, logits
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
               ) -> Iterator[Tuple[List[int], torch.Tensor, List[OSError]]]:
        """Compute logits batch by batch; the next is read in the meantime.

        Args:
            images: As in :meth:`logits`.
            batch_size: As in :meth:`logits`.

        Yields:
            Indices of the images that could be read, their logits (B, K) on
            the CPU, and the errors of the others.
        """
        starts = range(0, len(images), batch_size)
        with ThreadPoolExecutor(THREADS) as pool:

            def submit(start: int) -> list:
                return [pool.submit(self._read, image)
                        for image in images[start:start + batch_size]]

            coming = submit(0)
            for start in starts:
                here, coming = coming, submit(start + batch_size)
                indices, inputs, errors = [], [], []
                for i, future in enumerate(here, start):
                    try:
                        inputs.append(future.result())
                        indices.append(i)
                    except OSError as error:
                        errors.append(error)
                yield indices, self._compute(inputs), errors

    def _read(self, image: Picture) -> dict:
        info = dict(exif_rotation=self.record.get('exif_rotation', False))
        if isinstance(image, (str, os.PathLike)):
            info['img_path'] = os.fspath(image)
        elif isinstance(image, Image.Image):
            info['img'] = np.asarray(image.convert('RGB'))[..., ::-1].copy()
        elif isinstance(image, np.ndarray) and image.dtype == np.uint8 \
                and image.ndim == 3 and image.shape[2] == 3:
            info['img'] = image[..., ::-1].copy()  # mm's transforms take BGR
        else:
            raise TypeError(
                'an image is a path, a PIL image or an array (H, W, 3) of '
                'RGB in uint8, not '
                + (f'an array {image.shape} of {image.dtype}.' if isinstance(
                    image, np.ndarray) else f'a {type(image).__name__}.'))
        return self.pipeline(info)

    @torch.no_grad()
    def _compute(self, inputs: List[dict]) -> torch.Tensor:
        if not inputs:
            return torch.empty(0, len(self.classes))
        data = self.model.data_preprocessor(pseudo_collate(inputs), False)
        return self.model(data['inputs']).float().cpu()


def _as_list(images: Any) -> Sequence[Picture]:
    single = isinstance(images, (str, os.PathLike, Image.Image)) or (
        isinstance(images, np.ndarray) and images.ndim == 3)
    return [images] if single else images
