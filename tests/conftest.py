"""Fixtures: golden values and real data (see data/README.md), small CLIPs."""
import gc
import gzip
import importlib.util
import json
import os
from pathlib import Path

if 'PYTEST_XDIST_WORKER' in os.environ:  # pytest -n 2: a core for each
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # before torch is imported

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

ROOT = Path(__file__).parents[1]
DATA = ROOT / 'tests/data'  # a data root that holds a small EuroSAT
GOLDEN = DATA / 'golden'
SHARED = ROOT.parent / 'shared/data'  # larger data, for some tests alone


def needs_shared(name: str) -> pytest.MarkDecorator:
    """Skip a test of data that is too large to be part of the project."""
    return pytest.mark.skipif(
        not (SHARED / name).exists(),
        reason=f'needs {name}, not part of the project, in ../shared/data')


# what takes long and proves little more than its neighbours
nightly = pytest.mark.skipif(os.environ.get('MMCOOP_NIGHTLY') != '1',
                             reason='MMCOOP_NIGHTLY=1 runs it')


def pytest_configure(config):
    """Only tests marked gpu, and only if asked for, run on a GPU."""
    if 'gpu' not in config.getoption('-m'):
        os.environ['CUDA_VISIBLE_DEVICES'] = ''


@pytest.fixture(autouse=True, scope='module')
def frozen_modules():
    """mmengine collects garbage for each data set that it builds, which takes
    0.3 s with the modules of torch; the tools freeze them too."""
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def default_scope():
    """Each test starts with mmpretrain's scope and leaves none behind."""
    from mmengine.registry import DefaultScope
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture(autouse=True, scope='session')
def feature_cache(tmp_path_factory):
    """A feature cache for these tests alone, tools in them included."""
    folder = tmp_path_factory.mktemp('feature_cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMCOOP_CACHE', str(folder))
        yield folder


@pytest.fixture(scope='session')
def golden():
    """The golden arrays, with / in their keys, and the class names."""
    arrays = np.load(GOLDEN / 'coop.npz')
    values = {
        key.replace('|', '/', key.count('|')): torch.from_numpy(arrays[key])
        for key in arrays
    }
    info = json.loads((GOLDEN / 'coop.json').read_text())
    return values, info


def golden_state_dict(**kwargs):
    spec = importlib.util.spec_from_file_location('golden_weights',
                                                  GOLDEN / 'weights.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.openai_state_dict(seed=7, **kwargs)


@pytest.fixture(scope='session')
def coop_splits(tmp_path_factory):
    """A folder with the published split files, unpacked."""
    folder = tmp_path_factory.mktemp('coop_splits')
    for packed in (DATA / 'coop_splits').glob('*.json.gz'):
        (folder / packed.stem).write_bytes(
            gzip.decompress(packed.read_bytes()))
    return folder


@pytest.fixture(scope='session')
def vit_file(tmp_path_factory):
    """A plain state dict in OpenAI layout (the golden ViT)."""
    path = tmp_path_factory.mktemp('golden') / 'vit.pt'
    torch.save(golden_state_dict(), path)
    return str(path)


@pytest.fixture(scope='session')
def rn_file(tmp_path_factory):
    """A plain state dict in OpenAI layout (the golden ResNet)."""
    path = tmp_path_factory.mktemp('golden') / 'rn.pt'
    torch.save(
        golden_state_dict(vision_layers=(1, 1, 1, 1), vision_width=16), path)
    return str(path)


def small_clip_config(layers=(1, 3), **text) -> dict:
    """An open_clip model config of a CLIP that trains in milliseconds."""
    return dict(
        embed_dim=32,
        vision_cfg=dict(image_size=32, layers=layers[0], width=64,
                        patch_size=16),
        text_cfg=dict(
            context_length=77,
            vocab_size=49408,
            width=64,
            heads=2,
            layers=layers[1],
            **text))


def make_clip(folder, name, layers) -> dict:
    """``clip=dict(...)`` of a small random CLIP, from files."""
    import open_clip
    settings = small_clip_config(layers)
    config = folder / f'{name}.json'
    config.write_text(json.dumps(settings))
    torch.manual_seed(0)
    model = open_clip.CLIP(**settings)
    # initial weights are tiny; make prompts matter to the features
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(2)
    weights = folder / f'{name}.pt'
    torch.save(model.state_dict(), weights)
    return dict(model_name=str(config), pretrained=str(weights))


@pytest.fixture(scope='session')
def small_clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp('small_clip'),
                     'mmcoop-test-small', (1, 3))


@pytest.fixture(scope='session')
def deep_clip(tmp_path_factory):
    """As deep as ViT-B/16, for prompts in twelve layers."""
    return make_clip(tmp_path_factory.mktemp('deep_clip'),
                     'mmcoop-test-deep', (12, 12))


@pytest.fixture
def photos(tmp_path):
    """A folder of photos: three classes of 6, 6 and 4 images."""
    return make_photos(tmp_path / 'photos',
                       {'red_fox': 6, 'snow': 6, 'grass': 4})


def make_photos(root: Path, counts: dict, size=(48, 40)) -> Path:
    from PIL import Image
    rng = np.random.default_rng(0)
    for label, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 80, (*size[::-1], 3), dtype=np.uint8)
            pixels[..., label % 3] += 150
            Image.fromarray(pixels).save(folder / f'{i}.png')
    return root


@pytest.fixture
def logged():
    """What is logged during a test, as a list of messages."""
    import logging

    from mmengine.logging import MMLogger
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def custom_config(tmp_path, photos, clip, method='coop', **options):
    """The config for one's own photos, made small: 3 classes, 6 epochs."""
    from mmengine.config import Config
    path, = (ROOT / 'configs' / method).glob('*custom*.py')
    cfg = Config.fromfile(path)
    if method == 'coop':
        options = {'model.head.prompt.n_ctx': 4, **options}
    if method not in ('linear_probe', 'custom'):
        options = {'max_epochs': 6, **options}
    cfg.merge_from_dict({
        'model.clip': dict(_delete_=True, **clip),
        'data_root': str(photos),
        'work_dir': str(tmp_path / 'work'),
        'train_dataloader.batch_size': 4,
        'shots': 3,
        **{f'{split}_dataloader.{key}': value
           for split in ('train', 'val', 'test')
           for key, value in (('num_workers', 0),
                              ('persistent_workers', False))},
        **options
    })
    return cfg


@pytest.fixture(scope='session')
def small_run(tmp_path_factory, small_clip):
    """The work directory of a short run: a context for grass, red fox, snow.

    Its photos lie in ``../photos``.
    """
    from mmengine.registry import DefaultScope

    from mmcoop.engine import FewShotRunner
    folder = tmp_path_factory.mktemp('small_run')
    photos = make_photos(folder / 'photos', dict(red_fox=6, snow=6, grass=4))
    cfg = custom_config(folder, photos, small_clip, max_epochs=2)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        FewShotRunner.from_cfg(cfg).train()
    return folder / 'work'
