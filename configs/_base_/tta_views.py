# Views of a test image for tools/test.py --tta: the image as it is tested and
# random crops with flips, as published (bilinear, 8 to 100 % of the area).
tta_pipeline = [
    dict(
        type='mmcoop.ImageViews',
        pipeline='${test_dataloader.dataset.pipeline}',
        views='${tta_model.views}',
        seed='${randomness.seed}',
        transforms=[
            dict(
                type='RandomResizedCrop',
                scale='${image_size}',
                backend='pillow',
                interpolation='bilinear'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal')
        ])
]
test_dataloader = dict(batch_size=4)  # of 64 views each
