"""Text work over ranks: one process, plain DDP, and classes shared.

    python tools/benchmarks/multi_gpu.py                # 2 processes, CPU
    python tools/benchmarks/multi_gpu.py --processes 8 --device cuda

One step = text forward + backward of all classes, and the mean over ranks of
the context's gradient, as DDP takes it. On CPUs each process has one thread.
Then a model of 8 GPUs: measured compute of one rank's share, plus what must
travel at --bandwidth and --latency.
"""
import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from common import arguments, context, random_clip, report, seconds

from mmcoop.clip import TextDivider


def measure(rank: int, args, ranks: int, shared: bool, results) -> None:
    device = args.device
    if device == 'cuda':
        device = f'cuda:{rank}'
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(args.port),
                      LOCAL_RANK=str(rank))
    dist.init_process_group('nccl' if 'cuda' in device else 'gloo',
                            rank=rank, world_size=ranks)
    tower = random_clip(args.model, device).text_tower
    prompt = context(tower, args.classes, n_ctx=16)
    divider = TextDivider()

    def step() -> None:
        prompt.ctx.grad = None
        features = divider.encode(tower, prompt(tower)[0], shared=shared)
        features.sum().backward()
        dist.all_reduce(prompt.ctx.grad)

    time = seconds(step, device, args.repeats)
    if rank == 0:
        results['time'] = time
        results['width'] = features_width(tower)
    dist.destroy_process_group()


def features_width(tower) -> int:
    return tower.text_projection.shape[-1]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--classes', type=int, default=500)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--port', type=int, default=29511)
    parser.add_argument('--gpus', type=int, default=8, help='of the model')
    parser.add_argument('--bandwidth', type=float, default=10.,
                        help='GB/s between ranks, for the model')
    parser.add_argument('--latency', type=float, default=50.,
                        help='microseconds a collective, for the model')
    args = parser.parse_args()
    if args.device == 'cuda' and torch.cuda.device_count() < args.processes:
        parser.error(f'{torch.cuda.device_count()} GPUs here, --processes '
                     f'{args.processes} wanted')
    n, rows = args.processes, []
    with mp.Manager() as manager:
        results = manager.dict()

        def timed(ranks: int, shared: bool) -> float:
            mp.spawn(measure, (args, ranks, shared, results), nprocs=ranks)
            return results['time']

        one = timed(1, False)
        for name, shared in (('plain DDP', False), ('classes shared', True)):
            time = timed(n, shared)
            rows.append({'': f'{n} processes, {name}', 'step (s)': time,
                         'against one': one / time,
                         'efficiency': one / time / n})
        rows.insert(0, {'': '1 process', 'step (s)': one, 'against one': 1.})
        width = results['width']
    report(rows, args)
    size = args.classes * width * 4
    g = args.gpus
    # ring: all_gather moves (g-1)/g of the features, all_reduce twice that
    travel = 3 * size * (g - 1) / g / args.bandwidth / 1e9 \
        + 2e-6 * args.latency
    share = one / g
    print(f'model of {g} ranks like the one above: {share:.4g} s compute + '
          f'{travel:.4g} s for {size / 2**20:.2f} MiB of features (gather, '
          f'and sum of gradients) = {share + travel:.4g} s a step, '
          f'{one / (share + travel):.2f} times one rank')


if __name__ == '__main__':
    main()
