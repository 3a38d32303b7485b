# python tools/train.py configs/lp_plus_plus/lp_plus_plus_rn50_16shot_imagenet.py
#
# A linear classifier blended with the class features, 300 full-batch steps with
# computed learning rates; the epoch is selected.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): a minute, once a
# view of each training image is encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'lp++'  # the entry of configs/lp_plus_plus/metafile.yml
crop_ratio_range = (0.5, 1.0)
model = dict(head=dict(type='mmcoop.LPPlusPlusHead'))
