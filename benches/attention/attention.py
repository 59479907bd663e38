"""The attention of main.rs in PyTorch, by the skew: attention.py [positions] [repeats]. OMP_NUM_THREADS sets the threads."""
import os
import resource
import statistics
import sys
import time

import torch

positions = int(sys.argv[1]) if len(sys.argv) > 1 else 512
repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
heads, size = 8, 64
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
torch.manual_seed(1)
ahead = torch.ones(positions, positions, dtype=torch.bool).triu(1)


def attend(q, k, v, e):
    """q, k, v [1, heads, positions, size], e [heads, positions, size] with the farthest distance first."""
    far = torch.nn.functional.pad(q @ e.transpose(1, 2), (1, 0))
    far = far.reshape(1, heads, positions + 1, positions)[:, :, 1:]
    logits = (q @ k.transpose(2, 3) + far) / size**0.5
    return logits.masked_fill(ahead, float("-inf")).softmax(-1) @ v


operands = [torch.rand(1, heads, positions, size) * 2 - 1 for _ in range(3)]
operands.append(torch.rand(heads, positions, size) * 2 - 1)


def clock(f):
    f()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


@torch.no_grad()
def forward():
    attend(*operands)


def both():
    tracked = [x.clone().requires_grad_() for x in operands]
    attend(*tracked).sum().backward()


f, b = clock(forward), clock(both)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(f"PyTorch: {positions} positions, forward {f:.1f} ms, with gradients {b:.1f} ms, peak {peak} MiB")
