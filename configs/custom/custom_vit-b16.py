# python tools/train.py configs/custom/custom_vit-b16.py \
#     --cfg-options data_root=/path/to/photos
#
# Your own photos, one sub-folder a class, named as you would say it; the head
# that we would take, fitted in closed form. Another one: head=tip-adapter,
# head=linear-probe, ... (any method of the leaderboard that is fitted).
# Expect: 30 % of each class held out for testing (or photos/test, if there
# is one), up to 16 of the others used; seconds, once they are encoded.
_base_ = [
    '../_base_/models/feature_head.py', '../_base_/datasets/custom.py',
    '../_base_/schedules/fit.py', '../_base_/default_runtime.py'
]
data_root = 'data/photos'
head = 'gda'
method = '${head}'
selection = 'cross-validation'  # takes no images away from training
crop_ratio_range = (0.5, 1.0)
cached_views = 10
model = dict(clip=dict(model_name='ViT-B-16'), head='${head_config}')
