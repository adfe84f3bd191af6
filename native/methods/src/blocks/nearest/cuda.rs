//! The search on a GPU: the kernels of `cuda/blocks/nearest.cu`. The same lists as on the CPU, bit for bit.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Queue};
use stfusion_core::Result;

use super::{Norm, Search, Window};
use crate::blocks::on_device::{buffer_of, optional, over_pixels, room_for, threads_for};

/// Most threads of a block.
const THREADS: usize = 128;

/// `NearestShape` of the kernels: where is searched.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Shape {
    /// Rows of the planes.
    pub rows: i32,
    /// Columns of the planes.
    pub cols: i32,
    /// Rows of pixels whose windows are searched.
    pub out_rows: i32,
    /// Columns of them.
    pub out_cols: i32,
    /// Row of the first one in the planes.
    pub row_offset: i32,
    /// Column of the first one.
    pub col_offset: i32,
    half: i32,
    compared: i32,
    required: i32,
    positions: i32,
    most: i32,
    replicate: i32,
    added: f32,
}

/// `NearestPlane` of the kernels: a plane by which pixels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct PlaneRule {
    number: i32,
    relative: i32,
    factor: f32,
    below: f32,
}

impl PlaneRule {
    /// The plane with this number, whose differences count as they are, whatever their size.
    pub fn plain(number: usize) -> Self {
        PlaneRule { number: number as i32, relative: 0, factor: 1.0, below: f32::INFINITY }
    }

    /// With differences divided by the magnitude of the centre's value (plus [`super::super::similar_changes::SMALLEST_VALUE`]).
    #[must_use]
    pub fn relative(self) -> Self {
        PlaneRule { relative: 1, ..self }
    }

    /// With a factor of the differences.
    #[must_use]
    pub fn with_factor(self, factor: f32) -> Self {
        PlaneRule { factor, ..self }
    }

    /// With differences of chosen pixels below a tolerance.
    #[must_use]
    pub fn below(self, tolerance: f32) -> Self {
        PlaneRule { below: tolerance, ..self }
    }
}

/// Lists on a device: `NearestSample` for each wanted pixel and output pixel, and the lengths.
#[derive(Debug)]
pub struct Lists {
    /// The samples, the first ones of all output pixels before the second ones.
    pub samples: Buffer,
    /// Number of chosen pixels of every output pixel.
    pub counts: Buffer,
}

/// A search whose window lies on a device.
#[derive(Debug)]
pub struct OnDevice {
    shape: Shape,
    norm: Norm,
    /// Rows and columns to every position.
    pub offsets: Buffer,
    /// Factor of every position, if keys have one.
    position_factors: Option<Buffer>,
}

/// Bytes for each pixel of a tile, when `planes` planes are compared and `most` pixels wanted. A rim beyond the planes is at most as large as they.
pub fn bytes_per_px(planes: usize, most: usize) -> usize {
    2 * 4 * planes + 8 * most + 4
}

/// Bytes of a window with `half` pixels on every side.
pub fn bytes(half: usize) -> usize {
    (2 * half + 1).pow(2) * (size_of::<[i32; 2]>() + size_of::<f32>())
}

/// Rows and columns to every position, as the kernels read them.
fn offsets(window: &Window) -> Vec<[i32; 2]> {
    window.offsets().iter().map(|&(dy, dx)| [dy as i32, dx as i32]).collect()
}

