"""The paper's tables as lists of runs."""
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from ..catalog import CATALOG, VARIANTS
from ..methods import Method, get_method, method_for, methods_in

ELEVEN = tuple(name for name in CATALOG if name not in VARIANTS)
BACKBONES = ('RN50', 'RN101', 'ViT-B-32', 'ViT-B-16')  # of the paper
MAX_RATE = 0.5  # as in datasets.label_noise, which imports torch
SAME_CLASSES = {'imagenet', 'imagenetv2', 'imagenet_sketch'}
# these mean nothing to a test
OF_TRAINING = ('cached_views', 'max_epochs', 'selection')


@dataclass(frozen=True)
class Run:
    """One training or test; it leaves one JSON.

    Attributes:
        method: The name of a registered method.
        dataset: Where it is tested, and trained unless ``trained`` says
            otherwise.
        backbone: An open_clip name, or the path of an open_clip JSON config.
        shots: Images a class; None where nothing is learned.
        seed: Seed of the draw; None where nothing is learned.
        class_subset: ``base`` or ``new`` classes; None: all.
        trained: The run whose checkpoint is tested here.
        noise: The part of the training labels that is wrong on purpose.
        noise_kind: ``symmetric`` or ``pair``; None without noise.
    """
    method: str
    dataset: str
    backbone: str
    shots: Optional[int] = None
    seed: Optional[int] = None
    class_subset: Optional[str] = None
    trained: Optional['Run'] = None
    noise: float = 0.
    noise_kind: Optional[str] = None

    @property
    def folder(self) -> str:
        """Where its files go, below the work folder of all runs."""
        parts = [_folder_of(self), Path(self.backbone).stem
                 if self.backbone.endswith('.json') else self.backbone,
                 self.method]
        if self.trained:
            parts.append(f'from_{_folder_of(self.trained)}')
        if self.shots is not None:
            parts.append(f'{self.shots}shot_seed{self.seed}')
        if self.noise:
            parts[-1] += f'_{self.noise_kind}{self.noise:g}'
        return '/'.join(parts)

    @property
    def tool(self) -> str:
        """``train`` or ``test``: tools/<tool>.py."""
        tests = self.trained or not get_method(self.method).learns
        return 'test' if tests else 'train'

    @property
    def result(self) -> str:
        """Name of its JSON, in its folder."""
        return 'result_test.json' if self.tool == 'test' else 'result.json'

    def options(self, common: Dict[str, object]) -> Dict[str, object]:
        """Its ``--cfg-options``; ``common`` are those of all runs."""
        method = get_method(self.method)
        options = {'dataset': self.dataset,
                   'model.clip.model_name': self.backbone, **method.options}
        if self.shots is not None:
            options.update(shots=self.shots, seed=self.seed)
        if self.noise:
            options.update(label_noise=self.noise, noise_kind=self.noise_kind)
        if self.class_subset:
            options['class_subset'] = self.class_subset
        dropped = () if method.cached_views else ('cached_views', )
        if self.tool != 'train':
            dropped = OF_TRAINING
        else:
            dropped += ('selection' if method.epochs else 'max_epochs', )
        options.update({key: value for key, value in common.items()
                        if key not in dropped})
        return options

    def command(self, work_dir: Path, common: Dict[str, object],
                root: Path = Path()) -> List[str]:
        """Its command line, ``root``/tools/<tool>.py first."""
        words = [str(root / 'tools' / f'{self.tool}.py'),
                 _relative(get_method(self.method).config)]
        if self.trained:
            words.append(str(work_dir / self.trained.folder))
        words += ['--work-dir', str(work_dir / self.folder)]
        if self.tool == 'train':
            words.append('--resume')
        options = self.options(common)
        return words + ['--cfg-options',
                        *(f'{key}={value}' for key, value in options.items())]


def can_be_tested(method: Method, source: str, target: str) -> bool:
    """Whether a method that was trained on a source has a target's classes."""
    if method.new_classes is True or {source, target} <= SAME_CLASSES:
        return True
    # ImageNet-A and -R have 200 of its classes
    return method.new_classes == 'subset' and source == 'imagenet' \
        and target in VARIANTS


