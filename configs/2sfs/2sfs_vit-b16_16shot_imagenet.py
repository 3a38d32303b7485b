# python tools/train.py configs/2sfs/2sfs_vit-b16_16shot_imagenet.py
#
# 2SFS: 60 % of the steps learn the LayerNorms of both towers (65,536 numbers for
# ViT-B/16) with the text as the classifier; then both are frozen, and 40 % learn a
# cosine classifier that starts from the text. Classes that it does not know are
# classified by the text.
# Needs a Vision Transformer, and images in every epoch: features cannot be cached.
# Expect (not measured here: needs OpenAI's ViT-B/16 and ImageNet): 4,800 steps of
# batch 32, 2,880 of them with gradients through both towers (--amp as published;
# model.head.text_memory=4 bounds the text tower's part).
_base_ = [
    '../_base_/models/zeroshot.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/steps_adamw.py', '../_base_/default_runtime.py'
]
method = '2sfs'
steps_per_shot = 300
first_stage = 0.6  # part of the steps
train_dataloader = dict(drop_last=False)  # as published
model = dict(
    tower_adapter=dict(type='mmcoop.LayerNorms'),
    head=dict(type='mmcoop.TwoStageHead', prompt=dict(templates='generic')))
param_scheduler = [
    dict(
        type='mmcoop.TwoStageCosineLR',
        first='${first_stage}',
        by_epoch=False,
        eta_min=1e-6)
]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmcoop.TwoStageHook', first='${first_stage}'),
]
find_unused_parameters = True  # for DDP: each stage leaves one part alone
