"""Write a trained classifier to a file that needs no mmcoop, and check it."""
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Sequence

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

import mmcoop

from ..files import check_writable, explain_errors
from .classifier import Classifier
from .graph import ClassifierGraph, ExportError
from .graph_files import Outputs, write_graph
from .to_stock import write_stock

SUFFIXES = {'onnx': '.onnx', 'torchscript': '.pt', 'torch-export': '.pt2',
            'mmpretrain': '.py'}
OPSET = 17  # the first with LayerNormalization
CHECKED = 16  # images that an export is checked on at once


@dataclass
class Samples:
    """Images to check an export on, and what the classifier makes of them.

    Attributes:
        paths: The files.
        pixels: (N, S, S, 3), RGB in uint8, resized and cropped.
        inputs: (N, 3, S, S), normalised.
        logits: (N, K), divided by the temperature.
    """
    paths: List[str]
    pixels: torch.Tensor
    inputs: torch.Tensor
    logits: torch.Tensor


def check_requirements(format: str, with_preprocessing: bool = False
                       ) -> None:
    """Check what can be checked before a classifier is loaded.

    Raises:
        ExportError: The format is unknown, or does not go with preprocessing
            in the graph.
        ImportError: A package is missing; the message says how to get it.
    """
    if format not in SUFFIXES:
        raise ExportError(f'format={format!r}: choose from '
                          f'{", ".join(SUFFIXES)}.')
    if with_preprocessing and format == 'mmpretrain':
        raise ExportError('an mmpretrain config always holds the '
                          'preprocessing: leave out --with-preprocessing.')
    missing = [name for name in ('onnx', 'onnxruntime')
               if format == 'onnx' and importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'--format onnx needs {" and ".join(missing)}: '
                          'pip install onnx onnxruntime')


def check_out(out: Path, format: str, checkpoint: Optional[Path] = None
              ) -> None:
    """Check the file to write.

    Args:
        out: The file.
        format: Its format.
        checkpoint: What is exported, which must stay.

    Raises:
        ExportError: The suffix is another, it is a folder, or the checkpoint
            would be replaced.
    """
    suffix = SUFFIXES[format]
    if out.suffix != suffix or out.is_dir():
        raise ExportError(f'--out {out}: give a file with the suffix '
                          f'{suffix}.')
    if format == 'mmpretrain' and checkpoint is not None and \
            out.with_suffix('.pth').resolve() == checkpoint.resolve():
        raise ExportError(f'--out {out}: its weights would replace the '
                          f'checkpoint {checkpoint}; give another name.')


def export(classifier: Classifier, format: str, out: str,
           images: Sequence[str], with_preprocessing: bool = False,
           opset: int = OPSET, tolerance: float = 1e-4) -> dict:
    """Export a classifier, and compare the file with it on images.

    Args:
        classifier: From :func:`mmcoop.load`, computing in fp32; it is moved
            to the CPU.
        format: ``onnx``, ``torchscript``, ``torch-export`` or
            ``mmpretrain``.
        out: The file to write; its description goes to ``out + '.json'``.
            ``mmpretrain`` writes a config, and a checkpoint beside it with
            the suffix ``.pth``.
        images: Paths of images to compare on.
        with_preprocessing: Whether the graph takes uint8 RGB (N, S, S, 3)
            and normalises it.
        opset: Of ONNX.
        tolerance: The largest difference of probabilities, and of logits in
            parts of the largest one.

    Returns:
        The description that is written: ``format``, ``mmcoop`` and ``torch``
        (versions), ``method``, ``classes``, ``preprocessing``,
        ``as_shown``, ``temperature``, ``input``, ``outputs`` and ``check``.

    Raises:
        ExportError: The classifier cannot be exported to this format, or the
            file gives other values. Then no file is left.
        ImportError: See :func:`check_requirements`.
        OSError: An image cannot be read.
    """
    check_requirements(format, with_preprocessing)
    out = Path(out)
    check_out(out, format)
    if not images:
        raise ExportError('there are no images to compare the file on.')
    if getattr(classifier.model.backbone, 'dtype', None) is not None:
        raise ExportError('this classifier computes in half precision: load '
                          "it by clip=dict(precision='fp32').")
    classifier.model.cpu()
    check_writable(out.parent)
    samples = read_samples(classifier, images)
    graph = ClassifierGraph(classifier.model, samples.inputs.shape[-1],
                            classifier.temperature, with_preprocessing)
    about = describe(classifier, format, with_preprocessing)
    # beside their places, so that they can be moved there
    part = out.with_name(f'{out.stem}.part{out.suffix}')
    note = Path(f'{part}.json')
    files = {part: out, note: Path(f'{out}.json')}
    if format == 'mmpretrain':
        files[part.with_suffix('.pth')] = out.with_suffix('.pth')
    try:
        with explain_errors(out, part):
            if format == 'mmpretrain':
                inputs = samples.paths
                run = write_stock(classifier, graph, part, about)
            else:
                inputs = samples.pixels if with_preprocessing \
                    else samples.inputs
                run = write_graph(graph, format, part, inputs[:2], about,
                                  opset)
            about['check'] = compare(run, inputs, samples.logits, tolerance)
            note.write_text(json.dumps(about, indent=2, ensure_ascii=False),
                            encoding='utf-8')
        for file, place in files.items():
            os.replace(file, place)
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    return about


