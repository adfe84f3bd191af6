//! What several methods share, one concept a file.

pub mod aligned;
pub mod border;
pub mod bounded_least_squares;
pub mod box_sums;
pub mod change_reference;
pub mod checks;
pub mod class_means;
pub mod classes;
pub mod classifiers;
pub mod coarse_grid;
pub mod cubic_convolution;
pub mod cubic_spline;
pub mod homogeneity;
pub mod inverse_distance;
pub mod isodata;
pub mod k_means;
pub mod keys;
pub mod linear_system;
pub mod nearest;
pub mod objects;
pub mod pair_order;
pub mod pair_weights;
pub mod passes;
pub mod pixel_sample;
pub mod pixels;
pub mod purest_cells;
pub mod residual_weights;
pub mod similar_changes;
pub mod slic;
pub mod spatial_prediction;
pub mod statistics;
pub mod thin_plate;
pub mod tile_images;
pub mod told;
pub mod unmixing;

pub use stfusion_simd as simd;
