# python tools/test.py configs/zeroshot/zeroshot_vit-b16_eurosat.py --tta zero
#
# A vote of the confident views: nothing is learned.
_base_ = '../_base_/tta_views.py'

tta_model = dict(type='mmcoop.ZERO', views=64, keep=0.3)
