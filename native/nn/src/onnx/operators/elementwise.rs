//! Functions of single elements and of pairs of elements.

use super::super::import::{Call, Importer, Operand, Step};
use super::super::model::computed;
use super::Import;
use crate::ops::{Activation, Binary, Cast, Comparison, Select, Unary};
use crate::tensor::DType;

macro_rules! unary {
    ($op:expr) => {
        |importer, call| Ok(vec![importer.on($op, call.operand(0)?)?])
    };
}

macro_rules! binary {
    ($op:expr) => {
        |importer, call| Ok(vec![importer.one($op, &[call.operand(0)?.clone(), call.operand(1)?.clone()])?])
    };
}

pub(super) const TABLE: &[(&str, Import)] = &[
    ("Abs", unary!(Unary::Abs)),
    ("Acos", unary!(Unary::Acos)),
    ("Ceil", unary!(Unary::Ceil)),
    ("Cos", unary!(Unary::Cos)),
    ("Erf", unary!(Unary::Erf)),
    ("Exp", unary!(Unary::Exp)),
    ("Floor", unary!(Unary::Floor)),
    ("Log", unary!(Unary::Log)),
    ("Neg", unary!(Unary::Neg)),
    ("Not", unary!(Unary::Not)),
    ("Reciprocal", unary!(Unary::Reciprocal)),
    ("Round", unary!(Unary::Round)),
    ("Sign", unary!(Unary::Sign)),
    ("Sin", unary!(Unary::Sin)),
    ("Sqrt", unary!(Unary::Sqrt)),
    ("Relu", unary!(Activation::Relu)),
    ("Sigmoid", unary!(Activation::Sigmoid)),
    ("Softplus", unary!(Activation::Softplus)),
    ("Tanh", unary!(Activation::Tanh)),
    ("LeakyRelu", leaky_relu),
    ("Elu", elu),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", hard_swish),
    ("Selu", selu),
    ("PRelu", prelu),
    ("Mish", mish),
    ("Softsign", softsign),
    ("Clip", clip),
    ("Add", binary!(Binary::Add)),
    ("Sub", binary!(Binary::Sub)),
    ("Mul", binary!(Binary::Mul)),
    ("Div", binary!(Binary::Div)),
    ("And", binary!(Binary::And)),
    ("Or", binary!(Binary::Or)),
    ("Xor", binary!(Binary::Xor)),
    ("Equal", binary!(Comparison::Equal)),
    ("Greater", binary!(Comparison::Greater)),
    ("GreaterOrEqual", binary!(Comparison::GreaterOrEqual)),
    ("Less", binary!(Comparison::Less)),
    ("LessOrEqual", binary!(Comparison::LessOrEqual)),
    ("Pow", pow),
    ("Mod", modulo),
    ("Max", |importer, call| many(importer, call, Binary::Max)),
    ("Min", |importer, call| many(importer, call, Binary::Min)),
    ("Sum", |importer, call| many(importer, call, Binary::Add)),
    ("Mean", mean),
    ("Where", |importer, call| {
        Ok(vec![importer.one(Select, &[0, 1, 2].map(|k| call.operand(k).cloned()).into_iter().collect::<Step<Vec<_>>>()?)?])
    }),
    ("Cast", cast),
    ("CastLike", |importer, call| {
        let to = importer.ty(call.operand(1)?).dtype;
        Ok(vec![cast_to(importer, call.operand(0)?, to)?])
    }),
];

/// A number attribute with its default.
fn number(call: &Call<'_>, name: &str, default: f32) -> Step<f64> {
    Ok(f64::from(call.attributes().float(name)?.unwrap_or(default)))
}

fn activated(importer: &mut Importer, call: &Call<'_>, activation: Activation) -> Step<Vec<Operand>> {
    Ok(vec![importer.on(activation, call.operand(0)?)?])
}

fn leaky_relu(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    activated(importer, call, Activation::LeakyRelu(number(call, "alpha", 0.01)?))
}

fn elu(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    activated(importer, call, Activation::Elu(number(call, "alpha", 1.0)?))
}

fn hard_sigmoid(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    activated(importer, call, Activation::HardSigmoid(number(call, "alpha", 0.2)?, number(call, "beta", 0.5)?))
}

fn hard_swish(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?.clone();
    let gate = importer.on(Activation::HardSigmoid(1.0 / 6.0, 0.5), &x)?;
    Ok(vec![importer.one(Binary::Mul, &[x, gate])?])
}

