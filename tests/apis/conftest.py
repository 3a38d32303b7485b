"""A short run's photos, and its checkpoint with another record."""
import pytest
import torch


@pytest.fixture
def files(small_run):
    return sorted(map(str, small_run.parent.glob('photos/*/*.png')))


@pytest.fixture
def edit(small_run, tmp_path):
    """Write a copy of the checkpoint with another record."""

    def write(**changes):
        content = torch.load(small_run / 'epoch_2.pth')
        record = content['meta']['mmcoop']
        for key, value in changes.items():
            part, *rest = key.split('__')
            if rest:
                record[part][rest[0]] = value
            else:
                record[part] = value
        torch.save(content, tmp_path / 'edited.pth')
        return tmp_path / 'edited.pth'

    return write
