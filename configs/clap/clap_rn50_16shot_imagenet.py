# python tools/train.py configs/clap/clap_rn50_16shot_imagenet.py
#
# A linear probe that is held near the class features, class by class. Nothing is
# selected: the constants are the same for all data sets.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): minutes, once the
# views are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/few_shot.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
method = 'clap'  # the entry of configs/clap/metafile.yml
cached_views = 10  # published: 20
model = dict(head=dict(type='mmcoop.CLAPHead'))
