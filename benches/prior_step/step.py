"""The priors and the training step of main.rs in PyTorch: step.py [top|middle|bottom|large] [steps]. OMP_NUM_THREADS sets the
threads. Attention by the skew, AdamW, gradients clipped, as there."""
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

name = sys.argv[1] if len(sys.argv) > 1 else "large"
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 10
large = name == "large"
level = 2 if large else ["bottom", "middle", "top"].index(name)
width, depth, heads, context, batch = (256, 6, 8, 512, 4) if large else (128, 2, 4, 256, 8)
codewords = [512, 1024, 2048]
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
torch.manual_seed(1)
ahead = torch.ones(context, context, dtype=torch.bool).triu(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.distances = nn.Parameter(torch.randn(heads, context, width // heads) * 0.02)

    def forward(self, x):
        h = self.norm_1(x)
        q, k, v = (f(h).view(batch, context, heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        far = F.pad(q @ self.distances.flip(1).transpose(1, 2), (1, 0))
        far = far.reshape(batch, heads, context + 1, context)[:, :, 1:]
        logits = (q @ k.transpose(2, 3) + far) / (width // heads) ** 0.5
        seen = logits.masked_fill(ahead, float("-inf")).softmax(-1) @ v
        x = x + self.out(seen.transpose(1, 2).reshape(batch, context, width))
        h = self.up(self.norm_2(x))
        return x + self.down(h * torch.sigmoid(1.702 * h))


class Residual(nn.Module):
    def __init__(self, dilation):
        super().__init__()
        self.a, self.b = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation), nn.Conv1d(width, width, 1)

    def forward(self, x):
        return x + self.b(F.relu(self.a(F.relu(x))))


class Prior(nn.Module):
    def __init__(self):
        super().__init__()
        self.codes, self.genres = nn.Embedding(codewords[level], width), nn.Embedding(1, width)
        self.blocks = nn.ModuleList(Block() for _ in range(depth))
        self.norm, self.logits = nn.LayerNorm(width), nn.Linear(width, codewords[level])
        self.conditioned = level < 2
        if self.conditioned:
            self.upper = nn.Embedding(codewords[level + 1], width)
            layers = [nn.Conv1d(width, width, 3, padding=1)]
            for _ in range(2):
                layers += [Residual(1), Residual(3), nn.ConvTranspose1d(width, width, 4, 2, 1)]
            self.conditioner, self.conditioner_norm = nn.Sequential(*layers), nn.LayerNorm(width)

    def forward(self, codes, upper):
        first = self.genres(torch.zeros(batch, 1, dtype=torch.long))
        x = torch.cat([first, self.codes(codes[:, :-1])], 1)
        if self.conditioned:
            x = x + self.conditioner_norm(self.conditioner(self.upper(upper).transpose(1, 2)).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        return self.logits(self.norm(x))


model = Prior()
optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.002)
times = []
for _ in range(steps + 1):
    codes = torch.randint(codewords[level], (batch, context))
    upper = torch.randint(codewords[min(level + 1, 2)], (batch, context // 4))
    start = time.perf_counter()
    loss = F.cross_entropy(model(codes, upper).flatten(0, 1), codes.flatten())
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    times.append((time.perf_counter() - start) * 1e3)
print(f"PyTorch: {name}, step {statistics.median(times[1:]):.1f} ms")
