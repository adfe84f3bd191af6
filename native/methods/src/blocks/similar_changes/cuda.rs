//! Changes averaged on a GPU: the kernels of `cuda/blocks/similar_changes.cu` around the search of `cuda/blocks/nearest.cu`, and what FSDAF,
//! SFSDAF and IFSDAF do alike before it. The same predictions as on the CPU, bit for bit; nothing comes back before the last kernel.

use bytemuck::{Pod, Zeroable};
use ndarray::Array3;
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::method::{DeviceCost, Fallback, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::{inside, SimilarChanges, ONE_CLASS};
use crate::blocks::cells_of_tile::CellsOfTile;
use crate::blocks::classes::{cuda as classes, Classes};
use crate::blocks::homogeneity::cuda::homogeneity;
use crate::blocks::nearest::cuda::{self as nearest, PlaneRule};
use crate::blocks::on_device::{buffer_of, optional, over_pixels, room_for, threads_for, Outputs, THREADS};
use crate::blocks::pair_weights::PairJob;
use crate::blocks::tile_images::TileImages;

/// `SimilarFinish` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Finish {
    low: f64,
    high: f64,
    out_rows: i32,
    out_cols: i32,
    row_offset: i32,
    col_offset: i32,
    half: i32,
    classes: i32,
    band_step: i64,
    cell_step: i64,
    pairs: i32,
    is_first: i32,
    is_last: i32,
    unused: i32,
}

/// Why changes of classes leave the rule.
#[derive(Debug, Clone, Copy)]
pub enum Marks<'a> {
    /// `[band][class]`, alike in all cells.
    OfClasses(&'a [Vec<Fallback>]),
    /// Numbers cell by cell, class by class, alike in all bands.
    OfCells(&'a [u8]),
}

/// What averaging knows of a pair.
#[derive(Clone, Copy)]
pub struct PairFacts<'a> {
    /// Its classes.
    pub classes: &'a Classes,
    /// Coarse value of the target minus that of the pair, (band, cell row, cell col); `NaN` where one is missing.
    pub coarse_changes: &'a Array3<f32>,
    /// Differences that similar pixels are below, band by band, if there are such limits.
    pub tolerances: Option<&'a [f32]>,
    /// Why changes of its classes leave the rule.
    pub marks: Marks<'a>,
}

/// A pair on a device, with what the method keeps there of it.
pub struct Pair<P> {
    index: usize,
    classes: classes::OnDevice,
    coarse_changes: Buffer,
    weights: Option<Buffer>,
    marks: Buffer,
    /// Steps between the marks of bands and of cells.
    mark_steps: (i64, i64),
    planes: Vec<PlaneRule>,
    own: P,
}

/// A pair in a tile: what the changes of its pixels are made of.
pub struct PairOfTile<'a, P> {
    /// The cells whose pixels need changes.
    pub cells: CellsOfTile,
    /// Number of classes.
    pub classes: i32,
    /// Fine values, (band, row, col) of the padded tile, and labels in the plane behind them.
    pub fine: &'a Buffer,
    /// Homogeneity of the pixels of the cells.
    pub homogeneity: &'a Buffer,
    /// Coarse changes, (band, cell row, cell col).
    pub coarse_changes: &'a Buffer,
    /// What the method keeps of the pair.
    pub own: &'a P,
    /// Room for the changes, as fine values; `NaN` throughout.
    pub changes: &'a Buffer,
}

/// The averaging on a device.
pub struct OnDevice<'a> {
    similar: &'a SimilarChanges,
    homogeneity_half: usize,
    search: nearest::OnDevice,
    nearness: Buffer,
}

/// What a tile costs on a device with images of `bands` bands, `most` similar pixels of windows with `half` pixels on each side, and
/// pairs that are combined or not; with the changes, their homogeneity and one image brought to fine pixels.
pub fn device_cost(bands: usize, most: usize, half: usize, combined: bool) -> DeviceCost {
    // fine values, labels, class map; homogeneity, spatial prediction, changes, usable pixels
    let of_padded = (bands + 2) + 1 + bands + bands + 1;
    // means, image, sums in double; support, numbers of valid pixels
    let of_output = bands + bands + if combined { 4 * bands } else { 0 } + 3 + 1;
    DeviceCost {
        bytes_per_px: 4 * (of_padded + of_output) + nearest::bytes_per_px(bands + 1, most),
        fixed_bytes: (bands + 1) * size_of::<PlaneRule>(),
        prepared_bytes: nearest::bytes(half) + 4 * (2 * half + 1).pow(2),
    }
}

