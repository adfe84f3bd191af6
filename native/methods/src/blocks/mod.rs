//! What several methods share, one concept a file.

pub mod aligned;
pub mod box_sums;
pub mod pair_order;
pub mod pixels;
pub mod simd;
pub mod statistics;
