"""The paper's tables as lists of runs."""
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from ..catalog import CATALOG, VARIANTS
from .methods import BACKBONES, find_method

ELEVEN = tuple(name for name in CATALOG if name not in VARIANTS)
SAME_CLASSES = {'imagenet', 'imagenetv2', 'imagenet_sketch'}
NOT_LEARNED = ('cached_views', 'max_epochs')  # options of training alone


@dataclass(frozen=True)
class Run:
    """One training, test or probe; it leaves one JSON.

    Attributes:
        method: A name that :func:`find_method` knows.
        dataset: Where it is tested, and trained unless ``trained`` says
            otherwise.
        backbone: An open_clip name, or the path of an open_clip JSON config.
        shots: Images a class; None where nothing is learned.
        seed: Seed of the draw; None where nothing is learned.
        class_subset: ``base`` or ``new`` classes; None: all.
        trained: The run whose checkpoint is tested here.
    """
    method: str
    dataset: str
    backbone: str
    shots: Optional[int] = None
    seed: Optional[int] = None
    class_subset: Optional[str] = None
    trained: Optional['Run'] = None

    @property
    def folder(self) -> str:
        """Where its files go, below the work folder of all runs."""
        parts = [_place(self), Path(self.backbone).stem
                 if self.backbone.endswith('.json') else self.backbone,
                 self.method]
        if self.trained:
            parts.append(f'from_{_place(self.trained)}')
        if self.shots is not None:
            parts.append(f'{self.shots}shot_seed{self.seed}')
        return '/'.join(parts)

    @property
    def tool(self) -> str:
        tool = find_method(self.method).tool
        return 'test' if self.trained and tool == 'train' else tool

    @property
    def result(self) -> str:
        """Name of its JSON, in its folder."""
        tested = self.trained or self.tool == 'test'
        return 'result_test.json' if tested else 'result.json'

    def options(self, common: Dict[str, object]) -> Dict[str, object]:
        """Its ``--cfg-options``; ``common`` are those of all runs."""
        options = {'dataset': self.dataset,
                   'model.clip.model_name': self.backbone,
                   **find_method(self.method).options}
        if self.shots is not None:
            options.update(shots=self.shots, seed=self.seed)
        if self.class_subset:
            options['class_subset'] = self.class_subset
        options.update({key: value for key, value in common.items()
                        if self.tool == 'train' or key not in NOT_LEARNED})
        return options

    def command(self, work_dir: Path, common: Dict[str, object],
                root: Path = Path()) -> List[str]:
        """Its command line, tools/<tool>.py first; both below ``root``."""
        words = [str(root / 'tools' / f'{self.tool}.py'),
                 str(root / find_method(self.method).config)]
        if self.trained:
            words.append(str(work_dir / self.trained.folder))
        words += ['--work-dir', str(work_dir / self.folder)]
        if self.tool == 'train':
            words.append('--resume')
        options = self.options(common)
        return words + ['--cfg-options',
                        *(f'{key}={value}' for key, value in options.items())]


def knows_its_classes_only(method: str) -> bool:
    """Whether what was learned belongs to the classes it was learned on."""
    return method.startswith('linear-') or '-csc' in method


def serves(method: str, source: str, target: str) -> bool:
    """Whether a method that learned on a source can be tested on a target."""
    if not knows_its_classes_only(method):
        return True
    if method == 'linear-probe' and source == 'imagenet':
        return target in VARIANTS  # A and R have 200 of its classes
    return {source, target} <= SAME_CLASSES


def _place(run: Run) -> str:
    return run.dataset + (f'-{run.class_subset}' if run.class_subset else '')


