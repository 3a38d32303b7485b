# The drawn world of mmcoop/demo, seen from a satellite: 10 kinds of land, 50
# images each to draw from, 100 each for testing. A demo, nothing real.
_base_ = './few_shot.py'

dataset = 'demo'
crop_ratio_range = (0.5, 1.0)
