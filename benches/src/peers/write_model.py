"""Writes a model with other sizes of its inputs, and other weights where their shapes are given.

Arguments: the model, the file to write, the inputs' names and shapes, the weights' names and shapes where they shall have
others than in the model, and pairs of an old and a new width for weights whose names the export has changed.
"""

import json
import sys

import numpy
import onnx

model, written = sys.argv[1:3]
shapes, wider, widths = json.loads(sys.argv[3]), json.loads(sys.argv[4]), dict(json.loads(sys.argv[5]))
generator = numpy.random.default_rng(1)
m = onnx.load(model)
fixed = {}
for value in m.graph.input:
    fixed[tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)] = shapes[value.name]
    for axis, length in zip(value.type.tensor_type.shape.dim, shapes[value.name]):
        axis.dim_value = length
for value in m.graph.output:
    value.type.tensor_type.ClearField("shape")
del m.graph.value_info[:]
for weight in m.graph.initializer if wider else []:
    shape = wider.get(weight.name.removeprefix("m."))
    if shape is None:
        shape = [widths.get(n, n) for n in weight.dims[:2]] + list(weight.dims[2:])
    values = generator.uniform(-0.1, 0.1, shape).astype(numpy.float32)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
# exports reshape to the input's shape as a constant
for node in m.graph.node:
    if node.op_type == "Constant" and node.attribute[0].name == "value":
        shape = tuple(onnx.numpy_helper.to_array(node.attribute[0].t).reshape(-1).tolist())
        if shape in fixed:
            node.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(numpy.array(fixed[shape], dtype=numpy.int64)))
onnx.save(m, written)
