"""The network and the step of main.rs in PyTorch: step.py [quickstart|large] [steps]. OMP_NUM_THREADS sets the threads."""
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

large = len(sys.argv) > 1 and sys.argv[1] == "large"
steps = int(sys.argv[2]) if len(sys.argv) > 2 else (3 if large else 10)
width, depth, samples = (64, 4, 65536) if large else (32, 2, 8192)
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self, dilation):
        super().__init__()
        self.a = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.b = nn.Conv1d(width, width, 1)

    def forward(self, x):
        return x + self.b(F.relu(self.a(F.relu(x))))


def level(downs):
    blocks = lambda: [Block(3**i) for i in range(depth)]
    down = [m for i in range(downs) for m in [nn.Conv1d(1 if i == 0 else width, width, 4, 2, 1), *blocks()]]
    up = [m for _ in range(downs) for m in [*blocks(), nn.ConvTranspose1d(width, width, 4, 2, 1)]]
    encoder = nn.Sequential(*down, nn.Conv1d(width, 64, 3, padding=1))
    decoder = nn.Sequential(nn.Conv1d(64, width, 3, padding=1), *up, nn.Conv1d(width, 1, 3, padding=1))
    return nn.ModuleList([encoder, decoder])


codebook = (torch.rand(2048, 64) * 2 - 1) * 0.1
norms = codebook.square().sum(1)


def quantise(z):
    rows = z.transpose(1, 2).reshape(-1, 64)
    codes = (norms - 2 * rows @ codebook.t()).argmin(1)
    return codebook[codes].reshape(z.shape[0], -1, 64).transpose(1, 2)


windows = [(n, hop, torch.hann_window(w)) for n, hop, w in [(2048, 240, 1200), (1024, 120, 600), (512, 50, 240)]]


def magnitude(x, n, hop, window):
    s = torch.stft(x, n, hop, len(window), window, center=True, pad_mode="reflect", return_complex=True)
    return (s.real.square() + s.imag.square() + 1e-20).sqrt()


x = (torch.rand(4, 1, samples) * 2 - 1) * 0.3
levels = [level(d) for d in (3, 5, 7)]
optimisers = [torch.optim.Adam(m.parameters(), lr=3e-4) for m in levels]


def step():
    for (encoder, decoder), optimiser in zip(levels, optimisers):
        z = encoder(x)
        q = quantise(z.detach())
        y = decoder(z + (q - z).detach())
        loss = (y - x).square().mean() + (z - q).square().mean() * 0.25
        for n, hop, w in windows:
            e = magnitude(y.squeeze(1), n, hop, w) - magnitude(x.squeeze(1), n, hop, w)
            loss = loss + e.square().mean() * 0.1
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def encode():
    for encoder, _ in levels:
        quantise(encoder(x))


def clock(f):
    f()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        f()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


print(f"PyTorch: step {clock(step):.1f} ms; encode {clock(encode):.1f} ms")
