# EuroSAT: 10 kinds of land from a satellite. data_root/eurosat/2750/<class>/
_base_ = './split_file.py'

template = 'a centered satellite photo of {}.'
_where = dict(
    ann_file='eurosat/split_zhou_EuroSAT.json', data_prefix='eurosat/2750')
train_dataloader = dict(dataset=dict(dataset=_where))
test_dataloader = dict(dataset=_where)
val_dataloader = test_dataloader
