# python tools/train.py configs/coop/coop_demo.py
#
# Expect: about a minute on two CPU cores. The tiny CLIP of this repository is
# told "a photo of a river." of drawn satellite images; CoOp learns a better
# beginning from 16 images a class. work_dirs/coop_demo/report.html compares the
# two. A demo on drawn images: it says nothing of real ones.
_base_ = [
    '../_base_/models/coop.py', '../_base_/datasets/demo.py',
    '../_base_/schedules/coop_sgd.py', '../_base_/default_runtime.py'
]
max_epochs = 50  # 250 iterations are enough here
# mmengine would take an import statement for the lazy style of configs
_demo = __import__('mmcoop').__path__[0] + '/demo'
model = dict(
    clip=dict(
        model_name=f'{_demo}/tiny_clip.json',
        pretrained=f'{_demo}/tiny_clip.safetensors'))
