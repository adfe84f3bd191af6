//! Where the pixels of one grid (the reference) lie in another image.
//!
//! A [`Mapping`] turns the centre of a reference pixel into a position in the other image, in its pixels, the first of
//! which spans 0 to 1. It is the identity, an affine map (same CRS, or no georeference and a whole ratio), or a mesh: the
//! exact transform at nodes every few reference pixels, anchored at the reference's corner, and bilinear in between. The
//! spacing is halved until the largest error, measured at the middle and the edges of every cell, is below
//! [`MESH_ERROR_PX`]. A position therefore depends on the pixel alone, never on the part of the scene that is asked for.

use std::fmt;
use std::sync::Arc;

use gdal::spatial_ref::SpatialRef;
use serde::Serialize;
use stfusion_core::resample::is_inside;
use stfusion_core::source::Resampling;
use stfusion_core::{Error, ErrorKind, Grid, Region, Result};

use crate::errors::Capture;
use crate::mesh::{Mesh, Projector};

/// Two grids are the same when no pixel is further off than this part of a pixel.
const SAME_GRID_PX: f64 = 0.01;

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
    pub resampling: Option<Resampling>,
    /// Part (0..1) of the fine grid that it covers.
    pub coverage: f64,
}

impl fmt::Display for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.same_grid {
            return write!(f, "{}: on the fine grid", self.image);
        }
        let (rows, cols) = self.scale;
        write!(f, "{}: one coarse pixel is {} x {} fine pixels", self.image, rounded(cols), rounded(rows))?;
        f.write_str(match (self.by_corner, self.crs_differs) {
            (true, _) => ", aligned at the upper-left corner",
            (false, true) => ", in another CRS",
            (false, false) => ", in the same CRS",
        })?;
        if let Some(resampling) = self.resampling {
            write!(f, ", {} resampling", stfusion_core::param::Choices::id(resampling))?;
        }
        if self.coverage < 1.0 {
            write!(f, ", covers {:.1} % of the fine image", 100.0 * self.coverage)?;
        }
        Ok(())
    }
}

fn rounded(v: f64) -> String {
    if (v - v.round()).abs() < 1e-6 {
        format!("{}", v.round())
    } else {
        format!("{v:.2}")
    }
}

/// Position in another image of every pixel of the reference grid.
#[derive(Debug, Clone)]
pub(crate) enum Mapping {
    /// Both grids are the same.
    Same,
    /// (col, row) in the other image = (a0 + a1 col + a2 row, a3 + a4 col + a5 row) of the continuous reference position.
    Affine([f64; 6]),
    /// Nodes of the exact transform.
    Mesh(Arc<Mesh>),
}

impl Mapping {
    /// Positions (col, row) in the other image of the centres of the pixels `col`.. of reference row `row`.
    pub(crate) fn positions(&self, row: usize, col: usize, cols_out: &mut [f64], rows_out: &mut [f64]) {
        let y = row as f64 + 0.5;
        match self {
            Mapping::Same => {
                for (k, (c, r)) in cols_out.iter_mut().zip(rows_out).enumerate() {
                    (*c, *r) = ((col + k) as f64 + 0.5, y);
                }
            }
            Mapping::Affine(a) => {
                for (k, (c, r)) in cols_out.iter_mut().zip(rows_out).enumerate() {
                    let x = (col + k) as f64 + 0.5;
                    (*c, *r) = (a[0] + a[1] * x + a[2] * y, a[3] + a[4] * x + a[5] * y);
                }
            }
            Mapping::Mesh(mesh) => mesh.positions(row, col, cols_out, rows_out),
        }
    }

    /// The pixels of an image of `rows` x `cols` that hold the positions of `region`, grown by `margin`; `None` when it has none.
    pub(crate) fn footprint(&self, region: Region, rows: usize, cols: usize, margin: usize) -> Option<Region> {
        if region.pixels() == 0 {
            return None;
        }
        let corner = |row: usize, col: usize| {
            let (mut c, mut r) = ([0.0], [0.0]);
            self.positions(row, col, &mut c, &mut r);
            (c[0], r[0])
        };
        let (last_row, last_col) = (region.row + region.rows - 1, region.col + region.cols - 1);
        let points = match self {
            Mapping::Mesh(mesh) => mesh.nodes_around(region),
            _ => vec![
                corner(region.row, region.col),
                corner(region.row, last_col),
                corner(last_row, region.col),
                corner(last_row, last_col),
            ],
        };
        let bound = |values: &mut dyn Iterator<Item = f64>, length: usize| {
            let (low, high) =
                values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            if low >= length as f64 || high < 0.0 || low > high {
                return None;
            }
            let first = (low.floor().max(0.0) as usize).saturating_sub(margin);
            let end = (high.floor().max(0.0) as usize).saturating_add(1 + margin).min(length);
            Some((first, end - first))
        };
        let (col, width) = bound(&mut points.iter().map(|p| p.0), cols)?;
        let (row, height) = bound(&mut points.iter().map(|p| p.1), rows)?;
        Some(Region::new(row, col, height, width))
    }

