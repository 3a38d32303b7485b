# python tools/train.py configs/linear_probe/linear_probe_vit-b16_16shot_custom.py \
#     --cfg-options data_root=/path/to/photos
#
# A linear probe on your own photos: one sub-folder a class. C is searched on
# training images that were not drawn (at most 4 a class).
# Expect: seconds, once the features are cached; a checkpoint of 8 KB a class.
_base_ = [
    '../_base_/models/linear_probe.py', '../_base_/datasets/custom.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
data_root = 'data/photos'
model = dict(clip=dict(model_name='ViT-B-16'))
