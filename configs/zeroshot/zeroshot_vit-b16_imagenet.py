# python tools/test.py configs/zeroshot/zeroshot_vit-b16_imagenet.py
#
# Zero-shot CLIP with the data set's hand-written template: no checkpoint,
# nothing is learned. Other words: --cfg-options
# model.head.prompt.templates="a drawing of a {}."
_base_ = '../coop/coop_vit-b16_16shot_imagenet.py'

model = dict(
    head=dict(
        prompt=dict(
            _delete_=True,
            type='mmcoop.TemplatePrompt',
            templates={{_base_.template}})))
