//! The prediction of pixels in all bands.

use std::ops::Range;

use stfusion_core::method::Fallback;

use super::block::Block;
use super::conversion::Sums;
use super::inputs::{distances, search_area, Inputs, Place};
use super::parameters::ThresholdScope;
use super::rules::{Rules, LEAST_MEAN_CHANGE};
use super::window::{self, Area, List, Part, Samples, Similar, CHUNK, MOMENTS};
use crate::blocks::keys;

/// Rows of neighbouring pixels that are predicted together, because their windows share the second-level cache.
pub const ROWS: usize = 4;

/// Columns of them, because the rows of their windows share the first-level cache.
pub const COLS: usize = 16;

/// Partial sums of a difference, so that the order of additions is that of no particular vector.
const PARTS: usize = 4;

/// What comes out for a pixel.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The prediction in every band, `NaN` where there is none.
    pub values: Vec<f32>,
    /// Number of similar pixels.
    pub similar: usize,
    /// How far the method's full rule was left, in the band that is farthest from it.
    pub fallback: Fallback,
}

/// Buffers of one pixel of a run.
#[derive(Debug, Clone, Default)]
struct Gathered {
    /// Number of similar pixels that are used.
    similar: usize,
    /// Whether there are enough of them.
    enough: bool,
    /// How many of the nearest are used, if not all.
    most: Option<usize>,
    /// Weighted sums ([`super::window::Layout::weighted`]).
    weighted: Vec<f32>,
    /// Moments for the regression, if there is one.
    moments: Vec<f32>,
    /// The nearest samples, sorted: difference and position.
    nearest: Vec<u64>,
    /// Fine values of the centre as in records, in whole [`PARTS`].
    centre: Vec<f32>,
    /// 1 / tolerance in every image, 0 where it is not tested.
    scale: Vec<f32>,
}

/// Buffers for one run of pixels after the other.
#[derive(Debug)]
pub struct Pixels {
    /// Range of similar keys in every image, for every pixel of a row of a run.
    ranges: [Vec<(i32, i32)>; ROWS],
    /// Similar samples of every row of a run.
    similar: [Similar; ROWS],
    run: Vec<Gathered>,
    /// Samples at hand, with their distances or weights.
    list: List,
    order: Vec<u64>,
    distances: Vec<f32>,
    /// Sum of coefficient times weighted change, by number of the image.
    changes: Vec<f64>,
    /// Sum of the weights.
    weight: f64,
    temporal: Vec<f64>,
    outcome: Outcome,
}

impl Pixels {
    /// Buffers without content.
    pub fn new(block: &Block, rules: &Rules) -> Self {
        let layout = block.samples.layout;
        let pixel = Gathered {
            weighted: vec![0.0; layout.weighted()],
            moments: vec![0.0; if rules.regression.is_some() { MOMENTS * layout.images } else { 0 }],
            centre: vec![0.0; rules.planes().next_multiple_of(PARTS)],
            scale: vec![0.0; rules.planes().next_multiple_of(PARTS)],
            ..Gathered::default()
        };
        Pixels {
            ranges: Default::default(),
            similar: Default::default(),
            run: vec![pixel; ROWS * COLS],
            list: List::default(),
            order: Vec::new(),
            distances: distances(rules),
            changes: vec![0.0; rules.planes()],
            weight: 0.0,
            temporal: vec![0.0; rules.planes()],
            outcome: Outcome { values: vec![f32::NAN; rules.bands], similar: 0, fallback: Fallback::None },
        }
    }

