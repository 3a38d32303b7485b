"""Write the graph of a classifier to a file, and run the file."""
import json
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Tuple

import torch

from .graph import ClassifierGraph, ExportError, TransportGraph

KEY = 'mmcoop'  # of the description inside a file
LARGEST = 2**31  # bytes of an ONNX file
Outputs = Tuple[torch.Tensor, torch.Tensor]  # logits and probabilities (B, K)


def write_graph(graph: ClassifierGraph, format: str, path: Path,
                images: torch.Tensor, about: dict, opset: int
                ) -> Callable[[torch.Tensor], Outputs]:
    """Write a graph; return a function that runs the file.

    Args:
        graph: The graph.
        format: ``onnx``, ``torchscript`` or ``torch-export``.
        path: The file.
        images: A batch of two, as the graph takes them.
        about: A description to write into the file.
        opset: Of ONNX.

    Raises:
        ExportError: The format cannot hold the graph.
    """
    text = json.dumps(about, ensure_ascii=False)
    with quiet_tracing(), torch.no_grad():
        if format == 'onnx':
            _write_onnx(graph, path, images, text, opset)
            return load_onnx(path)
        extra = {f'{KEY}.json': text}
        if format == 'torchscript':
            traced = torch.jit.freeze(torch.jit.trace(graph, (images, )))
            torch.jit.save(traced, str(path), _extra_files=extra)
            return torch.jit.load(str(path))
        if isinstance(graph.head, TransportGraph):
            raise ExportError("PLOT's transport stops by its values, which "
                              'torch.export does not trace: take --format '
                              'onnx or torchscript.')
        program = torch.export.export(
            graph, (images, ),
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC}, ))
        torch.export.save(program, str(path), extra_files=extra)
        return torch.export.load(str(path)).module()


def _write_onnx(graph: ClassifierGraph, path: Path, images: torch.Tensor,
                text: str, opset: int) -> None:
    size = sum(t.numel() * t.element_size() for t in
               [*graph.parameters(), *graph.buffers()])
    if size > LARGEST:
        raise ExportError(
            f'an ONNX file holds at most 2 GiB, and this graph has '
            f'{size / 2**30:.1f} GiB: take --format torch-export.')
    import onnx

    # the exporter by tracing: unlike the newer one it needs no onnxscript,
    # takes a third of the time, and has loops that stop by values (PLOT)
    try:
        torch.onnx.export(
            graph, (images, ), str(path), dynamo=False, opset_version=opset,
            input_names=['images'], output_names=['logits', 'probabilities'],
            dynamic_axes={name: {0: 'batch'} for name in
                          ('images', 'logits', 'probabilities')})
    except (RuntimeError, ValueError) as error:
        lines = str(error).strip().splitlines()
        raise ExportError(f'torch.onnx.export: {lines[-1]} [--opset {opset}]'
                          ) from error
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, str(path))


def load_onnx(path: Path) -> Callable[[torch.Tensor], Outputs]:
    """A function that runs an ONNX file on the CPU."""
    import onnxruntime
    session = onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider'])

    def run(images: torch.Tensor) -> Outputs:
        return tuple(map(torch.from_numpy, session.run(
            ['logits', 'probabilities'], {'images': images.numpy()})))

    return run


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """Context manager for tracing a tower.

    PyTorch's fused attention is off, which ONNX does not have; so are
    warnings: of shapes that are read as numbers, which the comparison on two
    batch sizes makes harmless, and that TorchScript is old.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
