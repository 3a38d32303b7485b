# A recipe in optimiser steps for each shot: AdamW, half a cosine over all steps.
steps_per_shot = 500
max_epochs = None  # a number: these epochs instead of the recipe's steps

optim_wrapper = dict(
    constructor='mmcoop.LearnedOnlyConstructor',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.01))
# without `end`: up to the last step
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=False, eta_min=1e-6)
]
# reported: the model after the last step. Nothing is selected on test images
train_cfg = dict(
    type='mmcoop.StepLoop',
    steps_per_shot='${steps_per_shot}',
    max_epochs='${max_epochs}')
val_cfg = dict()
test_cfg = dict()