    /// Predicts pixels of the block from (row, col) on, at most [`ROWS`] x [`COLS`], and calls `of` with row and column of each.
    pub fn predict(
        &mut self,
        inputs: Inputs<'_, '_, '_>,
        (row, col): (usize, usize),
        mut of: impl FnMut(usize, usize, &Outcome),
    ) {
        let Inputs { block, rules, .. } = inputs;
        let (rows, cols) = ((block.region.rows - row).min(ROWS), (block.region.cols - col).min(COLS));
        for r in 0..rows {
            self.ranges[r].clear();
            for c in 0..cols {
                self.add_ranges(inputs, inputs.place(row + r, col + c), r * COLS + c);
            }
            if rules.cells.is_none() {
                let area = search_area(inputs, inputs.place(row + r, col));
                window::find_similar(block.path, &block.samples, &self.ranges[r], area, &mut self.similar[r]);
            }
        }
        if rules.cells.is_none() {
            self.gather(inputs, inputs.place(row, col), (rows, cols));
        }
        for r in 0..rows {
            for c in 0..cols {
                let place = inputs.place(row + r, col + c);
                if rules.cells.is_some() {
                    self.gather_cells(inputs, place, (r, c));
                }
                self.finish(inputs, place, (r, c));
                of(row + r, col + c, &self.outcome);
            }
        }
    }

    /// Adds the range of similar keys around the centre, pixel number `i` of the run, in every image (equation 13).
    fn add_ranges(&mut self, inputs: Inputs<'_, '_, '_>, place: Place, i: usize) {
        let Inputs { block, rules, tolerances, .. } = inputs;
        for p in 0..rules.planes() {
            let centre = inputs.fine(p, place);
            let deviation = match tolerances.scope {
                ThresholdScope::Image => tolerances.deviations[p],
                ThresholdScope::Window => block.deviations[p][place.pixel],
            };
            let tolerance = 2.0 * deviation / rules.classes;
            // what the centre lacks, and what is the same everywhere, does not tell pixels apart
            let tested = !centre.is_nan() && tolerance > 0.0;
            let gathered = &mut self.run[i];
            gathered.scale[p] = if tested { (1.0 / tolerance) as f32 } else { 0.0 };
            gathered.centre[p] = if tested { centre - inputs.origin[p % rules.bands] } else { 0.0 };
            self.ranges[i / COLS].push(match (tested, rules.inclusive) {
                (false, _) => keys::ANY,
                (true, false) => keys::key_range(centre, tolerance),
                (true, true) => keys::closed_key_range(centre, tolerance),
            });
        }
    }

    /// Sums the similar samples of `rows` x `cols` pixels from `place` on, some rows of their windows at a time.
    fn gather(&mut self, inputs: Inputs<'_, '_, '_>, place: Place, (rows, cols): (usize, usize)) {
        let (block, rules) = (inputs.block, inputs.rules);
        let each = |of: &mut dyn FnMut(usize, usize)| (0..rows).for_each(|r| (0..cols).for_each(|c| of(r, c)));
        each(&mut |r, c| {
            let pixel = &mut self.run[r * COLS + c];
            pixel.count(self.similar[r].count(c), rules);
            pixel.start();
        });
        let window = search_area(inputs, place);
        let at_once = (CHUNK / window.cols).max(1);
        for first in (0..window.rows).step_by(at_once) {
            let part_rows = first..(first + at_once).min(window.rows);
            each(&mut |r, c| {
                let pixel = &mut self.run[r * COLS + c];
                if !pixel.enough {
                    return;
                }
                let area = Area { row: window.row + r, col: window.col + c, ..window };
                let centre = place.sample + r * block.samples.cols + c;
                let part = part_of(inputs, &self.similar[r], c, part_rows.clone(), area, centre, &self.distances);
                match pixel.most {
                    Some(most) => {
                        window::list_similar(block.path, &block.samples, &part, &mut self.list);
                        pixel.offer(self.list.positions(), &block.samples, most);
                    }
                    None => {
                        let (weighted, moments) = (&mut pixel.weighted, &mut pixel.moments);
                        window::add_similar(block.path, &block.samples, &part, &mut self.list, weighted, moments);
                    }
                }
            });
        }
        each(&mut |r, c| {
            let pixel = &mut self.run[r * COLS + c];
            if pixel.most.is_some() {
                let centre = place.sample + r * block.samples.cols + c;
                list_nearest(inputs, pixel, centre, &self.distances, &mut self.list);
                window::weigh(&block.samples, &mut self.list);
                pixel.add(block, self.list.positions(), self.list.weights());
            }
        });
    }

