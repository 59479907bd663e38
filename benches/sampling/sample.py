"""Sampling with a key/value cache as in main.rs, in PyTorch, the songs in one batch: sample.py [quickstart|large] [seconds]
[songs]. OMP_NUM_THREADS sets the threads. Windows overlap by half; a window's known half goes through the layers at once. Of
the quickstart's three levels the codes are sampled without what the level above adds to a position."""
import os
import sys
import time

import torch
from torch.nn import functional as F

large = len(sys.argv) > 1 and sys.argv[1] == "large"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else (3.0 if large else 1.0)
songs = int(sys.argv[3]) if len(sys.argv) > 3 else 4
width, depth, heads, context = (256, 6, 8, 512) if large else (128, 2, 4, 256)
size = width // heads
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
torch.manual_seed(1)


def matrix(rows, columns):
    return torch.randn(rows, columns) / columns**0.5


class Level:
    def __init__(self, codewords):
        self.codes = torch.randn(codewords, width)
        self.blocks = [
            (matrix(3 * width, width), matrix(width, width), matrix(4 * width, width), matrix(width, 4 * width),
             torch.randn(heads, context, size) * 0.02)
            for _ in range(depth)
        ]
        self.logits = matrix(codewords, width) * 0.02
        self.keys = [torch.zeros(songs, heads, context, size) for _ in range(depth)]
        self.values = [torch.zeros(songs, heads, context, size) for _ in range(depth)]

    def forward(self, x, at):
        """x [songs, n, width], the positions from `at` on."""
        n = x.shape[1]
        reach = torch.arange(at, at + n)[:, None] - torch.arange(at + n)[None, :]
        for (qkv, out, up, down, distances), keys, values in zip(self.blocks, self.keys, self.values):
            h = F.layer_norm(x, (width,))
            q, k, v = F.linear(h, qkv).view(songs, n, 3, heads, size).permute(2, 0, 3, 1, 4)
            keys[:, :, at : at + n], values[:, :, at : at + n] = k, v
            if n == 1:
                far = q @ distances[:, : at + 1].flip(1).transpose(1, 2)
            else:
                far = torch.einsum("bhic,hijc->bhij", q, distances[:, reach.clamp(min=0)])
            logits = (q @ keys[:, :, : at + n].transpose(2, 3) + far) / size**0.5
            if n > 1:
                logits = logits.masked_fill(reach < 0, float("-inf"))
            seen = logits.softmax(-1) @ values[:, :, : at + n]
            x = x + F.linear(seen.transpose(1, 2).reshape(songs, n, width), out)
            h = F.linear(F.layer_norm(x, (width,)), up)
            x = x + F.linear(h * torch.sigmoid(1.702 * h), down)
        return x

    def pick(self, x):
        shares = F.linear(F.layer_norm(x[:, -1], (width,)), self.logits).softmax(-1)
        sorted_shares, order = shares.sort(descending=True)
        sorted_shares[sorted_shares.cumsum(-1) - sorted_shares >= 0.9] = 0
        return order.gather(1, torch.multinomial(sorted_shares, 1))[:, 0]

    def sample(self, total):
        codes = torch.zeros(songs, 0, dtype=torch.long)
        while codes.shape[1] < total:
            first = max(codes.shape[1] - context // 2, 0)
            known = codes.shape[1] - first
            if known:
                self.forward(self.codes[torch.cat([codes[:, :1] * 0, codes[:, first : first + known - 1]], 1)], 0)
            for at in range(known, min(context, total - first)):
                given = codes[:, -1:] if codes.shape[1] else torch.zeros(songs, 1, dtype=torch.long)
                code = self.pick(self.forward(self.codes[given], at))
                codes = torch.cat([codes, code[:, None]], 1)
        return codes.numel()


with torch.no_grad():
    frames = int(seconds * 44100)
    frames = -(-frames // 128) * 128
    levels = [(128, 2048)] if large else [(128, 2048), (32, 1024), (8, 512)]
    models = [(frames // hop, Level(codewords)) for hop, codewords in levels]
    start = time.perf_counter()
    codes = sum(model.sample(total) for total, model in models)
    took = time.perf_counter() - start
print(f"PyTorch: {codes} codes, {codes / took:.0f} codes/s, {took:.2f} s")
