# Caltech101: 100 kinds of objects. data_root/caltech-101/101_ObjectCategories/
_base_ = './split_file.py'

template = 'a photo of a {}.'
_where = dict(
    ann_file='caltech-101/split_zhou_Caltech101.json',
    data_prefix='caltech-101/101_ObjectCategories')
train_dataloader = dict(dataset=dict(dataset=_where))
test_dataloader = dict(dataset=_where)
val_dataloader = test_dataloader
