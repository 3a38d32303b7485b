# Fitted at once by the head's own solver: no epochs, no steps. Whatever is
# selected is selected on the validation draw.
train_cfg = dict(type='mmcoop.FitLoop', val_dataset='${val_draw}')
# mmengine wants an optimiser beside a training loop; it takes no step
optim_wrapper = dict(
    constructor='mmcoop.LearnedOnlyConstructor',
    optimizer=dict(type='SGD', lr=1.))
param_scheduler = []
val_cfg = dict()
test_cfg = dict()
