# The published recipe of CoOp.
# Epochs by shots (those of the last row that is not above ours; all images:
# the last), and of single data sets whatever the shots.
recipe_epochs = dict(by_shots={1: 50, 2: 100, 8: 200}, imagenet=50)
max_epochs = None  # a number: instead of the recipe's

optim_wrapper = dict(
    constructor='mmcoop.LearnedOnlyConstructor',
    optimizer=dict(type='SGD', lr=0.002, momentum=0.9, weight_decay=5e-4))
# epoch 1 at 1e-5; then half a cosine from lr that never reaches 0.
# end=2: ConstantLR hands over at the end of its last epoch
param_scheduler = [
    dict(
        type='ConstantLR',
        factor='${warmup_factor}',  # 1e-5 / lr
        by_epoch=True,
        begin=0,
        end=2),
    dict(
        type='CosineAnnealingLR',
        T_max='${train_cfg.max_epochs}',
        by_epoch=True,
        begin=1,
        end='${train_cfg.max_epochs}')
]
# reported: the last epoch. Nothing is selected on test images
train_cfg = dict(
    by_epoch=True,
    max_epochs='${max_epochs}',
    val_interval='${train_cfg.max_epochs}')
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=32, enable=False)
