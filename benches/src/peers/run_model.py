"""Times a model in another program, with memory; prints seconds and MiB as JSON, or null where the program is not there.

Arguments: onnxruntime or pytorch (which needs onnx2torch to read the model), the model, threads, runs.
"""

import importlib
import json
import sys
import time

import numpy

LIBRARIES = {"onnxruntime": ["onnxruntime"], "pytorch": ["onnx", "onnx2torch", "torch"]}


def peak_mib():
    """Peak memory of this process."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def images(shapes):
    """Noise of these shapes."""
    generator = numpy.random.default_rng(1)
    return [generator.random(shape, dtype=numpy.float32) * 0.5 for shape in shapes]


def in_onnxruntime(model, threads):
    """A function that runs the model once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    given = dict(zip([i.name for i in inputs], images([i.shape for i in inputs])))
    return lambda: session.run(None, given)


def in_pytorch(model, threads):
    """A function that runs the model once."""
    import onnx
    import onnx2torch
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    proto = onnx.load(model)
    constants = {weight.name for weight in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in inputs]
    network = onnx2torch.convert(proto).eval()
    given = [torch.tensor(image) for image in images(shapes)]
    return lambda: network(*given)


peer, model, threads, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
try:
    for library in LIBRARIES[peer]:
        importlib.import_module(library)
except ImportError:
    print("null")
    sys.exit()
before = peak_mib()
run = {"onnxruntime": in_onnxruntime, "pytorch": in_pytorch}[peer](model, threads)
clock = time.process_time if threads == 1 else time.perf_counter
best = float("inf")
for _ in range(runs + 1):
    start = clock()
    run()
    best = min(best, clock() - start)
print(json.dumps({"seconds": best, "MiB": peak_mib() - before}))