impl<P> Pair<P> {
    /// Puts a pair of `job` on the device of `queue`; `own` is there already.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new<M>(
        similar: &SimilarChanges,
        job: &PairJob<M>,
        facts: PairFacts<'_>,
        own: P,
        queue: &mut dyn Queue,
    ) -> Result<Pair<P>> {
        let bands = facts.coarse_changes.dim().0;
        let classes = facts.classes.count();
        let mut planes: Vec<PlaneRule> = (0..bands)
            .map(|band| PlaneRule::plain(band).below(facts.tolerances.map_or(f32::INFINITY, |t| t[band])))
            .map(|rule| if similar.relative { rule.relative() } else { rule })
            .collect();
        if similar.same_class {
            planes.push(PlaneRule::plain(bands).with_factor(0.0).below(ONE_CLASS));
        }
        let (marks, mark_steps) = match facts.marks {
            Marks::OfClasses(marks) => (marks.concat().iter().map(|mark| *mark as u8).collect(), (classes as i64, 0)),
            Marks::OfCells(marks) => (marks.to_vec(), (0, classes as i64)),
        };
        let plane_by_plane = |image: &Array3<f32>| image.iter().copied().collect::<Vec<f32>>();
        let weights = job.weights.as_ref().map(|weights| buffer_of(queue, &plane_by_plane(weights)));
        Ok(Pair {
            index: job.index,
            classes: classes::OnDevice::new(facts.classes, bands, queue)?,
            weights: weights.transpose()?,
            coarse_changes: buffer_of(queue, &plane_by_plane(facts.coarse_changes))?,
            marks: buffer_of(queue, &marks)?,
            mark_steps,
            planes,
            own,
        })
    }
}

