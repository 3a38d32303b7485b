# python tools/train.py configs/adaptations/finetune_rn50_imagenet.py
#
# The image tower learns too, from zero-shot CLIP with the data set's prompt.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): the
# paper prints 18.28 % (CoOp 62.95 %, zero-shot 58.18 %).
_base_ = '../coop/coop_rn50_16shot_imagenet.py'

method = 'finetune'  # what results and tables call it
templates = 'own'
model = dict(freeze_image_tower=False)
