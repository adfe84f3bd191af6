//! Files made here, as they should be and as they should not.

use prost::Message as _;
use stfusion_core::{Error, ErrorKind};

use super::proto::{
    kind, Attribute, Dimension, Entry, Graph, Model as File, Node, OperatorSet, Shape, Tensor, TensorType, Type, ValueInfo,
};
use super::{Extent, Model};
use crate::reference::{self, Values};
use crate::tensor;

const FLOAT: i32 = 1;
const INT64: i32 = 7;

fn info(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfo {
    let dim = dims.iter().map(|&d| match d {
        -1 => Dimension { dim_value: None, dim_param: Some("side".into()) },
        value => Dimension { dim_value: Some(value), dim_param: None },
    });
    let shape = Some(Shape { dim: dim.collect() });
    ValueInfo { name: name.into(), ty: Some(Type { tensor: Some(TensorType { elem_type, shape }) }) }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Tensor {
    let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into();
    Tensor { name: name.into(), dims: dims.to_vec(), data_type: FLOAT, raw_data, ..Tensor::default() }
}

fn ints(name: &str, values: &[i64]) -> Tensor {
    Tensor {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: INT64,
        int64_data: values.to_vec(),
        ..Tensor::default()
    }
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    Node { op_type: op.into(), name: format!("/{op}"), input: names(inputs), output: names(outputs), ..Node::default() }
}

impl Node {
    fn with(mut self, name: &str, value: i64) -> Self {
        self.attribute.push(Attribute { name: name.into(), i: Some(value), kind: kind::INT, ..Attribute::default() });
        self
    }

    fn with_text(mut self, name: &str, value: &str) -> Self {
        let s = Some(value.as_bytes().to_vec().into());
        self.attribute.push(Attribute { name: name.into(), s, kind: kind::STRING, ..Attribute::default() });
        self
    }

    fn with_ints(mut self, name: &str, ints: &[i64]) -> Self {
        self.attribute.push(Attribute { name: name.into(), ints: ints.to_vec(), kind: kind::INTS, ..Attribute::default() });
        self
    }
}

fn file(nodes: Vec<Node>, initializer: Vec<Tensor>, input: Vec<ValueInfo>, outputs: &[&str]) -> File {
    let output = outputs.iter().map(|name| ValueInfo { name: (*name).into(), ty: None }).collect();
    File {
        ir_version: 8,
        producer_name: "test".into(),
        producer_version: "1".into(),
        graph: Some(Graph { node: nodes, initializer, input, output, ..Graph::default() }),
        opset_import: vec![OperatorSet { domain: String::new(), version: 17 }],
        ..File::default()
    }
}

/// `y = relu(conv(x, w, b))` on three bands, any size.
fn convolution() -> File {
    let conv = node("Conv", &["x", "w", "b"], &["c"]).with_ints("kernel_shape", &[1, 1]);
    let weights = floats("w", &[2, 3, 1, 1], &[1.0, 2.0, 3.0, -1.0, 0.0, 0.0]);
    let nodes = vec![conv, node("Relu", &["c"], &["y"])];
    file(nodes, vec![weights, floats("b", &[2], &[0.5, 0.0])], vec![info("x", FLOAT, &[1, 3, -1, -1])], &["y"])
}

fn refusal(file: &File) -> Error {
    let error = Model::from_bytes(file.encode_to_vec(), "n.onnx").unwrap_err();
    assert!(error.message().starts_with("n.onnx: ") && error.hint().is_some(), "{error}");
    error
}

fn assert_refused(file: &File, kind: ErrorKind, expected: &str) {
    let error = refusal(file);
    assert!(error.message().contains(expected), "{error}\nexpected {expected}");
    assert_eq!(error.kind(), kind, "{error}");
}

/// The result of one operator on floating-point tensors, with more operands from initialisers.
fn result(node: Node, tensors: &[(&[usize], &[f32])], more: Vec<Tensor>) -> (Vec<usize>, Vec<f64>) {
    let names = ["a", "b", "c"];
    let inputs = tensors
        .iter()
        .zip(names)
        .map(|((shape, _), name)| info(name, FLOAT, &shape.iter().map(|&n| n as i64).collect::<Vec<_>>()));
    let file = file(vec![node], more, inputs.collect(), &["y"]);
    let graph = Model::from_bytes(file.encode_to_vec(), "n.onnx").unwrap().graph(&[]).unwrap();
    let tensors: Vec<_> =
        tensors.iter().map(|(shape, values)| tensor::Tensor::from_f32(shape, values.to_vec()).unwrap()).collect();
    let result = reference::run::<f64>(&graph, &tensors).unwrap().remove(0);
    let values = match result.values {
        Values::Real(v) => v,
        Values::I64(v) => v.into_iter().map(|v| v as f64).collect(),
        Values::Bool(v) => v.into_iter().map(|v| f64::from(u8::from(v))).collect(),
    };
    (result.shape, values)
}

const SIX: &[f32] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

#[test]
fn a_network_is_read_and_runs_at_any_size() {
    let model = Model::from_bytes(convolution().encode_to_vec(), "n.onnx").unwrap();
    assert_eq!((model.opset(), model.operators(), model.parameters(), model.producer()), (17, 2, 8, "test 1"));
    assert_eq!(model.inputs()[0].extents.as_ref().unwrap()[1..3], [Extent::Fixed(3), Extent::Free("side".into())]);
    for side in [1, 2] {
        let graph = model.graph(&[("x", &[1, 3, side, 1])]).unwrap();
        assert_eq!(graph.parameters().iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["w", "b"]);
        let x = tensor::Tensor::from_f32(&[1, 3, side, 1], vec![1.0; 3 * side]).unwrap();
        let y = reference::run::<f32>(&graph, &[x]).unwrap().remove(0);
        assert_eq!(y.shape, [1, 2, side, 1]);
        assert_eq!(y.real()[0], 6.5);
        assert_eq!(*y.real().last().unwrap(), 0.0);
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let model = Model::from_bytes(convolution().encode_to_vec(), "n.onnx").unwrap();
    for (shapes, expected) in [
        (vec![("x", [1, 4, 8, 8].as_slice())], "input \"x\" is given [1, 4, 8, 8]; the network takes (1, 3, side, side)"),
        (vec![("x", [3, 8, 8].as_slice())], "input \"x\" is given [3, 8, 8]"),
        (vec![], "input \"x\" has no shape of its own: it takes (1, 3, side, side)"),
        (vec![("z", [1, 3, 8, 8].as_slice())], "the network has no input \"z\""),
        (vec![("x", [1, 3, 0, 8].as_slice())], "has no elements"),
        (vec![("x", [1, 3, 1 << 40, 8].as_slice())], "1099511627776 is too large"),
    ] {
        let error = model.graph(&shapes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().starts_with("n.onnx: ") && error.message().contains(expected), "{error}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let bytes = convolution().encode_to_vec();
    // what follows the graph says which operators it uses, so no beginning is a whole file
    for length in 0..bytes.len() {
        let error = Model::from_bytes(bytes[..length].to_vec(), "n.onnx").unwrap_err();
        assert!(error.message().starts_with("n.onnx: "), "{length}: {error}");
    }
}

#[test]
fn operators_that_cannot_be_run_are_all_named_and_counted() {
    let mut file = convolution();
    let graph = file.graph.as_mut().unwrap();
    graph.node.extend([node("If", &["y"], &["z"]), node("NonMaxSuppression", &["z"], &["u"]), node("If", &["u"], &["v"])]);
    graph.node.push(Node { domain: "com.microsoft".into(), ..node("FusedConv", &["v"], &["k"]) });
    let expected =
        "uses operators that cannot be run: If (2 times), NonMaxSuppression (1 times), com.microsoft.FusedConv (1 times)";
    assert_refused(&file, ErrorKind::Unsupported, expected);
}

#[test]
fn other_versions_of_the_operator_set_are_refused() {
    for version in [0, 12, 19] {
        let mut file = convolution();
        file.opset_import[0].version = version;
        assert_refused(&file, ErrorKind::Unsupported, &format!("uses version {version} of the operator set; 13 to 18 are read"));
    }
    let mut file = convolution();
    file.opset_import.clear();
    assert_refused(&file, ErrorKind::Read, "which version of the operator set");
    assert_refused(&File::default(), ErrorKind::Read, "it holds no graph");
}

#[test]
fn weights_that_are_elsewhere_or_not_as_declared_are_named() {
    let with = |tensor: Tensor| {
        let mut file = convolution();
        file.graph.as_mut().unwrap().initializer[0] = tensor;
        file
    };
    let w = || floats("w", &[2, 3, 1, 1], &[1.0; 6]);
    let location = Entry { key: "location".into(), value: "n.onnx.data".into() };
    let external = Tensor { data_location: 1, external_data: vec![location], raw_data: Vec::new().into(), ..w() };
    assert_refused(&with(external), ErrorKind::Unsupported, "initialiser \"w\" lies in another file, \"n.onnx.data\"");
    let absent = Tensor { dims: vec![1 << 29], raw_data: Vec::new().into(), ..w() };
    assert_refused(
        &with(absent),
        ErrorKind::Read,
        "initialiser \"w\" is declared as F32 [536870912], 536870912 values, but the file holds 0",
    );
    let short = Tensor { dims: vec![2, 3, 2, 1], ..w() };
    assert_refused(&with(short), ErrorKind::Read, "48 bytes, but the file holds 24");
    assert_refused(
        &with(Tensor { dims: vec![2, -3], ..w() }),
        ErrorKind::Read,
        "initialiser \"w\" has a negative extent: [2, -3]",
    );
    assert_refused(&with(Tensor { dims: vec![1 << 62, 8], ..w() }), ErrorKind::Read, "initialiser \"w\" is too large");
    assert_refused(&with(Tensor { data_type: 8, ..w() }), ErrorKind::Unsupported, "initialiser \"w\" holds texts");
    assert_refused(
        &with(floats("w", &[2], &[1.0, f32::NAN])),
        ErrorKind::Data,
        "initialiser \"w\" holds 1 of 2 values that are not numbers",
    );
    let mut twice = convolution();
    twice.graph.as_mut().unwrap().initializer.push(w());
    assert_refused(&twice, ErrorKind::Read, "initialiser \"w\" is there twice");
    let mut constant = convolution();
    let value = Some(Tensor { dims: vec![7], ..w() });
    let attribute = Attribute { name: "value".into(), t: value, kind: kind::TENSOR, ..Attribute::default() };
    constant.graph.as_mut().unwrap().node.push(Node { attribute: vec![attribute], ..node("Constant", &[], &["k"]) });
    assert_refused(&constant, ErrorKind::Read, "tensor value of Constant \"/Constant\" is declared as F32 [7]");
}

#[test]
fn graphs_that_make_no_sense_are_refused() {
    let x = || vec![info("x", FLOAT, &[2])];
    let cycle = vec![node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"]), node("Relu", &["x"], &["y"])];
    let expected = "its operators wait for each other in a cycle (2 of them, among them Add \"/Add\", Relu \"/Relu\")";
    assert_refused(&file(cycle, vec![], x(), &["y"]), ErrorKind::Read, expected);
    let stray = vec![node("Add", &["x", "nowhere"], &["y"])];
    assert_refused(
        &file(stray, vec![], x(), &["y"]),
        ErrorKind::Read,
        "Add \"/Add\" takes the value \"nowhere\", which nothing in the file defines",
    );
    let twice = vec![node("Relu", &["x"], &["y"]), node("Abs", &["x"], &["y"])];
    assert_refused(
        &file(twice, vec![], x(), &["y"]),
        ErrorKind::Read,
        "the value \"y\" is made twice, the second time by Abs \"/Abs\"",
    );
    let relu = || vec![node("Relu", &["x"], &["y"])];
    assert_refused(&file(relu(), vec![], x(), &["z"]), ErrorKind::Read, "the output \"z\" is made by no operator");
    assert_refused(&file(relu(), vec![], x(), &[]), ErrorKind::Read, "declares no outputs");
    assert_refused(
        &file(relu(), vec![], vec![info("x", FLOAT, &[-3])], &["y"]),
        ErrorKind::Read,
        "input \"x\" has a negative extent: -3",
    );
    assert_refused(&file(relu(), vec![], vec![info("x", 8, &[2])], &["y"]), ErrorKind::Unsupported, "input \"x\" holds texts");
    assert_refused(&file(relu(), vec![], [x(), x()].concat(), &["y"]), ErrorKind::Read, "two inputs have the same name");
}

#[test]
fn operators_that_do_not_fit_their_operands_are_named_before_anything_runs() {
    let refused = |nodes: Vec<Node>, more: Vec<Tensor>, expected: &str| {
        let inputs = vec![info("x", FLOAT, &[2, 3]), info("n", INT64, &[2, 3])];
        let model = Model::from_bytes(file(nodes, more, inputs, &["y"]).encode_to_vec(), "n.onnx").unwrap();
        let error = model.graph(&[]).unwrap_err();
        assert!(error.message().contains(expected), "{error}\nexpected {expected}");
    };
    refused(vec![node("Add", &["x", "n"], &["y"])], vec![], "add cannot take [2, 3], i64 [2, 3]: operands must be of one type");
    refused(vec![node("MatMul", &["x", "x"], &["y"])], vec![], "MatMul \"/MatMul\": matrix product cannot take [2, 3], [2, 3]");
    refused(vec![node("Reshape", &["x", "s"], &["y"])], vec![ints("s", &[4, -1])], "[2, 3] cannot become [4, -1]");
    refused(vec![node("Reshape", &["x", "n"], &["y"])], vec![], "its shape depends on the values of the images");
    refused(vec![node("Relu", &[], &["y"])], vec![], "its operand 1 is missing");
    refused(vec![node("Concat", &["x"], &["y"]).with("axis", 5)], vec![], "it names axis 5 of 2");
    refused(
        vec![node("Softmax", &["x"], &["y"]).with_text("axis", "1")],
        vec![],
        "its attribute axis is a text, not a whole number",
    );
    refused(vec![node("ConstantOfShape", &["s"], &["y"])], vec![ints("s", &[1 << 20, 1 << 20])], "more than 16777216 numbers");
    refused(vec![node("Expand", &["x", "s"], &["y"])], vec![ints("s", &[1 << 30, 1 << 30, 2, 3])], "larger than any memory");
    refused(vec![node("Gather", &["x", "s"], &["y"])], vec![ints("s", &[0, 2])], "its index 2 lies beyond an axis of length 2");
}

#[test]
fn operators_out_of_order_are_put_in_order() {
    let nodes = vec![node("Neg", &["a"], &["y"]), node("Relu", &["x"], &["a"])];
    let model = Model::from_bytes(file(nodes, vec![], vec![info("x", FLOAT, &[1])], &["y"]).encode_to_vec(), "n.onnx").unwrap();
    let graph = model.graph(&[]).unwrap();
    let x = tensor::Tensor::from_f32(&[1], vec![3.0]).unwrap();
    assert_eq!(reference::run::<f32>(&graph, &[x]).unwrap()[0].real(), [-3.0]);
}

#[test]
fn the_arithmetic_of_shapes_leaves_nothing_in_the_graph() {
    // y = reshape(x, [shape(x)[1], shape(x)[0]]), as exporters write it
    let nodes = vec![
        node("Shape", &["x"], &["s"]),
        node("Gather", &["s", "one"], &["cols"]),
        node("Slice", &["s", "zero", "one"], &["rows"]),
        node("Concat", &["cols", "rows"], &["t"]).with("axis", 0),
        node("Reshape", &["x", "t"], &["y"]),
    ];
    let more = vec![ints("zero", &[0]), ints("one", &[1])];
    let model =
        Model::from_bytes(file(nodes, more, vec![info("x", FLOAT, &[-1, -1])], &["y"]).encode_to_vec(), "n.onnx").unwrap();
    let graph = model.graph(&[("x", &[2, 5])]).unwrap();
    assert_eq!((graph.nodes().len(), graph.parameters().len(), graph.constants().len()), (1, 0, 0));
    assert_eq!(graph.shape(graph.outputs()[0].value), [5, 2]);
}

#[test]
fn what_the_file_says_of_itself_is_read() {
    let mut file = convolution();
    file.metadata_props = vec![
        Entry { key: "stfusion".into(), value: r#"{"schema":1,"network":"onnx","bands":["red"]}"#.into() },
        Entry { key: "author".into(), value: "someone".into() },
    ];
    let model = Model::from_bytes(file.encode_to_vec(), "n.onnx").unwrap();
    assert_eq!(model.metadata().unwrap().bands, ["red"]);
    assert_eq!(model.remarks()["author"], "someone");
    file.metadata_props[0].value = r#"{"schema":1,"bandz":[]}"#.into();
    assert_refused(&file, ErrorKind::Data, "unknown field `bandz`");
}

#[test]
fn arrangements_are_those_of_the_specification() {
    let (shape, values) = result(node("Split", &["a"], &["x", "y"]).with("axis", 1), &[(&[2, 3], SIX)], vec![]);
    assert_eq!((shape, values), (vec![2, 1], vec![2.0, 5.0]));
    let (shape, values) = result(node("Tile", &["a", "r"], &["y"]), &[(&[1, 2], &[1.0, 2.0])], vec![ints("r", &[2, 2])]);
    assert_eq!((shape, values), (vec![2, 4], vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]));
    let (_, values) = result(node("Trilu", &["a"], &["y"]).with("upper", 0), &[(&[2, 3], &[1.0; 6])], vec![]);
    assert_eq!(values, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    let pixels: Vec<f32> = (0..8).map(|v| v as f32).collect();
    let (shape, values) = result(node("DepthToSpace", &["a"], &["y"]).with("blocksize", 2), &[(&[1, 8, 1, 1], &pixels)], vec![]);
    assert_eq!((shape, values), (vec![1, 2, 2, 2], vec![0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]));
    let (shape, values) = result(node("SpaceToDepth", &["a"], &["y"]).with("blocksize", 2), &[(&[1, 2, 2, 2], &pixels)], vec![]);
    assert_eq!((shape, values), (vec![1, 8, 1, 1], vec![0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]));
    let (shape, _) = result(node("Flatten", &["a"], &["y"]).with("axis", 0), &[(&[2, 3], SIX)], vec![]);
    assert_eq!(shape, [1, 6]);
    let (_, values) = result(node("Slice", &["a", "s", "e", "x", "t"], &["y"]), &[(&[6], SIX)], {
        vec![ints("s", &[-1]), ints("e", &[i64::MIN]), ints("x", &[0]), ints("t", &[-2])]
    });
    assert_eq!(values, [5.0, 3.0, 1.0]);
}

#[test]
fn images_of_another_size_are_those_of_the_specification() {
    let enlarged = |node: Node| result(node, &[(&[1, 1, 1, 2], &[1.0, 2.0])], vec![floats("s", &[4], &[1.0, 1.0, 1.0, 2.0])]);
    let resize = || node("Resize", &["a", "", "s"], &["y"]);
    assert_eq!(enlarged(resize()), (vec![1, 1, 1, 4], vec![1.0, 1.0, 2.0, 2.0]));
    assert_eq!(enlarged(resize().with_text("mode", "linear")).1, [1.0, 1.25, 1.75, 2.0]);
    let corners = resize().with_text("mode", "linear").with_text("coordinate_transformation_mode", "align_corners");
    let expected = [1.0, 4.0 / 3.0, 5.0 / 3.0, 2.0];
    assert!(enlarged(corners).1.iter().zip(expected).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-6));
    let smooth = file(
        vec![resize().with_text("mode", "linear").with("antialias", 1)],
        vec![floats("s", &[4], &[1.0, 1.0, 1.0, 0.5])],
        vec![info("a", FLOAT, &[1, 1, 1, 2])],
        &["y"],
    );
    let error = Model::from_bytes(smooth.encode_to_vec(), "n.onnx").unwrap().graph(&[]).unwrap_err();
    assert!(error.message().contains("Resize \"/Resize\": it smooths before it reduces"), "{error}");
}

#[test]
fn products_are_those_of_the_specification() {
    let (shape, values) = result(node("MatMul", &["a", "b"], &["y"]), &[(&[3], &SIX[..3]), (&[3], &SIX[3..])], vec![]);
    assert_eq!((shape, values), (vec![], vec![14.0]));
    let (shape, values) = result(node("MatMul", &["a", "b"], &["y"]), &[(&[2, 3], SIX), (&[3], &SIX[..3])], vec![]);
    assert_eq!((shape, values), (vec![2], vec![5.0, 14.0]));
    let gemm = node("Gemm", &["a", "b", "c"], &["y"]).with("transA", 1);
    let (shape, values) = result(gemm, &[(&[3, 2], SIX), (&[3, 1], &SIX[..3]), (&[2, 1], &[10.0, 20.0])], vec![]);
    assert_eq!((shape, values), (vec![2, 1], vec![20.0, 33.0]));
    let einsum = node("Einsum", &["a", "b"], &["y"]).with_text("equation", "ij,ik->kj");
    let (shape, values) = result(einsum, &[(&[2, 3], SIX), (&[2, 1], &[1.0, 2.0])], vec![]);
    assert_eq!((shape, values), (vec![1, 3], vec![6.0, 9.0, 12.0]));
    // one label is summed in one operand alone
    let einsum = node("Einsum", &["a", "b"], &["y"]).with_text("equation", "ij,k->i");
    assert_eq!(result(einsum, &[(&[2, 3], SIX), (&[2], &[1.0, 2.0])], vec![]).1, [9.0, 36.0]);
    let einsum = node("Einsum", &["a"], &["y"]).with_text("equation", "ij->ji");
    assert_eq!(result(einsum, &[(&[2, 3], SIX)], vec![]).1, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn functions_are_those_of_the_specification() {
    let fmod = node("Mod", &["a", "b"], &["y"]).with("fmod", 1);
    assert_eq!(
        result(fmod, &[(&[4], &[5.5, -5.5, 5.5, -5.5]), (&[4], &[3.0, 3.0, -3.0, -3.0])], vec![]).1,
        [2.5, -2.5, 2.5, -2.5]
    );
    let prelu = node("PRelu", &["a", "b"], &["y"]);
    assert_eq!(result(prelu, &[(&[2, 1], &[-2.0, 3.0]), (&[1], &[0.25])], vec![]).1, [-0.5, 3.0]);
    assert_eq!(result(node("HardSwish", &["a"], &["y"]), &[(&[3], &[-4.0, 0.0, 6.0])], vec![]).1, [0.0, 0.0, 6.0]);
    assert_eq!(result(node("Softsign", &["a"], &["y"]), &[(&[2], &[-1.0, 3.0])], vec![]).1, [-0.5, 0.75]);
    assert_eq!(result(node("Mean", &["a", "b"], &["y"]), &[(&[2], &[1.0, 2.0]), (&[1], &[3.0])], vec![]).1, [2.0, 2.5]);
    assert_eq!(
        result(node("Clip", &["a", "low"], &["y"]), &[(&[2], &[-1.0, 9.0])], vec![floats("low", &[], &[0.5])]).1,
        [0.5, 9.0]
    );
    assert_eq!(result(node("ReduceL2", &["a"], &["y"]).with_ints("axes", &[-1]), &[(&[1, 2], &[3.0, 4.0])], vec![]).1, [5.0]);
    let (shape, values) =
        result(node("ReduceLogSumExp", &["a"], &["y"]).with("keepdims", 0), &[(&[2], &[1000.0, 1000.0])], vec![]);
    assert_eq!(shape, [0; 0]);
    assert!((values[0] - (1000.0 + 2.0_f64.ln())).abs() < 1e-9);
    assert_eq!(result(node("ArgMin", &["a"], &["y"]), &[(&[3], &[2.0, -1.0, 0.0])], vec![]).1, [1.0]);
    assert_eq!(result(node("CumSum", &["a", "x"], &["y"]), &[(&[3], &SIX[1..4])], vec![ints("x", &[0])]).1, [1.0, 3.0, 6.0]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// A damaged file is refused, or read and imported or refused then.
    #[test]
    fn damaged_files_do_no_harm(place in 0_usize..400, byte in 0_u8..=255, more in 0_usize..400) {
        let mut bytes = convolution().encode_to_vec();
        let length = bytes.len();
        bytes[place % length] = byte;
        bytes[more % length] ^= byte;
        if let Ok(model) = Model::from_bytes(bytes, "n.onnx") {
            if let Err(error) = model.graph(&[("x", &[1, 3, 4, 4])]) {
                assert!(error.message().starts_with("n.onnx: "));
            }
        }
    }
}
