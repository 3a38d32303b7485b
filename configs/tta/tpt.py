# python tools/test.py configs/coop/coop_vit-b16_16shot_eurosat.py CHECKPOINT --tta tpt
#
# Test-time prompt tuning. Without a checkpoint the context starts from words:
# --cfg-options model.head.prompt.ctx_init="a photo of a".
_base_ = '../_base_/tta_views.py'

tta_model = dict(
    type='mmcoop.TPT', views=64, keep=0.1, lr=5e-3, weight_decay=0.01, steps=1)
