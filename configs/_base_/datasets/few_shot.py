# Few-shot training and testing on the paper's 11 data sets and 4 ImageNet
# variants, in the published layout below data_root (tools/check_data.py tells
# what is there). 224 stands for "the CLIP's image size".
dataset = 'imagenet'  # carried to its places, as shots and all variables are
template = None  # the data set's own hand-written prompt
class_subset = None  # 'base' or 'new' half of the classes
val_split = 'test'  # 'val': a validation draw, for whoever selects
shots = 16
num_workers = 16  # at most: the runner takes no more than a rank has CPUs

train_pipeline = [
    dict(type='mmcoop.LoadImage'),
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
    dict(type='mmcoop.LoadImage'),
    dict(
        type='ResizeEdge',
        scale=224,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=num_workers,
    persistent_workers=True,
    drop_last=True,  # not the only batch of a small draw
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmcoop.FewShotDataset',
        shots=shots,
        seed=1,
        dataset=dict(
            type='mmcoop.CoOpDataset',
            name='imagenet',
            data_root='data',
            split='train',
            pipeline=train_pipeline)))
test_dataloader = dict(
    batch_size=100,
    num_workers=num_workers,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmcoop.CoOpDataset',
        name='imagenet',
        data_root='data',
        split='test',
        pipeline=test_pipeline))
test_evaluator = dict(type='Accuracy', topk=(1, ))

# at the end of training: the published report is the test accuracy
val_dataloader = test_dataloader
val_evaluator = test_evaluator