    /// Reference pixels per pixel side of the other image along (row, col), at the middle of the reference.
    pub(crate) fn scale(&self, reference: &Grid) -> (f64, f64) {
        if let Mapping::Affine(a) = self {
            return (1.0 / a[2].hypot(a[5]), 1.0 / a[1].hypot(a[4]));
        }
        let (row, col) = (reference.rows / 2, reference.cols / 2);
        let at = |row: usize, col: usize| {
            let (mut c, mut r) = ([0.0], [0.0]);
            self.positions(row, col, &mut c, &mut r);
            (c[0], r[0])
        };
        let (c0, r0) = at(row, col);
        let (c1, r1) = at(row, col + 1);
        let (c2, r2) = at(row + 1, col);
        (1.0 / (c2 - c0).hypot(r2 - r0), 1.0 / (c1 - c0).hypot(r1 - r0))
    }

    /// The mapping between reduced grids of the same extents, each given after the grid it was reduced from.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the transform between two CRS bends too much for so large pixels.
    pub(crate) fn reduced(&self, reference: (&Grid, &Grid), image: (&Grid, &Grid)) -> Result<Mapping> {
        let ratios = |(full, small): (&Grid, &Grid)| (full.rows as f64 / small.rows as f64, full.cols as f64 / small.cols as f64);
        let ((down, across), (image_down, image_across)) = (ratios(reference), ratios(image));
        let affine = |a: &[f64; 6]| {
            let of = |k: usize, by: f64| [a[k] / by, a[k + 1] * across / by, a[k + 2] * down / by];
            let ([c0, c1, c2], [r0, r1, r2]) = (of(0, image_across), of(3, image_down));
            Mapping::Affine([c0, c1, c2, r0, r1, r2])
        };
        match self {
            Mapping::Same if (reference.1.rows, reference.1.cols) == (image.1.rows, image.1.cols) => Ok(Mapping::Same),
            Mapping::Same => Ok(affine(&[0.0, 1.0, 0.0, 0.0, 0.0, 1.0])),
            Mapping::Affine(a) => Ok(affine(a)),
            Mapping::Mesh(_) => Projector::new(reference.1, image.1)
                .and_then(|p| Mesh::new(&p, reference.1))
                .map(|mesh| Mapping::Mesh(Arc::new(mesh)))
                .map_err(|reason| Error::new(ErrorKind::Data, format!("no overview can be made of it: {reason}"))),
        }
    }

    /// Memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Mapping::Mesh(mesh) => mesh.bytes(),
            _ => 0,
        }
    }
}

/// An image placed on a reference grid.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) mapping: Mapping,
    /// Reference pixels per pixel side along (row, col).
    pub(crate) scale: (f64, f64),
    pub(crate) crs_differs: bool,
    pub(crate) by_corner: bool,
    /// Part of the reference grid that the image covers.
    pub(crate) coverage: f64,
    pub(crate) warning: Option<String>,
}

/// A grid with the name that errors show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) grid: &'a Grid,
}

/// Places images on one reference grid; images of equal grids share their mesh.
#[derive(Debug)]
pub(crate) struct Placer<'a> {
    reference: Named<'a>,
    placed: Vec<(Grid, Placed)>,
}

impl<'a> Placer<'a> {
    pub(crate) fn new(reference: Named<'a>) -> Self {
        Placer { reference, placed: Vec::new() }
    }

    /// Places `image` on the reference grid.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the grids have no common pixel, cannot be transformed into each other, or have neither a
    /// common georeference nor a whole ratio of sizes.
    pub(crate) fn place(&mut self, image: Named<'_>) -> Result<Placed> {
        if let Some((_, placed)) = self.placed.iter().find(|(grid, _)| grid == image.grid) {
            return Ok(placed.clone());
        }
        let placed = place(self.reference, image)?;
        self.placed.push((image.grid.clone(), placed.clone()));
        Ok(placed)
    }
}

