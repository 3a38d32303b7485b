# Your own photos: data_root/<class>/*.jpg, or data_root/{train,test}/<class>/.
_base_ = './split_file.py'

template = 'a photo of a {}.'
# photos from a telephone lie as their EXIF tag says
_load = dict(type='mmcoop.LoadImage', exif_rotation=True)
train_pipeline = [
    _load,
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.08, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    _load,
    dict(
        type='ResizeEdge',
        scale=224,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
_photos = dict(_delete_=True, type='mmcoop.FolderDataset', data_root='data')
train_dataloader = dict(
    dataset=dict(
        dataset=dict(**_photos, split='train', pipeline=train_pipeline)))
test_dataloader = dict(
    dataset=dict(**_photos, split='test', pipeline=test_pipeline))
val_dataloader = test_dataloader
