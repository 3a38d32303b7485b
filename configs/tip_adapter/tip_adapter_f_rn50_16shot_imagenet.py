# python tools/train.py configs/tip_adapter/tip_adapter_f_rn50_16shot_imagenet.py
#
# Tip-Adapter with keys that are trained for 20 epochs.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): minutes, once 10
# views of each training image are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'tip-adapter-f'  # the entry of configs/tip_adapter/metafile.yml
crop_ratio_range = (0.5, 1.0)
cached_views = 10  # published: 10 for the keys, 20 others for the training
model = dict(head=dict(type='mmcoop.TipAdapterFHead'))