def read_samples(classifier: Classifier, paths: Sequence[str]) -> Samples:
    """Read images as testing does, and compute their logits.

    Raises:
        OSError: An image cannot be read.
    """
    paths = [str(path) for path in paths][:CHECKED]
    if len(paths) == 1:
        paths = paths * 2  # a batch of several is compared as well
    preprocess = classifier.model.data_preprocessor
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = pseudo_collate([
            classifier.pipeline(dict(img_path=path)) for path in paths])
    pixels = torch.stack(data['inputs']).permute(0, 2, 3, 1)
    with torch.no_grad():
        inputs = preprocess(data, False)['inputs']
        logits = classifier.model(inputs).double()
    return Samples(paths, pixels.flip(-1).contiguous(), inputs,
                   logits / (classifier.temperature or 1.))


def describe(classifier: Classifier, format: str, with_preprocessing: bool
             ) -> dict:
    """What is written beside an export and inside of it."""
    size = classifier.preprocessing['size']
    return dict(
        format=format,
        mmcoop=mmcoop.__version__,
        torch=str(torch.__version__),
        method=classifier.record['method'],
        classes=classifier.classes,
        preprocessing=classifier.preprocessing,
        # turned by the EXIF orientation, and white where it is transparent
        as_shown=any(step.get('as_shown', False)
                     for step in classifier.record['test_pipeline']),
        temperature=classifier.temperature,
        input=dict(name='images', shape=['batch', size, size, 3],
                   type='uint8', channels='RGB', normalized=False)
        if with_preprocessing else
        dict(name='images', shape=['batch', 3, size, size], type='float32',
             channels='RGB', normalized=True),
        outputs=['logits', 'probabilities'])


@torch.no_grad()
def compare(run: Callable[[Sequence], Outputs], inputs: Sequence,
            logits: torch.Tensor, tolerance: float) -> dict:
    """Compare the outputs of a file with the classifier's.

    All images are one batch, and the first one is another.

    Args:
        run: Gives logits and probabilities of a batch.
        inputs: What ``run`` takes, of N images.
        logits: (N, K), those of the classifier.
        tolerance: See :func:`export`.

    Returns:
        ``probabilities`` and ``logits`` (the largest differences),
        ``largest_logit``, ``batch_sizes`` and ``tolerance``.

    Raises:
        ExportError: A difference is above the tolerance.
    """
    sizes = [len(inputs), 1]
    errors = [[(given.double() - expected[:n]).abs().max()
               for given, expected in zip(run(inputs[:n]),
                                          (logits, logits.softmax(-1)))]
              for n in sizes]
    # torch's max and `not <=`, so that nan fails
    worst = dict(zip(('logits', 'probabilities'),
                     torch.tensor(errors).amax(0).tolist()))
    largest = logits.abs().max().item()
    if not (worst['probabilities'] <= tolerance
            and worst['logits'] <= tolerance * max(1., largest)):
        raise ExportError(
            'the exported file gives other values than the classifier: '
            f'probabilities differ by up to {worst["probabilities"]:.1e}, '
            f'logits by up to {worst["logits"]:.1e} (the largest is '
            f'{largest:.4g}), with a tolerance of {tolerance:g}. No file was '
            'written.')
    return dict(worst, largest_logit=largest, batch_sizes=sizes,
                tolerance=tolerance)


def spread(paths: List[str], count: int = CHECKED) -> List[str]:
    """At most ``count`` of the paths, evenly: folders follow each other."""
    return paths[::-(-len(paths) // count)]


def draw_images(folder: Path, count: int = 8) -> List[str]:
    """Draw images of the demo's world, in several shapes."""
    from PIL import Image

    from ..demo.world import CAPTIONS, CLASSES, HELD_OUT, render
    paths = []
    for i, (name, medium) in enumerate(
            zip(CLASSES[:count], count * list(CAPTIONS))):
        image = Image.fromarray(render(name, medium, HELD_OUT))
        image = image.resize((64 + 16 * i, 160))
        paths.append(str(folder / f'{name}.png'))
        image.save(paths[-1])
    return paths