impl OnDevice {
    /// Puts `search` on the device of `queue`. With `replicate`, windows go beyond the borders, where the pixels at the border are repeated.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(search: &Search, replicate: bool, queue: &mut dyn Queue) -> Result<OnDevice> {
        assert!(search.norm == Norm::Absolute || search.law.is_none(), "squares have no law of distance on a device");
        let shape = Shape {
            half: search.window.half() as i32,
            positions: search.window.offsets().len() as i32,
            most: search.most as i32,
            replicate: i32::from(replicate),
            added: search.law.as_ref().map_or(0.0, |law| law.added),
            ..Shape::zeroed()
        };
        Ok(OnDevice {
            shape,
            norm: search.norm,
            offsets: buffer_of(queue, &offsets(&search.window))?,
            position_factors: match &search.law {
                Some(law) => Some(buffer_of(queue, &law.factors)?),
                None => None,
            },
        })
    }

    /// The shape for planes of (rows, cols) and the output pixels `to` (rows, cols) that begin at `from` (row, col).
    pub fn shape(&self, planes: (usize, usize), from: (usize, usize), to: (usize, usize)) -> Shape {
        let number = |n: usize| n as i32;
        Shape {
            rows: number(planes.0),
            cols: number(planes.1),
            out_rows: number(to.0),
            out_cols: number(to.1),
            row_offset: number(from.0),
            col_offset: number(from.1),
            ..self.shape
        }
    }

    /// Searches in `values`, planes one behind the other, by the rules of `planes`; a chosen pixel is valid in all of some planes of another
    /// buffer (`required`, with their number). Squared differences count as they are, whatever the rules say of them.
    ///
    /// # Errors
    /// Those of the device.
    pub fn lists(
        &self,
        queue: &mut dyn Queue,
        values: &Buffer,
        planes: &[PlaneRule],
        required: (&Buffer, usize),
        shape: Shape,
    ) -> Result<Lists> {
        let shape = Shape { compared: planes.len() as i32, required: required.1 as i32, ..shape };
        let (rows, cols) = (shape.out_rows as usize, shape.out_cols as usize);
        let rim = 2 * shape.half as usize;
        let rules = buffer_of(queue, planes)?;
        let rimmed = room_for::<f32>(queue, planes.len() * (rows + rim) * (cols + rim))?;
        let bytes = Arg::Bytes(bytemuck::bytes_of(&shape));
        queue.launch(
            kernel("nearest_rim"),
            over_pixels((planes.len(), rows + rim, cols + rim), threads_for(cols + rim, THREADS), 1, 0),
            &[Arg::Buffer(values), Arg::Buffer(&rules), Arg::Buffer(required.0), Arg::Buffer(&rimmed), bytes],
        )?;
        let lists = Lists {
            samples: room_for::<[u32; 2]>(queue, shape.most as usize * rows * cols)?,
            counts: room_for::<i32>(queue, rows * cols)?,
        };
        let launch = over_pixels((1, rows, cols), threads_for(cols, THREADS), 1, 0);
        let images = [Arg::Buffer(values), Arg::Buffer(&rules), Arg::Buffer(&rimmed), Arg::Buffer(&self.offsets)];
        let to = [Arg::Buffer(&lists.samples), Arg::Buffer(&lists.counts), bytes];
        match self.norm {
            Norm::Squared => queue.launch(kernel("nearest_squared"), launch, &[&images[..], &to[..]].concat())?,
            Norm::Absolute => {
                let factors = [optional(self.position_factors.as_ref())];
                queue.launch(kernel("nearest_absolute"), launch, &[&images[..], &factors[..], &to[..]].concat())?;
            }
        }
        Ok(lists)
    }

    /// Means of the first `planes` planes of `values` over the chosen pixels, (plane, output row, output column), weighted with `nearness` of
    /// their positions, and with `1 / (difference + 1)` when `by_difference`; see [`super::weighted_means`].
    ///
    /// # Errors
    /// Those of the device.
    pub fn means(
        &self,
        queue: &mut dyn Queue,
        (values, planes): (&Buffer, usize),
        lists: &Lists,
        (nearness, by_difference): (&Buffer, bool),
        shape: Shape,
    ) -> Result<Buffer> {
        let (rows, cols) = (shape.out_rows as usize, shape.out_cols as usize);
        let means = room_for::<f32>(queue, planes * rows * cols)?;
        queue.launch(
            kernel("nearest_means"),
            over_pixels((planes, rows, cols), threads_for(cols, THREADS), 1, 0),
            &[
                Arg::Buffer(values),
                Arg::Buffer(&lists.samples),
                Arg::Buffer(&lists.counts),
                Arg::Buffer(&self.offsets),
                Arg::Buffer(nearness),
                optional(self.position_factors.as_ref()),
                Arg::Buffer(&means),
                Arg::Bytes(bytemuck::bytes_of(&shape)),
                Arg::Int(i32::from(by_difference)),
            ],
        )?;
        Ok(means)
    }
}

/// A kernel of the search.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "blocks/nearest", function }
}
