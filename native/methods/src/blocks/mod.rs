//! What several methods share, one concept a file.

pub mod pair_order;
pub mod pixels;
pub mod statistics;
