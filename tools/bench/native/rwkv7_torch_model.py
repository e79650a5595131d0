"""RWKV-7 in plain PyTorch, many sequences at once (arXiv 2503.14456, section 4), and random weights of any size.

Tensors have the names, shapes and orientation of official checkpoints: matrices [out, in], low-rank pairs [in, out].
Letters: B sequences, T tokens, C channels, H heads of N channels, V vocabulary, F channel-mix width.
"""
import json
import math
import struct

import torch
from torch.nn import functional

MIXES = ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g")
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def tensor_shapes(config):
    """Name to shape of every tensor of a model whose sizes are those of the configuration."""
    channels, width = config["channels"], config["channelMixSize"]
    heads, size, ranks = config["heads"], config["headSize"], config["ranks"]
    table = (config["vocabularySize"], channels)
    shapes = {"emb.weight": table}

    def norm(name):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (channels,)

    norm("blocks.0.ln0")
    for layer in range(config["layers"]):
        block = f"blocks.{layer}"
        for name in ("ln1", "ln2", "att.ln_x"):
            norm(f"{block}.{name}")
        vectors = [*MIXES, "w0", "a0", "k_k", "k_a"]
        pairs = [("w", ranks["decay"]), ("a", ranks["rate"]), ("g", ranks["gate"])]
        if layer > 0:
            vectors.append("v0")
            pairs.append(("v", ranks["valueResidual"]))
        for name in vectors:
            shapes[f"{block}.att.{name}"] = (1, 1, channels)
        for name, rank in pairs:
            shapes[f"{block}.att.{name}1"] = (channels, rank)
            shapes[f"{block}.att.{name}2"] = (rank, channels)
        shapes[f"{block}.att.r_k"] = (heads, size)
        for name in ("receptance", "key", "value", "output"):
            shapes[f"{block}.att.{name}.weight"] = (channels, channels)
        shapes[f"{block}.ffn.x_k"] = (1, 1, channels)
        shapes[f"{block}.ffn.key.weight"] = (width, channels)
        shapes[f"{block}.ffn.value.weight"] = (channels, width)
    norm("ln_out")
    shapes["head.weight"] = table
    return shapes


def random_tensors(config, *, device, dtype):
    """Numbers that stay finite in f16: norms are the identity, matrices keep the scale of what goes through them."""
    torch.manual_seed(1)
    tensors = {}
    for name, shape in tensor_shapes(config).items():
        values = torch.rand(shape, device=device, dtype=dtype)
        if ".ln" in name or name.startswith("ln_"):
            values.fill_(1 if name.endswith(".weight") else 0)
        elif len(shape) == 2 and not name.endswith("r_k"):
            fan_in = shape[1] if name.endswith(".weight") else shape[0]
            values.sub_(0.5).mul_(math.sqrt(12 / fan_in))
        tensors[name] = values
    return tensors


