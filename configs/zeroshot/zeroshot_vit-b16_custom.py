# python tools/test.py configs/zeroshot/zeroshot_vit-b16_custom.py
#
# Zero-shot CLIP: no checkpoint, nothing is learned. Any other config does it
# with --cfg-options templates=own; other words: templates="a drawing of a {}."
_base_ = '../coop/coop_vit-b16_16shot_custom.py'

templates = 'own'  # the data set's hand-written prompt
