"""Times a model in onnxruntime. Arguments: the model, threads, runs; prints seconds and MiB as JSON."""

import json
import sys
import time

import numpy
import onnxruntime


def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


model, threads, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
before = peak_mib()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
generator = numpy.random.default_rng(1)
images = {i.name: generator.random(i.shape, dtype=numpy.float32) * 0.5 for i in session.get_inputs()}
clock = time.process_time if threads == 1 else time.perf_counter
best = float("inf")
for _ in range(runs + 1):
    start = clock()
    session.run(None, images)
    best = min(best, clock() - start)
print(json.dumps({"seconds": best, "MiB": peak_mib() - before}))
