//! Number formats that weights are stored in, and their conversion to the three that networks compute with.

use crate::tensor::DType;

/// A format that a tensor can be stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Truth values, a byte each.
    Bool,
    /// 8-bit integers without sign.
    U8,
    /// 8-bit integers.
    I8,
    /// 16-bit integers without sign.
    U16,
    /// 16-bit integers.
    I16,
    /// 32-bit integers without sign.
    U32,
    /// 32-bit integers.
    I32,
    /// 64-bit integers without sign.
    U64,
    /// 64-bit integers.
    I64,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl Dtype {
    /// Every format, with its name in a safetensors header.
    pub const ALL: &'static [(Dtype, &'static str)] = &[
        (Dtype::Bool, "BOOL"),
        (Dtype::U8, "U8"),
        (Dtype::I8, "I8"),
        (Dtype::U16, "U16"),
        (Dtype::I16, "I16"),
        (Dtype::U32, "U32"),
        (Dtype::I32, "I32"),
        (Dtype::U64, "U64"),
        (Dtype::I64, "I64"),
        (Dtype::F16, "F16"),
        (Dtype::Bf16, "BF16"),
        (Dtype::F32, "F32"),
        (Dtype::F64, "F64"),
    ];

    /// The name in a safetensors header.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(dtype, _)| *dtype == self).map_or("", |(_, name)| name)
    }

    /// The format of that name.
    pub fn by_name(name: &str) -> Option<Dtype> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(dtype, _)| *dtype)
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::Bool | Dtype::U8 | Dtype::I8 => 1,
            Dtype::U16 | Dtype::I16 | Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::U32 | Dtype::I32 | Dtype::F32 => 4,
            Dtype::U64 | Dtype::I64 | Dtype::F64 => 8,
        }
    }

    /// What a network computes with when numbers are stored like this.
    pub fn computed(self) -> DType {
        match self {
            Dtype::Bool => DType::Bool,
            Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 => DType::F32,
            _ => DType::I64,
        }
    }

    /// How numbers that a network computes with are stored.
    pub fn of(computed: DType) -> Dtype {
        match computed {
            DType::F32 => Dtype::F32,
            DType::I64 => Dtype::I64,
            DType::Bool => Dtype::Bool,
        }
    }
}

/// Appends little-endian floating-point numbers as `f32`; `dtype` must be one, and `bytes` whole numbers of it.
pub(crate) fn append_f32(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    match dtype {
        Dtype::F16 => out.extend(numbers(bytes).map(|b| f32_from_f16(u16::from_le_bytes(b)))),
        Dtype::Bf16 => out.extend(numbers(bytes).map(|b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        Dtype::F64 => out.extend(numbers(bytes).map(|b| f64::from_le_bytes(b) as f32)),
        _ => out.extend(numbers(bytes).map(f32::from_le_bytes)),
    }
}

/// Appends little-endian integers as `i64`; `false` when one does not fit.
pub(crate) fn append_i64(dtype: Dtype, bytes: &[u8], out: &mut Vec<i64>) -> bool {
    match dtype {
        Dtype::U8 => out.extend(bytes.iter().map(|&b| i64::from(b))),
        Dtype::I8 => out.extend(numbers(bytes).map(|b| i64::from(i8::from_le_bytes(b)))),
        Dtype::U16 => out.extend(numbers(bytes).map(|b| i64::from(u16::from_le_bytes(b)))),
        Dtype::I16 => out.extend(numbers(bytes).map(|b| i64::from(i16::from_le_bytes(b)))),
        Dtype::U32 => out.extend(numbers(bytes).map(|b| i64::from(u32::from_le_bytes(b)))),
        Dtype::I32 => out.extend(numbers(bytes).map(|b| i64::from(i32::from_le_bytes(b)))),
        Dtype::U64 => {
            for number in numbers(bytes) {
                let Ok(value) = i64::try_from(u64::from_le_bytes(number)) else { return false };
                out.push(value);
            }
        }
        _ => out.extend(numbers(bytes).map(i64::from_le_bytes)),
    }
    true
}

fn numbers<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|chunk| {
        let mut number = [0; N];
        number.copy_from_slice(chunk);
        number
    })
}

/// An IEEE half-precision number, exactly: 1 sign bit, 5 of the exponent, 10 of the fraction.
fn f32_from_f16(half: u16) -> f32 {
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    let magnitude = match exponent {
        // multiples of the smallest subnormal number
        0 => fraction as f32 * f32::from_bits((127 - 24) << 23),
        0x1f => f32::from_bits(0xff << 23 | fraction << 13),
        _ => f32::from_bits((exponent + 127 - 15) << 23 | fraction << 13),
    };
    if half >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        for (bits, value) in [
            (0x0000_u16, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f32_from_f16(bits), value, "{bits:#x}");
        }
        assert!(f32_from_f16(0x7e00).is_nan());
        assert!(f32_from_f16(0x8000).is_sign_negative());
        // neighbours among all positive finite halves are in order
        assert!((0..0x7c00_u16).all(|h| f32_from_f16(h) < f32_from_f16(h + 1)));
    }

    #[test]
    fn numbers_come_out_as_stored() {
        let mut floats = Vec::new();
        append_f32(Dtype::Bf16, &[0x80, 0x3f, 0x00, 0xc0], &mut floats);
        append_f32(Dtype::F64, &0.1_f64.to_le_bytes(), &mut floats);
        append_f32(Dtype::F32, &7.5_f32.to_le_bytes(), &mut floats);
        assert_eq!(floats, [1.0, -2.0, 0.1, 7.5]);
        let mut integers = Vec::new();
        assert!(append_i64(Dtype::I8, &[0xff, 0x7f], &mut integers));
        assert!(append_i64(Dtype::U8, &[0xff], &mut integers));
        assert!(append_i64(Dtype::I16, &(-5_i16).to_le_bytes(), &mut integers));
        assert!(append_i64(Dtype::U16, &65535_u16.to_le_bytes(), &mut integers));
        assert!(append_i64(Dtype::I32, &(-70000_i32).to_le_bytes(), &mut integers));
        assert!(append_i64(Dtype::U32, &u32::MAX.to_le_bytes(), &mut integers));
        assert!(append_i64(Dtype::I64, &i64::MIN.to_le_bytes(), &mut integers));
        assert!(append_i64(Dtype::U64, &8_u64.to_le_bytes(), &mut integers));
        assert_eq!(integers, [-1, 127, 255, -5, 65535, -70000, 4_294_967_295, i64::MIN, 8]);
        assert!(!append_i64(Dtype::U64, &u64::MAX.to_le_bytes(), &mut integers));
    }

    #[test]
    fn every_format_has_one_name() {
        for &(dtype, name) in Dtype::ALL {
            assert_eq!((Dtype::by_name(name), dtype.name()), (Some(dtype), name));
        }
        assert_eq!(Dtype::by_name("F8_E4M3"), None);
    }
}
