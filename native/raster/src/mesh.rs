//! The exact transform between two CRS, computed at the nodes of a mesh and interpolated between them.

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};
use stfusion_core::{Grid, Region};

use crate::errors::Capture;

/// Largest error of the interpolation, in pixels of the image that positions refer to.
const MESH_ERROR_PX: f64 = 0.001;
/// Largest error that is accepted at the finest spacing.
const COARSEST_ERROR_PX: f64 = 0.05;
/// Spacings of the nodes in reference pixels, tried in this order.
const SPACINGS: &[usize] = &[64, 32, 16, 8, 4];

/// Turns positions on a reference grid into positions in an image of another CRS.
pub(crate) struct Projector {
    transform: CoordTransform,
    /// GDAL transform of the reference.
    from: [f64; 6],
    /// Inverse of the image's GDAL transform, relative to its corner.
    to: [f64; 6],
    /// Extent in x of the image, when its x is a longitude in degrees.
    turn: Option<(f64, f64)>,
}

impl Projector {
    /// From the reference's pixels to the image's.
    ///
    /// # Errors
    /// GDAL's words, when one of the CRS is unusable or there is no transform between them.
    pub(crate) fn new(reference: &Grid, image: &Grid) -> Result<Projector, String> {
        let capture = Capture::start();
        let crs = |grid: &Grid| -> Result<SpatialRef, String> {
            let wkt = grid.crs.as_deref().unwrap_or_default();
            let mut crs = SpatialRef::from_wkt(wkt).map_err(|_| format!("a CRS cannot be understood ({})", capture.reason()))?;
            crs.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
            Ok(crs)
        };
        let (source, target) = (crs(reference)?, crs(image)?);
        let transform = CoordTransform::new(&source, &target)
            .map_err(|_| format!("there is no transform between their CRS ({})", capture.reason()))?;
        let (from, to) = reference.transform.zip(image.transform).ok_or("a georeference is missing")?;
        let det = to[1] * to[5] - to[2] * to[4];
        let inverse = [to[0], to[5] / det, -to[2] / det, to[3], -to[4] / det, to[1] / det];
        let right = to[0] + to[1] * image.cols as f64 + to[2] * image.rows as f64;
        let turn = target.is_geographic().then_some((to[0].min(right), to[0].max(right)));
        Ok(Projector { transform, from, to: inverse, turn })
    }

    /// From coordinates of a grid's CRS to longitude and latitude; only for [`Projector::point`].
    pub(crate) fn to_longitude_latitude(grid: &Grid) -> Option<Projector> {
        let _capture = Capture::start();
        let identity = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let from = Grid { rows: 1, cols: 1, transform: Some(identity), crs: Some(grid.crs.clone()?) };
        let degrees = SpatialRef::from_epsg(4326).ok()?.to_wkt().ok()?;
        Projector::new(&from, &Grid { rows: 1, cols: 1, transform: Some(identity), crs: Some(degrees) }).ok()
    }

    /// One coordinate, transformed.
    pub(crate) fn point(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (mut xs, mut ys) = ([x], [y]);
        self.transform_all(&mut xs, &mut ys);
        (xs[0].is_finite() && ys[0].is_finite()).then_some((xs[0], ys[0]))
    }

    /// Transforms coordinates in place; those that have no counterpart become `NaN`.
    fn transform_all(&self, xs: &mut [f64], ys: &mut [f64]) {
        let _capture = Capture::start();
        let mut success = vec![0; xs.len()];
        let Ok(count) = i32::try_from(xs.len().min(ys.len())) else {
            xs.fill(f64::NAN);
            return;
        };
        // SAFETY: the three arrays hold `count` values each; the transform is alive and used by this thread alone.
        unsafe {
            gdal_sys::OCTTransformEx(
                self.transform.to_c_hct(),
                count,
                xs.as_mut_ptr(),
                ys.as_mut_ptr(),
                std::ptr::null_mut(),
                success.as_mut_ptr(),
            );
        }
        for ((x, y), ok) in xs.iter_mut().zip(ys).zip(success) {
            if ok == 0 || !x.is_finite() || !y.is_finite() {
                (*x, *y) = (f64::NAN, f64::NAN);
            }
        }
    }

