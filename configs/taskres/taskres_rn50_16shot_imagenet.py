# python tools/train.py configs/taskres/taskres_rn50_16shot_imagenet.py
#
# A residual of each class feature, 100 or 200 epochs on cached features.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): a minute, once the
# views are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'taskres'  # the entry of configs/taskres/metafile.yml
cached_views = 10  # published: a new view in each of 100 or 200 epochs
model = dict(head=dict(type='mmcoop.TaskResHead'))
