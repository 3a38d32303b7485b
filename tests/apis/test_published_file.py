"""Files of the published codes: nothing in them is run."""
import os
from pathlib import Path

import pytest
import torch

from mmcoop.apis import read_published


def test_what_is_no_checkpoint(tmp_path):
    path = tmp_path / 'x.tar'
    for content, message in (({'a': torch.ones(1)}, 'no learned context'),
                             (3, 'no learned context')):
        torch.save(content, path)
        with pytest.raises(ValueError, match=message):
            read_published(path)
    path.write_bytes(b'PK\x03\x04 cut off')
    with pytest.raises(ValueError, match='is damaged'):
        read_published(path)
    with pytest.raises(FileNotFoundError, match='no published checkpoint'):
        read_published(tmp_path / 'gone')


class Attack:

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('function,args', [
    (os.system, 'touch {}'), (exec, 'open({!r}, "w")'), (Path.touch, '{}'),
    (torch.load, '{}')
], ids=lambda part: getattr(part, '__name__', ''))
def test_code_is_not_run(tmp_path, function, args, zipped):
    mark = tmp_path / 'attacked'
    args = Path(mark) if function is Path.touch else args.format(str(mark))
    path = tmp_path / 'model.pth.tar-50'
    torch.save(dict(state_dict=dict(ctx=torch.ones(4, 8)), epoch=50,
                    scheduler=Attack(function, args)), path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match='asks for|would run code'):
        read_published(path)
    assert not mark.exists()
    if function is not torch.load:  # without the check it does harm
        torch.load(path, weights_only=False)
        assert mark.exists()


def test_old_files(tmp_path):
    """Of torch before 1.6: no archive."""
    ctx = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([ctx], 1., momentum=.9)
    ctx.sum().backward()
    optimizer.step()  # its momentum is kept in a defaultdict
    torch.save(dict(
        state_dict=dict(ctx=torch.ones(4, 8)), epoch=7,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)),
        tmp_path / 'old.tar', _use_new_zipfile_serialization=False)
    assert read_published(tmp_path / 'old.tar').epoch == 7
