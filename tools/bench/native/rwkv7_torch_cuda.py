"""RWKV-7 in PyTorch as the peer of `dist/cuda.js speed`: prints a line of JSON for each test (the protocol: README.md).

The official path is the class of the package `rwkv`, which computes one sequence: it does `decode 1` and the prompts where
the package can be imported, with its own CUDA kernel where that compiles. Larger batches, and everything without the
package, are the plain model in rwkv7_torch_model.py. Logits stay on the device.

With --weights nothing is timed: prints the logits of that model for --sequences (`1,2;3,4`, of one length), read as
prompts and token by token in one batch.
"""
import argparse
import gc
import json
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import torch

from rwkv7_torch_model import DTYPES, Model, States, random_tensors, read_safetensors


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    integers = lambda text: [int(word) for word in text.split(",") if word]
    parser.add_argument("--shape", default="", help="name of the sizes")
    parser.add_argument("--config", type=json.loads, required=True, help="the sizes, as JSON")
    parser.add_argument("--format", default="f16", help="others than f32, f16 and bf16 are left out")
    parser.add_argument("--batch", type=integers, default=[])
    parser.add_argument("--prefill", type=integers, default=[])
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--device", default="cuda:0", help="cuda:N or cpu")
    parser.add_argument("--engine", choices=("auto", "plain"), default="auto", help="plain: without the package rwkv")
    parser.add_argument("--folder", help="where the file for the package rwkv is kept from one start to the next")
    parser.add_argument("--weights", help="safetensors in the official layout")
    parser.add_argument("--sequences", type=lambda text: [integers(each) for each in text.split(";")], default=[])
    return parser.parse_args()


def say(**values):
    print(json.dumps(values), flush=True)


def spread_token(index, vocabulary):
    """The tokens that the other side gets (src/common/batches.ts)."""
    return (index + 1) * 7919 % vocabulary


class Plain:
    """The model of rwkv7_torch_model.py: a step of any batch, a prompt from an empty state."""

    def __init__(self, arguments, dtype):
        self.config, self.device = arguments.config, arguments.device
        tensors = random_tensors(self.config, device=self.device, dtype=dtype)
        self.model = Model(tensors, self.config, device=self.device, dtype=dtype)

    def tokens(self, count):
        numbers = [spread_token(index, self.config["vocabularySize"]) for index in range(count)]
        return torch.tensor(numbers, device=self.device)

    def decode(self, sequences):
        states, tokens = States(self.model, sequences), self.tokens(sequences).unsqueeze(1)
        return lambda: self.model.forward(tokens, states)

    def prefill(self, length):
        tokens = self.tokens(length).unsqueeze(0)
        return lambda: self.model.forward(tokens, States(self.model, 1))


class Official:
    """The class of the package `rwkv`: one sequence. It reads its weights from a file, which is written once."""

    def __init__(self, arguments, folder):
        self.vocabulary = arguments.config["vocabularySize"]
        self.version, self.kernel, model_class = import_official()
        path = os.path.join(folder, f"rwkv7-{arguments.shape}-{arguments.format}")
        if not os.path.exists(f"{path}.pth"):
            tensors = random_tensors(arguments.config, device=arguments.device, dtype=DTYPES[arguments.format])
            torch.save({name: tensor.cpu() for name, tensor in tensors.items()}, f"{path}.part")
            os.replace(f"{path}.part", f"{path}.pth")
        precision = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}[arguments.format]
        self.model = model_class(model=path, strategy=f"cuda {precision}")

    def decode(self, _):
        token, state = spread_token(0, self.vocabulary), None

        def once():
            nonlocal state
            logits, state = self.model.forward([token], state)
            return logits

        return once

    def prefill(self, length):
        tokens = [spread_token(index, self.vocabulary) for index in range(length)]
        return lambda: self.model.forward(tokens, None)[0]


def import_official():
    """Version, whether its CUDA kernel is compiled, class. @raises ImportError"""
    from importlib import metadata

    from torch.utils import cpp_extension

    os.environ.update(RWKV_V7_ON="1", RWKV_JIT_ON="1")
    version = metadata.version("rwkv")
    for kernel in ("1", "0") if cpp_extension.CUDA_HOME else ("0",):
        os.environ["RWKV_CUDA_ON"] = kernel
        try:
            from rwkv.model import RWKV

            return version, kernel == "1", RWKV
        except Exception as error:
            if kernel == "0":
                raise ImportError(f"the package rwkv cannot be used: {error}") from error
            print(f"The CUDA kernel of the package rwkv was not compiled: {error}", file=sys.stderr)


def tokens_per_second(once, *, tokens, seconds, device):
    synchronise = torch.cuda.synchronize if device.startswith("cuda") else lambda: None

    def run(least):
        began, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - began < least:
            once()
            synchronise()
            steps += 1
        return steps * tokens / (time.perf_counter() - began)

    run(0)
    run(seconds / 5)
    return run(seconds)


def measure(engine, tests, arguments):
    """Prints a line for each test; one that does not fit is left out and told on the error output."""
    for kind, count in tests:
        name = f"{kind} {count}"
        try:
            once = getattr(engine, kind)(count)
            rate = tokens_per_second(once, tokens=count, seconds=arguments.seconds, device=arguments.device)
            say(test=name, rate=rate)
        except torch.cuda.OutOfMemoryError as error:
            print(f"{name}: {error}", file=sys.stderr)
        once = None
        free()


def free():
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def measure_official(tests, arguments):
    """What computed, in words, and whether all went well; whatever the package fails with, the plain model follows."""
    if arguments.engine == "plain" or not arguments.device.startswith("cuda"):
        return None, False
    try:
        with tempfile.TemporaryDirectory() as temporary:
            official = Official(arguments, arguments.folder or temporary)
        measure(official, tests, arguments)
        kernel = "with" if official.kernel else "without"
        return f"rwkv {official.version} ({kernel} its CUDA kernel) for one sequence", True
    except Exception as error:
        return f"without the package rwkv ({error})", False


def benchmark(arguments):
    if arguments.format not in DTYPES:
        return
    if arguments.device.startswith("cuda"):
        torch.cuda.set_device(arguments.device)
    tests = [("decode", count) for count in arguments.batch] + [("prefill", count) for count in arguments.prefill]
    single = [(kind, count) for kind, count in tests if kind == "prefill" or count == 1]
    parts = [f"PyTorch {torch.__version__}"]
    official, is_measured = measure_official(single, arguments)
    if official is not None:
        parts.append(official)
    # The weights of one model at a time: the states of large batches need the memory.
    free()
    rest = [test for test in tests if not (is_measured and test in single)]
    if rest:
        measure(Plain(arguments, DTYPES[arguments.format]), rest, arguments)
        parts.append("plain batched steps")
    say(engine=", ".join(parts))


def check(arguments):
    dtype = DTYPES[arguments.format]
    tensors = read_safetensors(arguments.weights)
    model = Model(tensors, arguments.config, device=arguments.device, dtype=dtype)
    tokens = torch.tensor(arguments.sequences, device=arguments.device)
    prompts = [model.forward(each.unsqueeze(0), States(model, 1))[0] for each in tokens]
    states = States(model, len(tokens))
    for column in tokens.split(1, 1):
        logits = model.forward(column, states)
    say(prefill=torch.stack(prompts).float().tolist(), decode=logits.float().tolist())


with torch.inference_mode():
    options = parse()
    check(options) if options.weights else benchmark(options)
