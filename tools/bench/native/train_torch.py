"""A training step of RWKV-7 in plain PyTorch on the CPU, for comparison; prints one line of JSON.

The model is that of the arXiv paper 2503.14456, with the sizes that src/training/measure.ts has; AdamW with PyTorch's own
fused or looped optimiser. `--recurrence loop` goes token by token, as anyone writes it without a kernel; `none` leaves the
state out, which shows what the recurrence costs.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional


class TimeMix(nn.Module):
    def __init__(self, channels: int, layer: int, recurrence: str):
        super().__init__()
        self.heads, self.layer, self.recurrence = channels // 64, layer, recurrence
        vector = lambda scale=0.5: nn.Parameter(torch.rand(channels) * scale)
        self.mixes = nn.Parameter(torch.rand(6, channels))
        self.receptance, self.key, self.value, self.output = (
            nn.Linear(channels, channels, bias=False) for _ in range(4)
        )
        rank = lambda size: (nn.Linear(channels, size, bias=False), nn.Linear(size, channels, bias=False))
        self.w1, self.w2 = rank(32)
        self.a1, self.a2 = rank(32)
        self.v1, self.v2 = rank(32)
        self.g1, self.g2 = rank(64)
        self.w0, self.a0, self.v0, self.k_k, self.k_a, self.r_k = (vector() for _ in range(6))
        self.norm = nn.GroupNorm(self.heads, channels, eps=64e-5)

    def forward(self, x, first_value):
        batch, tokens, channels = x.shape
        shifted = functional.pad(x, (0, 0, 1, -1)) - x
        xr, xw, xk, xv, xa, xg = (x + shifted * mix for mix in self.mixes)
        r, k, v = self.receptance(xr), self.key(xk), self.value(xv)
        w = torch.exp(-0.6065306597126334 * torch.sigmoid(self.w0 + self.w2(torch.tanh(self.w1(xw)))))
        rate = torch.sigmoid(self.a0 + self.a2(self.a1(xa)))
        gate = self.g2(torch.sigmoid(self.g1(xg)))
        if self.layer == 0:
            first_value = v
        else:
            v = v + (first_value - v) * torch.sigmoid(self.v0 + self.v2(self.v1(xv)))
        by_head = lambda t: t.view(batch, tokens, self.heads, 64)
        removal = functional.normalize(by_head(k * self.k_k), dim=-1)
        k = k * (1 + (rate - 1) * self.k_a)
        r, w, k, v, rate = (by_head(t) for t in (r, w, k, v, rate))
        y = self.attend(r, w, k, v, -removal, removal * rate)
        y = self.norm(y.reshape(batch * tokens, channels)).view(batch, tokens, channels)
        own = (r * k * self.r_k.view(self.heads, 64)).sum(-1, keepdim=True) * v
        return self.output((y + own.reshape(batch, tokens, channels)) * gate), first_value

    def attend(self, r, w, k, v, a, b):
        if self.recurrence == "none":
            return r + w + k + v + a + b
        batch, tokens, heads, size = r.shape
        state = r.new_zeros(batch, heads, size, size)
        rows = []
        for t in range(tokens):
            removed = state @ a[:, t].unsqueeze(-1)
            state = state * w[:, t].unsqueeze(-2) + removed * b[:, t].unsqueeze(-2)
            state = state + v[:, t].unsqueeze(-1) * k[:, t].unsqueeze(-2)
            rows.append((state @ r[:, t].unsqueeze(-1)).squeeze(-1))
        return torch.stack(rows, 1)


class ChannelMix(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.mix = nn.Parameter(torch.rand(channels))
        self.key = nn.Linear(channels, channels * 4, bias=False)
        self.value = nn.Linear(channels * 4, channels, bias=False)

    def forward(self, x):
        shifted = functional.pad(x, (0, 0, 1, -1))
        return self.value(torch.relu(self.key(x + (shifted - x) * self.mix)) ** 2)


class Model(nn.Module):
    def __init__(self, vocabulary: int, channels: int, layers: int, recurrence: str):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, channels)
        self.first, self.last = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.time = nn.ModuleList(TimeMix(channels, layer, recurrence) for layer in range(layers))
        self.channel = nn.ModuleList(ChannelMix(channels) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2 * layers))
        self.head = nn.Linear(channels, vocabulary, bias=False)

    def forward(self, tokens):
        x, first_value = self.first(self.embedding(tokens)), None
        for layer, (time_mix, channel_mix) in enumerate(zip(self.time, self.channel)):
            y, first_value = time_mix(self.norms[2 * layer](x), first_value)
            x = x + y
            x = x + channel_mix(self.norms[2 * layer + 1](x))
        return self.head(self.last(x))


def main():
    parser = argparse.ArgumentParser()
    for name in ("batch", "vocabulary", "context", "channels", "layers", "threads", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--recurrence", choices=("loop", "none"), default="loop")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = Model(options.vocabulary, options.channels, options.layers, options.recurrence)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.99), weight_decay=0.1)
    tokens = torch.randint(options.vocabulary, (options.batch, options.context))
    targets = torch.randint(options.vocabulary, (options.batch * options.context,))
    times = []
    for _ in range(options.steps + 1):
        begin = time.perf_counter()
        loss = functional.cross_entropy(model(tokens).view(-1, options.vocabulary), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        times.append(time.perf_counter() - begin)
    step = statistics.median(times[1:])
    rate = options.batch * options.context / step
    print(json.dumps({"stepMilliseconds": step * 1e3, "tokensPerSecond": rate, "version": torch.__version__}))


main()
