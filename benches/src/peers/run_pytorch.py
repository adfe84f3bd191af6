"""Times a model in PyTorch. Arguments: the model, threads, runs; prints seconds and MiB as JSON.

Without PyTorch and onnx2torch it prints null.
"""

import json
import sys
import time

try:
    import onnx
    import onnx2torch
    import torch
except ImportError:
    print("null")
    sys.exit()


def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


model, threads, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
before = peak_mib()
torch.set_num_threads(threads)
proto = onnx.load(model)
constants = {weight.name for weight in proto.graph.initializer}
inputs = [value for value in proto.graph.input if value.name not in constants]
shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in inputs]
network = onnx2torch.convert(proto).eval()
images = [torch.rand(shape) * 0.5 for shape in shapes]
clock = time.process_time if threads == 1 else time.perf_counter
best = float("inf")
with torch.inference_mode():
    for _ in range(runs + 1):
        start = clock()
        network(*images)
        best = min(best, clock() - start)
print(json.dumps({"seconds": best, "MiB": peak_mib() - before}))
