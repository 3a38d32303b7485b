# python tools/test.py configs/zeroshot/zeroshot_vit-b16_eurosat.py --tta mta
#
# Mean shift over views: nothing is learned.
_base_ = '../_base_/tta_views.py'

tta_model = dict(
    type='mmcoop.MTA', views=64, lambda_y=0.2, lambda_q=4., nearest=0.3)
