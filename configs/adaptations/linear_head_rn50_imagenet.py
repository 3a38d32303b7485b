# python tools/train.py configs/adaptations/linear_head_rn50_imagenet.py
#
# mmpretrain's linear head on the frozen image tower, by the same recipe.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): the
# paper's probe (55.87 %) is another solver: configs/linear_probe.
_base_ = '../coop/coop_rn50_16shot_imagenet.py'

method = 'linear-head'
model = dict(
    head=dict(
        _delete_=True,
        type='mmpretrain.LinearClsHead',
        num_classes='${num_classes}',  # of the data set
        loss=dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0)))
