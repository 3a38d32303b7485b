# The published recipe. 200 stands for "all epochs": the runner puts in 50, 100
# or 200 by shots, or max_epochs where that is given.
max_epochs = None  # by shots

optim_wrapper = dict(
    constructor='mmcoop.LearnedOnlyConstructor',
    optimizer=dict(type='SGD', lr=0.002, momentum=0.9, weight_decay=5e-4))
# epoch 1 at 1e-5; then half a cosine from 0.002 that never reaches 0.
# end=2: ConstantLR hands over at the end of its last epoch
param_scheduler = [
    dict(type='ConstantLR', factor=0.005, by_epoch=True, begin=0, end=2),
    dict(type='CosineAnnealingLR', T_max=200, by_epoch=True, begin=1, end=200)
]
# reported: the last epoch. Nothing is selected on test images
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=200)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=32, enable=False)