def _relative(path: Path) -> str:
    """A path below the current folder from there, another one whole."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith('..') else relative


def _folder_of(run: Run) -> str:
    return run.dataset + (f'-{run.class_subset}' if run.class_subset else '')


@dataclass(frozen=True)
class Plan:
    """What a table compares; the defaults of each kind are the paper's.

    Attributes:
        kind: A key of :data:`PLANS`.
        description: What it is in the paper.
        methods: Names of registered methods; None: those whose metafiles
            name this kind.
        datasets: Names of the catalogue.
        shots: Numbers of images a class.
        backbones: CLIPs.
        seeds: Seeds of the draws.
        source: The data set to learn on, if others are the targets.
        noise: Parts of the training labels that are wrong on purpose.
        noise_kind: ``symmetric`` or ``pair``.
    """
    kind: str
    description: str
    methods: Optional[Tuple[str, ...]] = None
    datasets: Tuple[str, ...] = ELEVEN
    shots: Tuple[int, ...] = (16, )
    backbones: Tuple[str, ...] = ('RN50', )
    seeds: Tuple[int, ...] = (1, 2, 3)
    source: Optional[str] = None
    noise: Tuple[float, ...] = (0., )
    noise_kind: str = 'symmetric'

    @property
    def chosen(self) -> List[Method]:
        """The methods that are compared."""
        if self.methods is None:
            return methods_in(self.kind)
        return [method_for(name, self.kind) for name in self.methods]

    def runs(self) -> List[Run]:
        """All runs, each once, a training before what tests it.

        Raises:
            ValueError: Something that cannot be run or compared.
        """
        self._check()
        runs = list(dict.fromkeys(self._runs()))
        if len({run.folder for run in runs}) < len(runs):
            raise ValueError('two of the backbones have the same file name, '
                             'which names the folders: rename one.')
        return runs

    def _check(self) -> None:
        if min(self.shots, default=0) < 1:
            raise ValueError(f'shots={self.shots}: at least 1 each.')
        if (self.source is None) == (self.kind in ('domain',
                                                   'cross-dataset')):
            raise ValueError(f'{self.kind} takes '
                             + ('no source.' if self.source else 'a source.'))
        if not all(0 <= rate <= MAX_RATE for rate in self.noise):
            raise ValueError(f'noise={self.noise}: from 0 to {MAX_RATE} each.')
        if any(self.noise) and self.kind != 'noise':
            raise ValueError(f'{self.kind} takes no noise: the kind noise '
                             'does.')
        learned_on = (self.source, ) if self.source else self.datasets
        test_only = set(learned_on) & set(VARIANTS)
        if test_only and any(method.learns for method in self.chosen):
            raise ValueError(
                f'{", ".join(sorted(test_only))} can only be tested on: there '
                'is nothing to learn from.')
        if self.kind == 'words' and any(m.comparison for m in self.chosen):
            raise ValueError('words: only prompt learners have a context that '
                             'can be read.')

    def with_changes(self, **changes) -> 'Plan':
        """Another plan; what is None stays."""
        return replace(self, **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in changes.items() if value is not None})

    def _runs(self) -> Iterator[Run]:
        for backbone in self.backbones:
            for dataset in (self.source, ) if self.source else self.datasets:
                for method in self.chosen:
                    for run in self._learned(method, dataset, backbone):
                        if self.kind == 'base-to-new':
                            yield from self._base_to_new(run, method)
                        else:
                            yield run
                            yield from self._targets(run, method)

    def _learned(self, method: Method, dataset: str, backbone: str
                 ) -> Iterator[Run]:
        run = Run(method.name, dataset, backbone)
        if not method.learns:
            yield run
            return
        for shots in self.shots:
            for seed in self.seeds:
                for rate in self.noise:
                    yield replace(
                        run, shots=shots, seed=seed, noise=rate,
                        noise_kind=self.noise_kind if rate else None)

    def _base_to_new(self, run: Run, method: Method) -> Iterator[Run]:
        base = replace(run, class_subset='base')
        yield base
        if method.new_classes is True:
            yield replace(run, class_subset='new',
                          trained=base if run.shots else None)

    def _targets(self, run: Run, method: Method) -> Iterator[Run]:
        if self.source is None:
            return
        for target in self.datasets:
            if target != self.source and can_be_tested(method, run.dataset,
                                                       target):
                yield replace(run, dataset=target,
                              trained=run if run.shots else None)


PLANS = {plan.kind: plan for plan in (
    Plan('few-shot', 'Figures 3 and 4: accuracy against shots',
         shots=(1, 2, 4, 8, 16)),
    Plan('context-length', 'Figure 5 (a): M = 4, 8, 16',
         shots=(1, 2, 4, 8, 16)),
    Plan('backbones', 'Figure 5 (b): four backbones', backbones=BACKBONES),
    Plan('domain', 'Table 1: ImageNet to V2, Sketch, A and R',
         datasets=VARIANTS, backbones=BACKBONES, source='imagenet'),
    Plan('ensembles', 'Table 2: prompt ensembles on ImageNet',
         datasets=('imagenet', ), backbones=BACKBONES),
    Plan('init', 'Table 3: context from noise or from words'),
    Plan('words', 'Table 4: words nearest to the learned context',
         seeds=(1, ),
         datasets=('imagenet', 'food101', 'oxford_pets', 'dtd', 'ucf101')),
    Plan('adaptations', 'Table 5: other ways to adapt CLIP',
         datasets=('imagenet', )),
    Plan('base-to-new', 'base and new classes (CoCoOp, Table 1)',
         backbones=('ViT-B-16', )),
    Plan('cross-dataset', 'ImageNet to ten data sets (CoCoOp, Table 2)',
         backbones=('ViT-B-16', ), source='imagenet'),
    # 0, 2, 4, 6 and 8 of 16 images, as in the paper
    Plan('noise', 'accuracy against wrong training labels (Wu et al., 2023)',
         noise=(0., .125, .25, .375, .5)),
    Plan('leaderboard', 'accuracy, calibration and cost of every method',
         shots=(1, 2, 4, 8, 16), backbones=('ViT-B-16', )),
)}
