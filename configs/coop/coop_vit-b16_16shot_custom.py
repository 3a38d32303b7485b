# python tools/train.py configs/coop/coop_vit-b16_16shot_custom.py \
#     --cfg-options data_root=/path/to/photos
#
# One sub-folder a class, named as you would say it; nothing else to write.
# Expect: 30 % of each class held out for testing (or photos/test, if there
# is one), up to 16 of the others used for training, all if there are fewer.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/custom.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
data_root = 'data/photos'