def read_safetensors(path):
    """Tensors of a file of f32, f16 and bf16: u64 length of the header, JSON, bytes."""
    dtypes = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        values = torch.frombuffer(data[start:end], dtype=dtypes[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


class States:
    """Zeros. Time-mix and channel-mix inputs of the last token [L, B, C]; matrices [L, B·H, N(value), N(key)] in f32."""

    def __init__(self, model, sequences):
        layers, heads, size = model.layers, model.heads, model.size
        options = {"device": model.device}
        self.time_shift = torch.zeros(layers, sequences, heads * size, dtype=model.dtype, **options)
        self.channel_shift = torch.zeros_like(self.time_shift)
        self.matrices = torch.zeros(layers, sequences * heads, size, size, **options)


class Model:
    def __init__(self, tensors, config, *, device, dtype):
        self.device, self.dtype = device, dtype
        self.layers, self.heads, self.size = config["layers"], config["heads"], config["headSize"]
        self.epsilon, self.head_epsilon = config["normEpsilon"], config["headNormEpsilon"]
        self.tensors = {name: tensor.to(device, dtype) for name, tensor in tensors.items()}
        self.mixes = [
            torch.stack([self.tensors[f"blocks.{layer}.att.{name}"] for name in MIXES])
            for layer in range(self.layers)
        ]
        self.embedding = self.norm(self.tensors["emb.weight"], "blocks.0.ln0")

    def norm(self, x, name):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.epsilon)

    def linear(self, x, name):
        return functional.linear(x, self.tensors[f"{name}.weight"])

    def forward(self, tokens, states):
        """Tokens [B, T] to the logits of the last ones [B, V]; the states go on."""
        x, first_value = self.embedding[tokens], None
        for layer in range(self.layers):
            name = f"blocks.{layer}"
            mixed, first_value = self.time_mix(self.norm(x, f"{name}.ln1"), layer, first_value, states)
            x = x + mixed
            x = x + self.channel_mix(self.norm(x, f"{name}.ln2"), layer, states)
        return self.linear(self.norm(x[:, -1], "ln_out"), "head")

    def time_mix(self, x, layer, first_value, states):
        name = f"blocks.{layer}.att"
        weight = lambda suffix: self.tensors[f"{name}.{suffix}"]
        heads = lambda values: values.reshape(*values.shape[:2], self.heads, self.size)
        difference = shifted(x, states.time_shift[layer]) - x
        xr, xw, xk, xv, xa, xg = torch.addcmul(x, difference, self.mixes[layer])
        r, k, v = (self.linear(values, f"{name}.{kind}")
                   for values, kind in ((xr, "receptance"), (xk, "key"), (xv, "value")))
        decay = torch.exp(
            -math.exp(-0.5) * torch.sigmoid((weight("w0") + torch.tanh(xw @ weight("w1")) @ weight("w2")).float())
        )
        rate = torch.sigmoid(weight("a0") + xa @ weight("a1") @ weight("a2"))
        gate = torch.sigmoid(xg @ weight("g1")) @ weight("g2")
        if layer == 0:
            first_value = v
        else:
            v = v + (first_value - v) * torch.sigmoid(weight("v0") + xv @ weight("v1") @ weight("v2"))
        removal = functional.normalize(heads(k * weight("k_k")).float(), dim=-1, eps=1e-12)
        k = k * (1 + (rate - 1) * weight("k_a"))
        y = recurrence(
            states.matrices[layer],
            *(heads(values).float() for values in (decay, k, v, r)),
            removal,
            removal * heads(rate).float(),
        ).to(self.dtype)
        y = functional.group_norm(
            y.flatten(0, 1).flatten(1), self.heads, weight("ln_x.weight"), weight("ln_x.bias"), self.head_epsilon
        ).reshape(x.shape)
        bonus = (heads(r * k) * weight("r_k")).sum(-1, keepdim=True) * heads(v)
        return self.linear((y + bonus.reshape(x.shape)) * gate, f"{name}.output"), first_value

    def channel_mix(self, x, layer, states):
        name = f"blocks.{layer}.ffn"
        difference = shifted(x, states.channel_shift[layer]) - x
        mixed = torch.addcmul(x, difference, self.tensors[f"{name}.x_k"])
        return self.linear(torch.relu(self.linear(mixed, f"{name}.key")) ** 2, f"{name}.value")


def shifted(x, last):
    """x [B, T, C] a token later, after the last one of before [B, C], which becomes that of x."""
    previous = torch.cat([last.unsqueeze(1), x[:, :-1]], 1)
    last.copy_(x[:, -1])
    return previous


def recurrence(state, decay, k, v, r, removal, replacement):
    """S ← S diag(w) − (S κ)(κ ⊙ a)ᵀ + v kᵀ, y = S r, token by token; [B, T, H, N] in f32, S [B·H, N, N] in place."""
    sequences, length, heads, size = k.shape
    each = lambda values: values.transpose(0, 1).reshape(length, sequences * heads, size)
    decay, k, v, r, removal, replacement = map(each, (decay, k, v, r, removal, replacement))
    rows = torch.stack([-replacement, k], 2)
    outputs = []
    for token in range(length):
        removed = torch.bmm(state, removal[token].unsqueeze(2))
        columns = torch.cat([removed, v[token].unsqueeze(2)], 2)
        state.mul_(decay[token].unsqueeze(1)).baddbmm_(columns, rows[token])
        outputs.append(torch.bmm(state, r[token].unsqueeze(2)))
    return torch.stack(outputs).reshape(length, sequences, heads, size).transpose(0, 1)
