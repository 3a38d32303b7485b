# ImageNet: data_root/imagenet/images/{train,val}/<wnid>/. Its val is the test.
_base_ = './split_file.py'

template = 'a photo of a {}.'
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='mmcoop.ImageNet',
            data_root='data',
            data_prefix='imagenet/images/train',
            pipeline={{_base_.train_pipeline}})))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmcoop.ImageNet',
        data_root='data',
        data_prefix='imagenet/images/val',
        pipeline={{_base_.test_pipeline}}))
val_dataloader = test_dataloader