/// Whether two georeferences agree, as far as both are known, within a hundredth of a pixel; sizes must be equal.
pub(crate) fn transforms_agree(a: &Grid, b: &Grid) -> bool {
    match (a.transform, b.transform) {
        (Some(ta), Some(tb)) => match between(&ta, &tb) {
            Some(map) => is_identity(&map, a.rows, a.cols) && crs_agree(a, b),
            None => false,
        },
        _ => true,
    }
}

fn crs_agree(a: &Grid, b: &Grid) -> bool {
    match (&a.crs, &b.crs) {
        (Some(wa), Some(wb)) => wa == wb || same_crs(wa, wb),
        _ => true,
    }
}

fn same_crs(a: &str, b: &str) -> bool {
    let _capture = Capture::start();
    match (SpatialRef::from_wkt(a), SpatialRef::from_wkt(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// The affine map from positions of the grid of `from` to positions of the grid of `to`, both GDAL transforms in one CRS.
fn between(from: &[f64; 6], to: &[f64; 6]) -> Option<[f64; 6]> {
    let det = to[1] * to[5] - to[2] * to[4];
    if det == 0.0 || !det.is_finite() {
        return None;
    }
    // Differences of the corners first: coordinates are large, differences small.
    let (dx, dy) = (from[0] - to[0], from[3] - to[3]);
    let inverse = |x: f64, y: f64| ((to[5] * x - to[2] * y) / det, (to[1] * y - to[4] * x) / det);
    let (c0, r0) = inverse(dx, dy);
    let (c1, r1) = inverse(from[1], from[4]);
    let (c2, r2) = inverse(from[2], from[5]);
    Some([c0, c1, c2, r0, r1, r2])
}

fn is_identity(map: &[f64; 6], rows: usize, cols: usize) -> bool {
    let (w, h) = (cols as f64, rows as f64);
    [(0.0, 0.0), (w, 0.0), (0.0, h), (w, h)].iter().all(|(x, y)| {
        let (c, r) = (map[0] + map[1] * x + map[2] * y, map[3] + map[4] * x + map[5] * y);
        (c - x).abs() <= SAME_GRID_PX && (r - y).abs() <= SAME_GRID_PX
    })
}

/// Removes the rounding of georeferences: a pixel that is a whole number of reference pixels becomes exactly that, and
/// corners that meet at half a reference pixel meet exactly.
fn snapped(map: [f64; 6], rows: usize, cols: usize) -> [f64; 6] {
    let axis = |origin: f64, step: f64, length: usize| {
        let ratio = (1.0 / step).round();
        if ratio == 0.0 || !ratio.is_finite() || (step * ratio - 1.0).abs() * length as f64 > 1e-3 {
            return (origin, step);
        }
        let halves = origin * 2.0 * ratio;
        let near = (halves - halves.round()).abs() < 1e-3;
        (if near { halves.round() / (2.0 * ratio) } else { origin }, 1.0 / ratio)
    };
    let is_straight = map[2] == 0.0 && map[4] == 0.0;
    if !is_straight {
        return map;
    }
    let (c0, c1) = axis(map[0], map[1], cols);
    let (r0, r2) = axis(map[3], map[5], rows);
    [c0, c1, 0.0, r0, 0.0, r2]
}

fn place(reference: Named<'_>, image: Named<'_>) -> Result<Placed> {
    let (Some(from), Some(to)) = (reference.grid.transform, image.grid.transform) else {
        return place_by_corner(reference, image);
    };
    let (grid, other) = (reference.grid, image.grid);
    let (mapping, crs_differs) = if crs_agree(grid, other) {
        let map = between(&from, &to).ok_or_else(|| Error::internal("a georeference that cannot be inverted").at(image.name))?;
        let map = snapped(map, grid.rows, grid.cols);
        let same = (grid.rows, grid.cols) == (other.rows, other.cols) && is_identity(&map, grid.rows, grid.cols);
        (if same { Mapping::Same } else { Mapping::Affine(map) }, false)
    } else {
        let mesh = Projector::new(grid, other)
            .and_then(|p| Mesh::new(&p, grid))
            .map_err(|reason| no_transform(reference, image, &reason))?;
        let same = (grid.rows, grid.cols) == (other.rows, other.cols) && mesh.is_identity(SAME_GRID_PX);
        (if same { Mapping::Same } else { Mapping::Mesh(Arc::new(mesh)) }, true)
    };
    let coverage = coverage(&mapping, grid, other);
    if coverage == 0.0 {
        return Err(no_overlap(reference, image));
    }
    let warning = match (&grid.crs, &other.crs) {
        (Some(_), None) => Some(format!("{} does not say its CRS: taken to be that of {}", image.name, reference.name)),
        (None, Some(_)) => Some(format!("{} does not say its CRS: taken to be that of {}", reference.name, image.name)),
        _ => None,
    };
    Ok(Placed { scale: mapping.scale(grid), mapping, crs_differs, by_corner: false, coverage, warning })
}

fn place_by_corner(reference: Named<'_>, image: Named<'_>) -> Result<Placed> {
    let (grid, other) = (reference.grid, image.grid);
    let lacking: Vec<&str> = [reference, image].iter().filter(|n| n.grid.transform.is_none()).map(|n| n.name).collect();
    let ratio = |a: usize, b: usize| (b > 0 && a.is_multiple_of(b)).then(|| a / b);
    let found = ratio(grid.rows, other.rows).zip(ratio(grid.cols, other.cols)).filter(|(r, c)| r == c);
    // A mask may be the finer of the two.
    let inverse = ratio(other.rows, grid.rows).zip(ratio(other.cols, grid.cols)).filter(|(r, c)| r == c);
    let step = match (found, inverse) {
        (Some((r, _)), _) => 1.0 / r as f64,
        (None, Some((r, _))) => r as f64,
        (None, None) => {
            let lacks = match lacking.as_slice() {
                [one] => format!("{one} has no georeference"),
                _ => "neither has a georeference".into(),
            };
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "{} is {} x {} pixels (columns x rows) and {} is {} x {}: {lacks}, and one size is not the same whole multiple \
                     of the other in both directions",
                    reference.name, grid.cols, grid.rows, image.name, other.cols, other.rows
                ),
            )
            .with_hint(
                "Give both images a georeference (gdal_edit.py -a_srs … -a_ullr …), or crop them so that one coarse pixel is a whole \
                 number of fine pixels and the upper-left corners meet.",
            ));
        }
    };
    let mapping = if step == 1.0 { Mapping::Same } else { Mapping::Affine([0.0, step, 0.0, 0.0, 0.0, step]) };
    let warning = (lacking.len() == 1).then(|| {
        format!(
            "{} has no georeference: {} and {} are aligned at their upper-left corners",
            lacking[0], reference.name, image.name
        )
    });
    Ok(Placed { mapping, scale: (1.0 / step, 1.0 / step), crs_differs: false, by_corner: true, coverage: 1.0, warning })
}