    /// Turns continuous (col, row) of the reference into (col, row) of the image, in place.
    fn positions(&self, cols: &mut [f64], rows: &mut [f64], meridian: Option<f64>) {
        let f = &self.from;
        for (c, r) in cols.iter_mut().zip(rows.iter_mut()) {
            (*c, *r) = (f[0] + f[1] * *c + f[2] * *r, f[3] + f[4] * *c + f[5] * *r);
        }
        self.transform_all(cols, rows);
        let t = &self.to;
        for (x, y) in cols.iter_mut().zip(rows) {
            let turned = match meridian {
                Some(m) => *x - ((*x - m) / 360.0).round() * 360.0,
                None => *x,
            };
            let (dx, dy) = (turned - t[0], *y - t[3]);
            (*x, *y) = (t[1] * dx + t[2] * dy, t[4] * dx + t[5] * dy);
        }
    }

    /// The longitude around which all longitudes of the scene are written, so that they lie in the image whether it counts
    /// from -180 or from 0, and do not jump inside the scene.
    fn meridian(&self, reference: &Grid) -> Option<f64> {
        let (west, east) = self.turn?;
        let f = &self.from;
        let (c, r) = (reference.cols as f64 / 2.0, reference.rows as f64 / 2.0);
        let (x, _) = self.point(f[0] + f[1] * c + f[2] * r, f[3] + f[4] * c + f[5] * r)?;
        [x, x + 360.0, x - 360.0].into_iter().find(|x| (west..=east).contains(x)).or(Some(x))
    }
}

/// Positions at the nodes of a mesh over the reference grid.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// Reference pixels between two nodes.
    spacing: usize,
    /// Number of nodes along a row.
    width: usize,
    /// (col, row) at every node, row by row.
    nodes: Vec<(f64, f64)>,
    rows: usize,
    cols: usize,
}

impl Mesh {
    /// Computes the mesh with the widest spacing that is accurate enough.
    ///
    /// # Errors
    /// Words, when no node can be transformed or even the narrowest spacing is too inaccurate.
    pub(crate) fn new(projector: &Projector, reference: &Grid) -> Result<Mesh, String> {
        let meridian = projector.meridian(reference);
        let mut last = f64::INFINITY;
        for &spacing in SPACINGS {
            let mesh = Mesh::with_spacing(projector, reference, spacing, meridian);
            if mesh.nodes.iter().all(|n| n.0.is_nan()) {
                return Err("no point of the one has a counterpart in the CRS of the other".into());
            }
            last = mesh.largest_error(projector, meridian);
            if last <= MESH_ERROR_PX || spacing == SPACINGS[SPACINGS.len() - 1] && last <= COARSEST_ERROR_PX {
                return Ok(mesh);
            }
        }
        Err(format!(
            "the transform between their CRS is not smooth over the image (it bends by {last:.2} pixels within 4 pixels)"
        ))
    }

    fn with_spacing(projector: &Projector, reference: &Grid, spacing: usize, meridian: Option<f64>) -> Mesh {
        let (rows, cols) = (reference.rows, reference.cols);
        let (width, height) = (cols.div_ceil(spacing) + 1, rows.div_ceil(spacing) + 1);
        let mut nodes = Vec::with_capacity(width * height);
        for j in 0..height {
            let mut c: Vec<f64> = (0..width).map(|i| (i * spacing) as f64).collect();
            let mut r = vec![(j * spacing) as f64; width];
            projector.positions(&mut c, &mut r, meridian);
            nodes.extend(c.into_iter().zip(r));
        }
        Mesh { spacing, width, nodes, rows, cols }
    }

