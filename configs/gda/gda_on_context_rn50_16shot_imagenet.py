# python tools/train.py configs/gda/gda_on_context_rn50_16shot_imagenet.py \
#     --cfg-options checkpoint=work_dirs/coop_rn50_16shot_imagenet
#
# GDA beside the class features of a learned context (CoOp, KgCoOp, ProGrad)
# instead of hand-written prompts. The same head.prompt serves every head here.
# Expect (not measured here: needs OpenAI's RN50 and ImageNet): seconds, once
# 10 views of each training image are encoded.
_base_ = './gda_rn50_16shot_imagenet.py'

checkpoint = 'work_dirs/coop_rn50_16shot_imagenet'  # a file, or a run's folder
model = dict(
    head=dict(
        prompt=dict(
            _delete_=True,
            type='mmcoop.SavedPrompt',
            checkpoint='${checkpoint}')))