@dataclass(frozen=True)
class Plan:
    """What a table compares; the defaults of each kind are the paper's.

    Attributes:
        kind: A key of :data:`PLANS`.
        shows: What it is in the paper.
        methods: Names that :func:`find_method` knows.
        datasets: Names of the catalogue.
        shots: Numbers of images a class.
        backbones: CLIPs.
        seeds: Seeds of the draws.
        source: The data set to learn on, if others are the targets.
    """
    kind: str
    shows: str
    methods: Tuple[str, ...]
    datasets: Tuple[str, ...] = ELEVEN
    shots: Tuple[int, ...] = (16, )
    backbones: Tuple[str, ...] = ('RN50', )
    seeds: Tuple[int, ...] = (1, 2, 3)
    source: Optional[str] = None

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
        learned_on = (self.source, ) if self.source else self.datasets
        odd = set(learned_on) & set(VARIANTS)
        if odd and any(find_method(name).learns for name in self.methods):
            raise ValueError(f'{", ".join(sorted(odd))} can only be tested '
                             'on: there is nothing to learn from.')
        if self.kind == 'words' and not all(
                name.startswith('coop') for name in self.methods):
            raise ValueError('words: only CoOp learns a context to be read.')

    def with_changes(self, **changes) -> 'Plan':
        """Another plan; what is None stays."""
        return replace(self, **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in changes.items() if value is not None})

    def _runs(self) -> Iterator[Run]:
        for backbone in self.backbones:
            for dataset in (self.source, ) if self.source else self.datasets:
                for method in self.methods:
                    for run in self._learned(method, dataset, backbone):
                        if self.kind == 'base-to-new':
                            yield from self._base_to_new(run)
                        else:
                            yield run
                            yield from self._targets(run)

    def _learned(self, method: str, dataset: str, backbone: str
                 ) -> Iterator[Run]:
        run = Run(method, dataset, backbone)
        if not find_method(method).learns:
            yield run
            return
        for shots in self.shots:
            for seed in self.seeds:
                yield replace(run, shots=shots, seed=seed)

    def _base_to_new(self, run: Run) -> Iterator[Run]:
        base = replace(run, class_subset='base')
        yield base
        if not knows_its_classes_only(run.method):
            yield replace(run, class_subset='new',
                          trained=base if run.shots else None)

    def _targets(self, run: Run) -> Iterator[Run]:
        if self.source is None:
            return
        for target in self.datasets:
            if target != self.source and serves(run.method, run.dataset,
                                                target):
                yield replace(run, dataset=target,
                              trained=run if run.shots else None)


PLANS = {plan.kind: plan for plan in (
    Plan('few-shot', 'Figures 3 and 4: accuracy against shots',
         ('zeroshot-own', 'linear-probe', 'coop-m16-end', 'coop-m16-middle',
          'coop-m16-end-csc', 'coop-m16-middle-csc'), shots=(1, 2, 4, 8, 16)),
    Plan('context-length', 'Figure 5 (a): M = 4, 8, 16',
         ('coop-m4-end', 'coop-m8-end', 'coop-m16-end'),
         shots=(1, 2, 4, 8, 16)),
    Plan('backbones', 'Figure 5 (b): four backbones',
         ('zeroshot-own', 'coop-m16-end'), backbones=BACKBONES),
    Plan('domain', 'Table 1: ImageNet to V2, Sketch, A and R',
         ('zeroshot-own', 'linear-probe', 'coop-m16-end', 'coop-m4-end'),
         datasets=VARIANTS, backbones=BACKBONES, source='imagenet'),
    Plan('ensembles', 'Table 2: prompt ensembles on ImageNet',
         ('zeroshot-own', 'zeroshot-ensemble7', 'zeroshot-ensemble80',
          'coop-m16-end'), datasets=('imagenet', ), backbones=BACKBONES),
    Plan('init', 'Table 3: context from noise or from words',
         ('coop-m4-end', 'coop-m4-end-words')),
    Plan('words', 'Table 4: words nearest to the learned context',
         ('coop-m16-end', ), seeds=(1, ),
         datasets=('imagenet', 'food101', 'oxford_pets', 'dtd', 'ucf101')),
    Plan('adaptations', 'Table 5: other ways to adapt CLIP',
         ('zeroshot-own', 'linear-probe', 'finetune', 'text-transform',
          'text-bias', 'coop-m16-end'), datasets=('imagenet', )),
    Plan('base-to-new', 'base and new classes (CoCoOp, Table 1)',
         ('zeroshot-own', 'coop-m4-end-words'), backbones=('ViT-B-16', )),
    Plan('cross-dataset', 'ImageNet to ten data sets (CoCoOp, Table 2)',
         ('zeroshot-own', 'coop-m4-end-words'), backbones=('ViT-B-16', ),
         source='imagenet'),
)}
