# python tools/train.py configs/tip_adapter/tip_adapter_rn50_16shot_imagenet.py
#
# A cache of the training features beside zero-shot CLIP; nothing is trained.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): minutes for the
# search of alpha and beta, once 10 views of each training image are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'tip-adapter'  # the entry of configs/tip_adapter/metafile.yml
crop_ratio_range = (0.5, 1.0)
cached_views = 10  # as published
model = dict(head=dict(type='mmcoop.TipAdapterHead'))
