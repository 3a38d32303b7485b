# python tools/train.py configs/gda/gda_rn50_16shot_imagenet.py
#
# Gaussians with one covariance on the image features, beside zero-shot CLIP; in
# closed form. Other data, shots and CLIPs: dataset=eurosat shots=4
# model.clip.model_name=ViT-B-16. Your own photos: configs/custom.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): seconds, once
# 10 views of each training image are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'gda'  # the entry of configs/gda/metafile.yml
crop_ratio_range = (0.5, 1.0)
cached_views = 10  # as published
model = dict(head=dict(type='mmcoop.GDAHead'))
