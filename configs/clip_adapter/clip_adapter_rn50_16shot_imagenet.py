# python tools/train.py configs/clip_adapter/clip_adapter_rn50_16shot_imagenet.py
#
# A small network on the image features, blended with them.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): minutes, once the
# views are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'clip-adapter'  # the entry of configs/clip_adapter/metafile.yml
cached_views = 10  # published: a new view in each epoch
model = dict(head=dict(type='mmcoop.CLIPAdapterHead'))