    /// Largest distance, in pixels of the image, between the interpolated and the exact position at the middle of the cells
    /// and of their upper and left edges. At most about a thousand rows and columns of cells are looked at.
    fn largest_error(&self, projector: &Projector, meridian: Option<f64>) -> f64 {
        let height = self.nodes.len() / self.width;
        let s = self.spacing as f64;
        let mut largest = 0.0f64;
        let step = (height / 500).max(1);
        for j in (0..height - 1).step_by(step) {
            for (dx, dy) in [(0.5, 0.5), (0.5, 0.0), (0.0, 0.5)] {
                let mut c: Vec<f64> = (0..self.width - 1).map(|i| (i as f64 + dx) * s).collect();
                let mut r = vec![(j as f64 + dy) * s; self.width - 1];
                projector.positions(&mut c, &mut r, meridian);
                for (i, (c, r)) in c.into_iter().zip(r).enumerate() {
                    let (ci, ri) = self.interpolated(j, i, dx, dy);
                    let error = (c - ci).hypot(r - ri);
                    largest = if error.is_nan() { largest } else { largest.max(error) };
                }
            }
        }
        largest
    }

    fn interpolated(&self, j: usize, i: usize, tx: f64, ty: f64) -> (f64, f64) {
        let (left, right) = (self.on_edge(j, i, ty), self.on_edge(j, i + 1, ty));
        (mix(left.0, right.0, tx), mix(left.1, right.1, tx))
    }

    /// Position on the vertical edge between nodes (j, i) and (j + 1, i).
    fn on_edge(&self, j: usize, i: usize, ty: f64) -> (f64, f64) {
        let (upper, lower) = (self.nodes[j * self.width + i], self.nodes[(j + 1) * self.width + i]);
        (mix(upper.0, lower.0, ty), mix(upper.1, lower.1, ty))
    }

    /// Positions (col, row) in the image of the centres of the reference pixels `col`.. of row `row`.
    pub(crate) fn positions(&self, row: usize, col: usize, cols_out: &mut [f64], rows_out: &mut [f64]) {
        let s = self.spacing;
        let j = (row / s).min(self.nodes.len() / self.width - 2);
        let ty = (row as f64 + 0.5 - (j * s) as f64) / s as f64;
        let mut k = 0;
        while k < cols_out.len() {
            let i = ((col + k) / s).min(self.width - 2);
            // The last cell also serves what lies beyond it.
            let end = if i == self.width - 2 { cols_out.len() } else { ((i + 1) * s - col).min(cols_out.len()) };
            let (left, right) = (self.on_edge(j, i, ty), self.on_edge(j, i + 1, ty));
            for (n, (c, r)) in cols_out[k..end].iter_mut().zip(&mut rows_out[k..end]).enumerate() {
                let tx = ((col + k + n) as f64 + 0.5 - (i * s) as f64) / s as f64;
                (*c, *r) = (mix(left.0, right.0, tx), mix(left.1, right.1, tx));
            }
            k = end;
        }
    }

    /// Positions of the nodes of all cells that a region touches.
    pub(crate) fn nodes_around(&self, region: Region) -> Vec<(f64, f64)> {
        let s = self.spacing;
        let last = |first: usize, length: usize, nodes: usize| ((first + length - 1) / s + 1).min(nodes - 1);
        let (j0, j1) = (region.row / s, last(region.row, region.rows, self.nodes.len() / self.width));
        let (i0, i1) = (region.col / s, last(region.col, region.cols, self.width));
        (j0..=j1).flat_map(|j| self.nodes[j * self.width + i0..=j * self.width + i1].iter().copied()).collect()
    }

    /// Whether every position is that of the same pixel of the reference, up to `tolerance` pixels.
    pub(crate) fn is_identity(&self, tolerance: f64) -> bool {
        self.nodes.iter().enumerate().all(|(n, (c, r))| {
            let (x, y) = ((n % self.width * self.spacing) as f64, (n / self.width * self.spacing) as f64);
            let outside = x > self.cols as f64 || y > self.rows as f64;
            outside || (c - x).abs() <= tolerance && (r - y).abs() <= tolerance
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.nodes.len() * std::mem::size_of::<(f64, f64)>()
    }
}

#[inline]
fn mix(a: f64, b: f64, t: f64) -> f64 {
    a + (b - a) * t
}