/// Part of the reference grid whose pixel centres lie in the image, counted on at most about a million pixels unless that
/// finds none.
fn coverage(mapping: &Mapping, grid: &Grid, other: &Grid) -> f64 {
    if matches!(mapping, Mapping::Same) {
        return 1.0;
    }
    let count = |step: usize| {
        let (mut inside, mut all) = (0usize, 0usize);
        let (mut c, mut r) = (vec![0.0; grid.cols], vec![0.0; grid.cols]);
        for row in (0..grid.rows).step_by(step) {
            mapping.positions(row, 0, &mut c, &mut r);
            for k in (0..grid.cols).step_by(step) {
                inside += usize::from(is_inside(c[k], r[k], other.rows, other.cols));
                all += 1;
            }
        }
        inside as f64 / all.max(1) as f64
    };
    let step = (grid.rows.max(grid.cols) / 1024).max(1);
    match count(step) {
        0.0 if step > 1 => count(1),
        part => part,
    }
}

fn no_transform(reference: Named<'_>, image: Named<'_>, reason: &str) -> Error {
    Error::new(
        ErrorKind::Data,
        format!(
            "{} ({}) cannot be brought onto the grid of {} ({}): {reason}",
            image.name,
            crs_name(image.grid),
            reference.name,
            crs_name(reference.grid)
        ),
    )
    .with_hint("Check the CRS of both files with gdalinfo; assign the right one with gdal_edit.py -a_srs EPSG:… FILE.")
}

fn no_overlap(reference: Named<'_>, image: Named<'_>) -> Error {
    Error::new(
        ErrorKind::Data,
        format!(
            "{} and {} have no pixel in common: the first covers {}, the second {}",
            reference.name,
            image.name,
            place_in_words(reference.grid),
            place_in_words(image.grid)
        ),
    )
    .with_hint(
        "Choose images of the same place. If they are, one file has a wrong CRS or georeference: correct it with gdal_edit.py.",
    )
}

fn crs_name(grid: &Grid) -> String {
    let _capture = Capture::start();
    let name = grid.crs.as_ref().and_then(|wkt| SpatialRef::from_wkt(wkt).ok()).and_then(|s| s.name());
    name.filter(|n| !n.is_empty()).unwrap_or_else(|| if grid.crs.is_some() { "an unnamed CRS" } else { "no CRS" }.into())
}