fn selu(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (alpha, gamma) = (number(call, "alpha", 1.673_263_2)?, number(call, "gamma", 1.050_701)?);
    let elu = importer.on(Activation::Elu(alpha), call.operand(0)?)?;
    let gamma = importer.scalar(gamma as f32)?;
    Ok(vec![importer.one(Binary::Mul, &[elu, gamma])?])
}

fn prelu(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (x, slope) = (call.operand(0)?.clone(), call.operand(1)?.clone());
    let zero = importer.scalar(0.0)?;
    let positive = importer.one(Comparison::GreaterOrEqual, &[x.clone(), zero])?;
    let scaled = importer.one(Binary::Mul, &[x.clone(), slope])?;
    Ok(vec![importer.one(Select, &[positive, x, scaled])?])
}

fn mish(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?.clone();
    let soft = importer.on(Activation::Softplus, &x)?;
    let gate = importer.on(Activation::Tanh, &soft)?;
    Ok(vec![importer.one(Binary::Mul, &[x, gate])?])
}

fn softsign(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let x = call.operand(0)?.clone();
    let size = importer.on(Unary::Abs, &x)?;
    let one = importer.scalar(1.0)?;
    let divisor = importer.one(Binary::Add, &[size, one])?;
    Ok(vec![importer.one(Binary::Div, &[x, divisor])?])
}

fn clip(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let mut x = call.operand(0)?.clone();
    let limits = [call.optional(1), call.optional(2)];
    let known = |limit: Option<&Operand>, absent: f32| match limit {
        None => Some(absent),
        Some(Operand::Known(tensor, _)) => tensor.f32s().filter(|v| v.len() == 1).map(|v| v[0]),
        Some(Operand::Live(_)) => None,
    };
    if let (Some(low), Some(high)) = (known(limits[0], f32::NEG_INFINITY), known(limits[1], f32::INFINITY)) {
        if importer.ty(&x).dtype == DType::F32 {
            return activated(importer, call, Activation::Clamp(low.into(), high.into()));
        }
    }
    for (limit, op) in limits.into_iter().zip([Binary::Max, Binary::Min]) {
        if let Some(limit) = limit {
            x = importer.one(op, &[x, limit.clone()])?;
        }
    }
    Ok(vec![x])
}

fn pow(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let base = call.operand(0)?.clone();
    let to = importer.ty(&base).dtype;
    let exponent = cast_to(importer, call.operand(1)?, to)?;
    Ok(vec![importer.one(Binary::Pow, &[base, exponent])?])
}

fn modulo(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let (a, b) = (call.operand(0)?.clone(), call.operand(1)?.clone());
    if !call.attributes().flag("fmod", false)? {
        return Ok(vec![importer.one(Binary::Mod, &[a, b])?]);
    }
    // the remainder with the sign of the dividend: a - b * (a / b cut off)
    let quotient = importer.one(Binary::Div, &[a.clone(), b.clone()])?;
    let whole = if importer.ty(&quotient).dtype == DType::F32 {
        let size = importer.on(Unary::Abs, &quotient)?;
        let size = importer.on(Unary::Floor, &size)?;
        let sign = importer.on(Unary::Sign, &quotient)?;
        importer.one(Binary::Mul, &[size, sign])?
    } else {
        quotient
    };
    let multiple = importer.one(Binary::Mul, &[whole, b])?;
    Ok(vec![importer.one(Binary::Sub, &[a, multiple])?])
}

/// A function of two elements over any number of operands.
fn many(importer: &mut Importer, call: &Call<'_>, op: Binary) -> Step<Vec<Operand>> {
    let mut operands = call.all()?.into_iter();
    let mut result = operands.next().ok_or("it has no operands")?;
    for operand in operands {
        result = importer.one(op, &[result, operand])?;
    }
    Ok(vec![result])
}

fn mean(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let count = importer.scalar(call.all()?.len() as f32)?;
    let sum = many(importer, call, Binary::Add)?.remove(0);
    Ok(vec![importer.one(Binary::Div, &[sum, count])?])
}

fn cast(importer: &mut Importer, call: &Call<'_>) -> Step<Vec<Operand>> {
    let to = call.attributes().int("to")?.ok_or("it does not say what to cast to")?;
    let to = computed(to).ok_or_else(|| format!("it casts to type {to}, which is not read"))?;
    Ok(vec![cast_to(importer, call.operand(0)?, to)?])
}

/// The elements as another type.
pub(super) fn cast_to(importer: &mut Importer, x: &Operand, to: DType) -> Step<Operand> {
    if importer.ty(x).dtype == to {
        return Ok(x.clone());
    }
    importer.on(Cast(to), x)
}