    /// Sums the similar samples of a pixel of the run, those of each coarse pixel with a coefficient of their own, into the weighted
    /// changes.
    fn gather_cells(&mut self, inputs: Inputs<'_, '_, '_>, place: Place, (r, c): (usize, usize)) {
        let Inputs { block, rules, images, .. } = inputs;
        let Some(side) = rules.cells else { return };
        let (area, planes, i) = (search_area(inputs, place), rules.planes(), r * COLS + c);
        let ranges = &self.ranges[r][c * planes..][..planes];
        window::find_similar(block.path, &block.samples, ranges, area, &mut self.similar[0]);
        let part = part_of(inputs, &self.similar[0], 0, 0..area.rows, area, place.sample, &self.distances);
        window::list_similar(block.path, &block.samples, &part, &mut self.list);
        // what lies beyond the window serves the coefficient of its coarse pixel only
        self.run[i].count(self.list.weights().iter().filter(|distance| !distance.is_nan()).count(), rules);
        self.weight = 0.0;
        self.changes.fill(0.0);
        if !self.run[i].enough {
            return;
        }
        if let Some(most) = self.run[i].most {
            self.run[i].start();
            self.run[i].offer(self.list.positions(), &block.samples, most);
            list_nearest(inputs, &self.run[i], place.sample, &self.distances, &mut self.list);
        }
        window::weigh(&block.samples, &mut self.list);
        let cols = block.samples.cols;
        let (scene_row, scene_col) = (images.tile.padded.row + place.row, images.tile.padded.col + place.col);
        let cell = |position: u32| {
            let (row, col) = (position as usize / cols, position as usize % cols);
            let (row, col) = (scene_row + row - place.sample / cols, scene_col + col - place.sample % cols);
            (((row / side) << 20) | (col / side)) as u64
        };
        // the samples of one coarse pixel after the other, each in the order of the list
        const LIST_BITS: usize = 24;
        let listed = self.list.positions().iter().enumerate();
        self.order.clear();
        self.order.extend(listed.map(|(i, &position)| cell(position) << LIST_BITS | i as u64));
        self.order.sort_unstable();
        let places = self.order.iter().map(|o| (*o & ((1 << LIST_BITS) - 1)) as usize);
        let sorted: Vec<_> = places.map(|at| (self.list.positions()[at], self.list.weights()[at])).collect();
        self.list.set(sorted.into_iter());
        let mut start = 0;
        while start < self.order.len() {
            let of_cell = self.order[start] >> LIST_BITS;
            let end = start + self.order[start..].iter().take_while(|o| **o >> LIST_BITS == of_cell).count();
            self.run[i].start();
            self.run[i].add(block, &self.list.positions()[start..end], &self.list.weights()[start..end]);
            self.add_changes(inputs, i, end - start);
            start = end;
        }
    }

    /// Adds to the weighted changes what the sums of pixel number `i`, over `count` samples that share their coefficients, say.
    fn add_changes(&mut self, inputs: Inputs<'_, '_, '_>, i: usize, count: usize) {
        let (layout, pixel) = (inputs.block.samples.layout, &self.run[i]);
        let (coarse, target) = pixel.weighted.split_at(layout.images);
        self.weight += f64::from(target[layout.one]);
        for (band, &target) in target[..inputs.rules.bands].iter().enumerate() {
            let moment = |m: usize| move |p: usize| f64::from(pixel.moments[m * layout.images + p]);
            let coefficient = match &inputs.rules.regression {
                Some(regression) => {
                    let over_pairs = |m: usize| inputs.images_of(band).map(moment(m)).sum();
                    let sums =
                        Sums { count: count as f64, y: over_pairs(1), xx: over_pairs(2), xy: over_pairs(3), yy: over_pairs(4) };
                    regression.coefficient(&sums, inputs.images_of(band).map(moment(0)))
                }
                None => 1.0,
            };
            for p in inputs.images_of(band) {
                self.changes[p] += coefficient * (f64::from(target) - f64::from(coarse[p]));
            }
        }
    }

