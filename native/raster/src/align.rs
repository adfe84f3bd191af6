//! Where the pixels of an image lie in another image.

use std::fmt;

use serde::Serialize;

/// How one coarse image lies on the fine grid, for reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alignment {
    /// Name of the coarse image.
    pub image: String,
    /// Fine pixels per coarse-pixel side along (row, col), at the scene's centre.
    pub scale: (f64, f64),
    /// Whether the coarse image has another CRS than the fine one.
    pub crs_differs: bool,
    /// Whether it was placed by its upper-left corner, because one of the images has no georeference.
    pub by_corner: bool,
    /// Whether it is on the fine grid already and is used as it is.
    pub same_grid: bool,
    /// How it is resampled; `None` when it is on the fine grid already.
    pub resampling: Option<stfusion_core::source::Resampling>,
    /// Part (0..1) of the fine grid that it covers.
    pub coverage: f64,
}

impl fmt::Display for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.image)
    }
}
