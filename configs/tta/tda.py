# python tools/test.py configs/zeroshot/zeroshot_vit-b16_eurosat.py --tta tda
#
# Caches of earlier test images: nothing is learned, images are seen once. The
# result depends on their order, which is a function of the seed.
tta_model = dict(
    type='mmcoop.TDA',
    positive_alpha=2.,
    positive_beta=5.,
    positive_shots=3,
    negative_alpha=0.117,
    negative_beta=1.,
    negative_shots=2,
    entropy_range=(0.2, 0.5),
    mask_range=(0.03, 1.0))
tta_pipeline = '${test_dataloader.dataset.pipeline}'
# lists are sorted by class; published: shuffled
test_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=True))
