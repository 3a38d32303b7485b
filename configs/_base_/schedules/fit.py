# Fitted at once on cached features: no epochs of the runner, no steps.
# Where hyper-parameters come from: 'val' (min(shots, 4) validation images a
# class), 'cross-validation' (a fourth of the training draw is held out in
# turn; no other image is looked at) or 'fixed' (the head's own values)
selection = 'val'
train_cfg = dict(
    type='mmcoop.FitLoop',
    val_dataset='${val_draw}',
    pipeline='${test_dataloader.dataset.pipeline}',
    selection='${selection}',
    max_views='${cached_views}')
# mmengine wants an optimiser beside a training loop; it takes no step
optim_wrapper = dict(
    constructor='mmcoop.LearnedOnlyConstructor',
    optimizer=dict(type='SGD', lr=1.))
param_scheduler = []
val_cfg = dict()
test_cfg = dict()