    /// Predicts a pixel of a run, whose samples are gathered.
    fn finish(&mut self, inputs: Inputs<'_, '_, '_>, place: Place, (r, c): (usize, usize)) {
        let (rules, i) = (inputs.rules, r * COLS + c);
        self.outcome.values.fill(f32::NAN);
        (self.outcome.similar, self.outcome.fallback) = (0, Fallback::None);
        if !self.weigh_pairs(inputs, place) {
            return;
        }
        self.outcome.similar = self.run[i].similar;
        let enough = self.run[i].enough;
        if enough && rules.cells.is_none() {
            self.weight = 0.0;
            self.changes.fill(0.0);
            self.add_changes(inputs, i, self.run[i].similar);
        }
        let mut listed = rules.cells.is_some();
        for band in 0..rules.bands {
            let value = self.value(inputs, place, band, enough);
            let out_of_range = rules.data_range.filter(|&(low, high)| enough && (value <= low || value >= high));
            let value = match out_of_range {
                Some(_) => {
                    self.outcome.fallback = self.outcome.fallback.max(Fallback::OutOfRange);
                    if !listed {
                        self.list_again(inputs, place, (r, c));
                        listed = true;
                    }
                    self.over_pairs(inputs, band, |p| self.mean_fine(inputs, p))
                }
                None => value,
            } as f32;
            self.outcome.values[band] = if value.is_finite() { value } else { f32::NAN };
        }
    }

    /// Lists the samples that a pixel of a run was predicted from, with their weights.
    fn list_again(&mut self, inputs: Inputs<'_, '_, '_>, place: Place, (r, c): (usize, usize)) {
        let (block, pixel) = (inputs.block, &self.run[r * COLS + c]);
        if pixel.most.is_some() {
            list_nearest(inputs, pixel, place.sample, &self.distances, &mut self.list);
        } else {
            let area = search_area(inputs, place);
            let part = part_of(inputs, &self.similar[r], c, 0..area.rows, area, place.sample, &self.distances);
            window::list_similar(block.path, &block.samples, &part, &mut self.list);
        }
        window::weigh(&block.samples, &mut self.list);
    }

    /// Sets the temporal weight of every image (equation 18); 0 where a pair does not take part. False where no band can be predicted.
    fn weigh_pairs(&mut self, inputs: Inputs<'_, '_, '_>, place: Place) -> bool {
        let mut any = false;
        for band in 0..inputs.rules.bands {
            let mut sum = 0.0;
            for p in inputs.images_of(band) {
                let takes_part = !(inputs.fine(p, place).is_nan() | inputs.change(p, place).is_nan());
                let change = inputs.mean_change(p, place).abs();
                self.temporal[p] = if takes_part { 1.0 / (change + LEAST_MEAN_CHANGE) } else { 0.0 };
                sum += self.temporal[p];
            }
            any |= sum > 0.0;
            for p in inputs.images_of(band).filter(|_| sum > 0.0) {
                self.temporal[p] /= sum;
            }
        }
        any
    }

    /// Sum over the pairs that take part of temporal weight times what `of` says of the image of a band.
    fn over_pairs(&self, inputs: Inputs<'_, '_, '_>, band: usize, of: impl Fn(usize) -> f64) -> f64 {
        inputs.images_of(band).filter(|&p| self.temporal[p] > 0.0).map(|p| self.temporal[p] * of(p)).sum()
    }

    /// The prediction in a band from the sums (equations 11 and 19), or without them where there are not `enough` similar pixels;
    /// `NaN` without pairs that take part.
    fn value(&mut self, inputs: Inputs<'_, '_, '_>, place: Place, band: usize, enough: bool) -> f64 {
        if inputs.images_of(band).all(|p| self.temporal[p] == 0.0) {
            return f64::NAN;
        }
        let fine = |p: usize| f64::from(inputs.fine(p, place));
        if enough {
            return self.over_pairs(inputs, band, |p| fine(p) + self.changes[p] / self.weight);
        }
        self.outcome.fallback = self.outcome.fallback.max(Fallback::FewSimilar);
        if inputs.rules.copy_few {
            self.over_pairs(inputs, band, fine)
        } else {
            self.over_pairs(inputs, band, |p| fine(p) + inputs.mean_change(p, place))
        }
    }