impl<'a> OnDevice<'a> {
    /// Puts the search on the device of `queue`; homogeneity is counted within `homogeneity_half` pixels.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(similar: &'a SimilarChanges, homogeneity_half: usize, queue: &mut dyn Queue) -> Result<OnDevice<'a>> {
        Ok(OnDevice {
            similar,
            homogeneity_half,
            search: nearest::OnDevice::new(&similar.search, false, queue)?,
            nearness: buffer_of(queue, &similar.nearness())?,
        })
    }

    /// The cells of a tile whose pixels need changes, in all bands.
    pub fn cells(&self, tile: &TileIn<'_>) -> CellsOfTile {
        CellsOfTile::new(&self.similar.grid, tile, self.similar.cells_needed(tile), tile.target.dim().0)
    }

    /// Computes a tile from `pairs`; `changes_of` queues what writes the changes of one of them.
    ///
    /// # Errors
    /// [`stfusion_core::ErrorKind::Cancelled`], those of the device and of `changes_of`.
    pub fn run<P>(
        &self,
        pairs: &[Pair<P>],
        (tile, out): (&TileIn<'_>, &mut TileOut<'_>),
        queue: &mut dyn Queue,
        exec: &Exec<'_>,
        mut changes_of: impl FnMut(&mut dyn Queue, PairOfTile<'_, P>) -> Result<()>,
    ) -> Result<()> {
        let input = TileImages::new(tile)?;
        let (bands, cells) = (tile.target.dim().0, self.cells(tile));
        let needed = inside(tile, self.similar.grid.fine_of(cells.cells()));
        let size = (tile.padded.rows, tile.padded.cols);
        let outputs = Outputs::new(queue, out)?;
        // weighted predictions and weights, where pairs are combined
        let sums = if pairs.len() > 1 { Some(room_for::<f64>(queue, 2 * bands * tile.region.pixels())?) } else { None };
        if let Some(support) = &outputs.support {
            queue.fill(support, 0)?;
        }
        if pairs.is_empty() {
            // every bit set is NaN
            queue.fill(&outputs.image, 0xff)?;
        }
        for (i, pair) in pairs.iter().enumerate() {
            exec.cancel.check()?;
            let images = &input.pairs[pair.index];
            let fine = room_for::<f32>(queue, (bands + 1) * cells.pixels())?;
            queue.write(&fine, 0, bytemuck::cast_slice(images.fine))?;
            pair.classes.labels(queue, size, &fine, images.classes)?;
            let around = (pair.classes.count(), self.homogeneity_half);
            let homogeneity = homogeneity(queue, (&fine, bands), size, around, needed)?;
            let changes = room_for::<f32>(queue, bands * cells.pixels())?;
            queue.fill(&changes, 0xff)?;
            changes_of(
                queue,
                PairOfTile {
                    cells,
                    classes: pair.classes.count(),
                    fine: &fine,
                    homogeneity: &homogeneity,
                    coarse_changes: &pair.coarse_changes,
                    own: &pair.own,
                    changes: &changes,
                },
            )?;
            self.predict(
                queue,
                (pair, tile, cells),
                (&fine, &changes),
                (i == 0, i + 1 == pairs.len()),
                (&outputs, sums.as_ref()),
            )?;
        }
        outputs.read(queue, out, exec)
    }

    /// Averages the changes of a pair and adds them to its fine image; it may be the first and the last one that predicts.
    fn predict<P>(
        &self,
        queue: &mut dyn Queue,
        (pair, tile, cells): (&Pair<P>, &TileIn<'_>, CellsOfTile),
        (fine, changes): (&Buffer, &Buffer),
        (is_first, is_last): (bool, bool),
        (outputs, sums): (&Outputs, Option<&Buffer>),
    ) -> Result<()> {
        let (region, half) = (tile.region, self.similar.search.window().half());
        let number = |n: usize| n as i32;
        let finish = Finish {
            low: self.similar.range.0,
            high: self.similar.range.1,
            out_rows: number(region.rows),
            out_cols: number(region.cols),
            row_offset: number(tile.row_offset()),
            col_offset: number(tile.col_offset()),
            half: number(half),
            classes: pair.classes.count(),
            band_step: pair.mark_steps.0,
            cell_step: pair.mark_steps.1,
            pairs: number(self.similar.pairs),
            is_first: i32::from(is_first),
            is_last: i32::from(is_last),
            unused: 0,
        };
        let (tile_bytes, finish_bytes) = (Arg::Bytes(bytemuck::bytes_of(&cells)), Arg::Bytes(bytemuck::bytes_of(&finish)));
        let usable = room_for::<f32>(queue, cells.pixels())?;
        let images = [Arg::Buffer(changes), Arg::Buffer(&usable), tile_bytes];
        queue.launch(kernel("similar_usable"), cells.over_tile(), &images)?;

        let shape = self.search.shape(
            (tile.padded.rows, tile.padded.cols),
            (tile.row_offset(), tile.col_offset()),
            (region.rows, region.cols),
        );
        let lists = self.search.lists(queue, fine, &pair.planes, (&usable, 1), shape)?;
        let weights = (&self.nearness, self.similar.by_difference());
        let means = self.search.means(queue, (changes, cells.bands()), &lists, weights, shape)?;

        let threads = threads_for(region.cols, THREADS);
        let over_outputs = |shared_bytes: usize| over_pixels((1, region.rows, region.cols), threads, 1, shared_bytes);
        let valid = if outputs.support.is_some() { Some(room_for::<i32>(queue, region.pixels())?) } else { None };
        if let Some(valid) = &valid {
            let images = [Arg::Buffer(&usable), Arg::Buffer(valid), tile_bytes, finish_bytes];
            queue.launch(kernel("similar_valid"), over_outputs(size_of::<i32>() * (threads + 2 * half)), &images)?;
        }
        queue.launch(
            kernel("similar_finish"),
            over_outputs(0),
            &[
                Arg::Buffer(fine),
                Arg::Buffer(changes),
                Arg::Buffer(&means),
                Arg::Buffer(&lists.counts),
                Arg::Buffer(&pair.coarse_changes),
                Arg::Buffer(&pair.marks),
                optional(pair.weights.as_ref().filter(|_| sums.is_some())),
                optional(valid.as_ref()),
                optional(sums),
                Arg::Buffer(&outputs.image),
                optional(outputs.support.as_ref()),
                tile_bytes,
                finish_bytes,
            ],
        )
    }
}

/// A kernel of the averaging.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "blocks/similar_changes", function }
}
