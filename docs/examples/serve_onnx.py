"""python serve_onnx.py MODEL.onnx [PHOTO ...]; without photos it serves."""
import io
import json
import sys
from wsgiref.simple_server import make_server

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map['mmcoop'])
rules, size = about['preprocessing'], about['preprocessing']['size']


def predict(file):
    image = Image.open(file)
    if about['as_shown']:
        image = ImageOps.exif_transpose(image).convert('RGBA')
        white = Image.new('RGBA', image.size, 'white')
        image = Image.alpha_composite(white, image)
    sides = [size, size]
    if rules['resize_mode'] == 'shortest':
        sides = [int(size * side / min(image.size)) for side in image.size]
    elif rules['resize_mode'] == 'longest':
        ratio = max(image.size) / size
        sides = [max(1, round(side / ratio)) for side in image.size]
    how = Image.Resampling[rules['interpolation'].upper()]
    image = image.convert('RGB').resize(sides, how)
    left, top = (max(round(x := (s - size) / 2), int(x)) for s in sides)
    x = np.asarray(image.crop((left, top, left + size, top + size)))[None]
    if about['input']['normalized']:
        x = (x / 255 - rules['mean']) / rules['std']
        x = x.transpose(0, 3, 1, 2).astype(np.float32)
    values, = session.run(['probabilities'], {'images': x})[0].tolist()
    return dict(zip(about['classes'], values))


def serve(request, respond):
    body = request['wsgi.input'].read(int(request['CONTENT_LENGTH']))
    respond('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(predict(io.BytesIO(body))).encode()]


for path in sys.argv[2:]:
    print(path, json.dumps(predict(path), ensure_ascii=False))
if not sys.argv[2:]:
    make_server('localhost', 8000, serve).serve_forever()