    /// Weighted mean of the fine values of the listed samples in image number `p`.
    fn mean_fine(&self, inputs: Inputs<'_, '_, '_>, p: usize) -> f64 {
        let values = self.list.positions().iter().map(|&position| f64::from(inputs.block.samples.record(position)[p]));
        let weights = || self.list.weights().iter().map(|&weight| f64::from(weight));
        let sum: f64 = values.zip(weights()).map(|(value, weight)| value * weight).sum();
        f64::from(inputs.origin[p % inputs.rules.bands]) + sum / weights().sum::<f64>()
    }
}

impl Gathered {
    /// Notes that `found` samples of the window are similar.
    fn count(&mut self, found: usize, rules: &Rules) {
        self.enough = found >= rules.least_similar;
        self.most = rules.nearest.filter(|&most| self.enough && most < found);
        self.similar = self.most.unwrap_or(found);
    }

    /// Empties the sums.
    fn start(&mut self) {
        self.weighted.fill(0.0);
        self.moments.fill(0.0);
        self.nearest.clear();
    }

    /// Adds samples to the sums.
    fn add(&mut self, block: &Block, positions: &[u32], weights: &[f32]) {
        let (weighted, moments) = (&mut self.weighted, &mut self.moments);
        window::add_records(block.path, &block.samples, positions, weights, weighted, moments);
    }

    /// Keeps the `most` samples, of those seen so far and those in `list`, that differ least from the centre; of two equals the first.
    fn offer(&mut self, list: &[u32], samples: &Samples, most: usize) {
        for &position in list {
            let fine = samples.record(position)[..self.centre.len()].chunks_exact(PARTS);
            let mut parts = [0.0f32; PARTS];
            for ((fine, centre), scale) in fine.zip(self.centre.chunks_exact(PARTS)).zip(self.scale.chunks_exact(PARTS)) {
                for (n, part) in parts.iter_mut().enumerate() {
                    *part += (fine[n] - centre[n]).abs() * scale[n];
                }
            }
            let difference = (parts[0] + parts[2]) + (parts[1] + parts[3]);
            insert(&mut self.nearest, u64::from(difference.to_bits()) << 32 | u64::from(position), most);
        }
    }
}

/// Some rows of the window `area` of pixel number `pixel` in `similar`, whose sample is at position `centre`.
fn part_of<'a>(
    inputs: Inputs<'_, '_, '_>,
    similar: &'a Similar,
    pixel: usize,
    rows: Range<usize>,
    area: Area,
    centre: usize,
    distances: &'a [f32],
) -> Part<'a> {
    let (cols, reach) = (inputs.block.samples.cols, inputs.rules.reach());
    let (row, side) = (area.row + rows.start, 2 * reach + 1);
    let corner = (row + reach - centre / cols) * side + area.col + reach - centre % cols;
    Part { similar, pixel, rows, first: row * cols + area.col, distances: &distances[corner..], side }
}

/// Lists the nearest samples of a pixel at position `centre`, in the order of the window, with their distances.
fn list_nearest(inputs: Inputs<'_, '_, '_>, pixel: &Gathered, centre: usize, distances: &[f32], list: &mut List) {
    let (cols, reach) = (inputs.block.samples.cols, inputs.rules.reach());
    let (row, col) = (centre / cols, centre % cols);
    let mut positions: Vec<u32> = pixel.nearest.iter().map(|o| *o as u32).collect();
    positions.sort_unstable();
    list.set(positions.into_iter().map(|position| {
        let (y, x) = (position as usize / cols + reach - row, position as usize % cols + reach - col);
        (position, distances[y * (2 * reach + 1) + x])
    }));
}

/// Inserts `new` into a sorted list of the `most` smallest.
fn insert(sorted: &mut Vec<u64>, new: u64, most: usize) {
    if sorted.len() < most {
        sorted.push(new);
    } else if sorted.last().is_some_and(|&last| new < last) {
        sorted[most - 1] = new;
    } else {
        return;
    }
    let mut at = sorted.len() - 1;
    while at > 0 && sorted[at - 1] > new {
        sorted[at] = sorted[at - 1];
        at -= 1;
    }
    sorted[at] = new;
}