/// Extent and CRS, and the longitudes and latitudes when they can be computed.
fn place_in_words(grid: &Grid) -> String {
    let Some(t) = grid.transform else { return "an unknown place".into() };
    let corners = [(0, 0), (grid.cols, 0), (0, grid.rows), (grid.cols, grid.rows)]
        .map(|(c, r)| (t[0] + t[1] * c as f64 + t[2] * r as f64, t[3] + t[4] * c as f64 + t[5] * r as f64));
    let range = |values: [f64; 4]| values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let (x, y) = (range(corners.map(|c| c.0)), range(corners.map(|c| c.1)));
    let digits = if x.1.abs().max(y.1.abs()) < 1000.0 { 3 } else { 0 };
    let plain = format!("x {:.digits$} to {:.digits$}, y {:.digits$} to {:.digits$} in {}", x.0, x.1, y.0, y.1, crs_name(grid));
    match Projector::to_longitude_latitude(grid).map(|p| corners.map(|(x, y)| p.point(x, y))) {
        Some(points) if points.iter().all(Option::is_some) => {
            let lon = range(points.map(|p| p.map_or(f64::NAN, |p| p.0)));
            let lat = range(points.map(|p| p.map_or(f64::NAN, |p| p.1)));
            format!("{plain} (longitude {:.2} to {:.2}, latitude {:.2} to {:.2})", lon.0, lon.1, lat.0, lat.1)
        }
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: usize, cols: usize, transform: [f64; 6]) -> Grid {
        Grid { rows, cols, transform: Some(transform), crs: None }
    }

    fn placed(a: &Grid, b: &Grid) -> Result<Placed> {
        place(Named { name: "fine.tif", grid: a }, Named { name: "coarse.tif", grid: b })
    }

    #[test]
    fn a_whole_ratio_is_exact_in_spite_of_rounded_georeferences() {
        let fine = grid(400, 400, [146.0, 0.001, 0.0, -34.8, 0.0, -0.001]);
        let coarse = grid(40, 40, [146.0, 0.01, 0.0, -34.8 + 1e-14, 0.0, -0.01]);
        let placed = placed(&fine, &coarse).unwrap();
        assert!(matches!(placed.mapping, Mapping::Affine(m) if m == [0.0, 0.1, 0.0, 0.0, 0.0, 0.1]), "{:?}", placed.mapping);
        assert!((placed.scale.0 - 10.0).abs() < 1e-12 && placed.coverage == 1.0);
    }

    #[test]
    fn half_of_the_grid_is_covered() {
        let fine = grid(100, 100, [0.0, 1.0, 0.0, 100.0, 0.0, -1.0]);
        let coarse = grid(10, 5, [50.0, 10.0, 0.0, 100.0, 0.0, -10.0]);
        let placed = placed(&fine, &coarse).unwrap();
        assert_eq!(placed.coverage, 0.5);
        assert_eq!(placed.mapping.footprint(Region::new(0, 60, 10, 10), 10, 5, 1), Some(Region::new(0, 0, 2, 3)));
        assert_eq!(placed.mapping.footprint(Region::new(0, 0, 10, 10), 10, 5, 1), None);
    }

    #[test]
    fn images_without_overlap_or_ratio_are_refused_with_both_places() {
        let fine = grid(100, 100, [0.0, 1.0, 0.0, 100.0, 0.0, -1.0]);
        let error = placed(&fine, &grid(10, 10, [500.0, 10.0, 0.0, 100.0, 0.0, -10.0])).unwrap_err();
        assert!(error.message().contains("no pixel in common: the first covers x 0.000 to 100.000"), "{error}");
        let error = placed(&Grid::pixels(100, 100), &Grid::pixels(33, 33)).unwrap_err();
        assert_eq!(
            error.message(),
            "fine.tif is 100 x 100 pixels (columns x rows) and coarse.tif is 33 x 33: neither has a georeference, and one size is \
             not the same whole multiple of the other in both directions"
        );
        let error = placed(&fine, &Grid::pixels(10, 20)).unwrap_err();
        assert!(error.message().contains("coarse.tif has no georeference"), "{error}");
        assert!(error.hint().unwrap().contains("gdal_edit.py"));
    }

    #[test]
    fn a_whole_ratio_without_georeference_is_aligned_at_the_corner() {
        let placed = placed(&Grid::pixels(480, 480), &Grid::pixels(30, 30)).unwrap();
        assert!(placed.by_corner && placed.scale == (16.0, 16.0) && placed.warning.is_none());
        assert_eq!(placed.mapping.footprint(Region::new(16, 32, 16, 16), 30, 30, 0), Some(Region::new(1, 2, 1, 1)));
    }
}
