//! The spatial prediction on a GPU: the kernels of `cuda/blocks/spatial_prediction.cu`. The same values as on the CPU, bit for bit.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Launch, Queue};
use stfusion_core::Result;

use super::Spatial;
use crate::blocks::cells_of_tile::CellsOfTile;
use crate::blocks::coarse_grid::CoarseGrid;
use crate::blocks::on_device::{buffer_of, room_for, THREADS};
use crate::blocks::thin_plate::{ThinPlate, TABLE_NODES};

/// Solutions of squares near the border, over all planes, that are on the device at a time.
const MOST_SOLUTIONS: usize = 1024;
/// Most cells of a block that evaluates the table.
const MOST_GROUP: usize = 16;
/// Threads of a block that solves for a square, or evaluates one.
const THREADS_OF_SQUARE: usize = 128;

/// `BorderCell` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct BorderCell {
    row: i32,
    col: i32,
    square: i32,
    square_row: i32,
    square_col: i32,
}

/// `BorderSquares` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Squares {
    rows: i32,
    cols: i32,
    size: i32,
    down: i32,
    right: i32,
    width: i32,
}

/// What is solved near the border.
struct Border {
    squares: Squares,
    kernels: Buffer,
    factors: Buffer,
    order: Buffer,
}

enum Kind<'a> {
    ThinPlate { spline: &'a ThinPlate, table: Option<Buffer>, border: Option<Border> },
    Distance(Buffer),
    Cubic(Buffer),
}

/// A coarse image on a device that can be brought to fine pixels.
pub struct OnDevice<'a> {
    scale: usize,
    kind: Kind<'a>,
    /// (plane, cell row, cell col); `NaN` throughout a plane without any value.
    nodes: Buffer,
}

/// Bytes of a queue that do not grow with the tile.
pub fn fixed_bytes(planes: usize) -> usize {
    MOST_SOLUTIONS.max(planes) * ThinPlate::MOST_UNKNOWNS * size_of::<f64>()
}

/// Bytes for each pixel of a tile beside the values.
pub fn bytes_per_px(scale: usize) -> usize {
    (size_of::<BorderCell>() + size_of::<[i32; 2]>()).div_ceil(scale * scale)
}

impl<'a> OnDevice<'a> {
    /// Puts `spatial`, an image of the cells of `grid`, on the device of `queue`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(spatial: &'a Spatial, grid: &CoarseGrid, queue: &mut dyn Queue) -> Result<OnDevice<'a>> {
        let filled = |planes: &[Option<Vec<f32>>]| -> Vec<f32> {
            planes.iter().flat_map(|plane| plane.clone().unwrap_or_else(|| vec![f32::NAN; grid.cells()])).collect()
        };
        let (kind, nodes) = match spatial {
            Spatial::ThinPlate(spline, planes) => (thin_plate(spline, grid, queue)?, filled(planes)),
            Spatial::InverseDistance(spread, planes) => (Kind::Distance(buffer_of(queue, spread.weights())?), planes.concat()),
            Spatial::Cubic(convolution, planes) => {
                (Kind::Cubic(buffer_of(queue, convolution.weights().as_flattened())?), filled(planes))
            }
        };
        Ok(OnDevice { scale: grid.scale, kind, nodes: buffer_of(queue, &nodes)? })
    }

    /// The values at the pixels of the cells of a tile, at their places in planes of it; elsewhere they are undefined.
    ///
    /// # Errors
    /// Those of the device.
    pub fn predict(&self, queue: &mut dyn Queue, cells: &CellsOfTile) -> Result<Buffer> {
        let values = room_for::<f32>(queue, cells.bands() * cells.pixels())?;
        let (nodes, to, bytes) = (Arg::Buffer(&self.nodes), Arg::Buffer(&values), Arg::Bytes(bytemuck::bytes_of(cells)));
        let over_pixels = cells.over_pixels_of_cells();
        match &self.kind {
            Kind::Distance(weights) => {
                queue.launch(kernel("spatial_distance"), over_pixels, &[nodes, Arg::Buffer(weights), to, bytes])?;
            }
            Kind::Cubic(weights) => {
                queue.launch(kernel("spatial_cubic"), over_pixels, &[nodes, Arg::Buffer(weights), to, bytes])?;
            }
            Kind::ThinPlate { border: None, .. } => queue.launch(kernel("spatial_nearest"), over_pixels, &[nodes, to, bytes])?,
            Kind::ThinPlate { spline, table, border: Some(border) } => {
                let near_border = squares_of(spline, border, cells);
                let of_border: usize = near_border.values().map(Vec::len).sum();
                if let Some(table) = table.as_ref().filter(|_| of_border < cells.cells().pixels()) {
                    let (launch, group) = over_groups(cells, self.scale);
                    queue.launch(
                        kernel("spatial_table"),
                        launch,
                        &[nodes, Arg::Buffer(table), to, bytes, Arg::Int(group as i32)],
                    )?;
                }
                self.near_border(queue, border, &near_border, cells, &values)?;
            }
        }
        Ok(values)
    }

    /// Values near the border, some squares at a time.
    fn near_border(
        &self,
        queue: &mut dyn Queue,
        border: &Border,
        near_border: &BTreeMap<(usize, usize), Vec<(usize, usize)>>,
        cells: &CellsOfTile,
        values: &Buffer,
    ) -> Result<()> {
        let (planes, number) = (cells.bands(), |n: usize| n as i32);
        let size = border.squares.size as usize;
        let (nodes, bytes) = (Arg::Buffer(&self.nodes), Arg::Bytes(bytemuck::bytes_of(cells)));
        let squares_bytes = Arg::Bytes(bytemuck::bytes_of(&border.squares));
        let shared_bytes = size * size_of::<f64>();
        let all: Vec<_> = near_border.iter().collect();
        for some in all.chunks((MOST_SOLUTIONS / planes.max(1)).max(1)) {
            let first_nodes: Vec<[i32; 2]> = some.iter().map(|((row, col), _)| [number(*row), number(*col)]).collect();
            let members = some.iter().enumerate().flat_map(|(square, ((square_row, square_col), members))| {
                members.iter().map(move |(row, col)| BorderCell {
                    row: number(*row),
                    col: number(*col),
                    square: number(square),
                    square_row: number(*square_row),
                    square_col: number(*square_col),
                })
            });
            let members: Vec<BorderCell> = members.collect();
            let solutions = room_for::<f64>(queue, some.len() * planes * size)?;
            let squares = buffer_of(queue, &first_nodes)?;
            let blocks = [some.len() as u32, 1, planes as u32];
            queue.launch(
                kernel("spatial_solve"),
                Launch { blocks, threads: [THREADS_OF_SQUARE as u32, 1, 1], shared_bytes },
                &[
                    nodes,
                    Arg::Buffer(&squares),
                    Arg::Buffer(&border.factors),
                    Arg::Buffer(&border.order),
                    Arg::Buffer(&solutions),
                    bytes,
                    squares_bytes,
                ],
            )?;
            let blocks = [members.len() as u32, (self.scale * self.scale).div_ceil(THREADS_OF_SQUARE) as u32, planes as u32];
            let members = buffer_of(queue, &members)?;
            queue.launch(
                kernel("spatial_border"),
                Launch { blocks, threads: [THREADS_OF_SQUARE as u32, 1, 1], shared_bytes },
                &[
                    nodes,
                    Arg::Buffer(&members),
                    Arg::Buffer(&border.kernels),
                    Arg::Buffer(&solutions),
                    Arg::Buffer(values),
                    bytes,
                    squares_bytes,
                ],
            )?;
        }
        Ok(())
    }
}

fn thin_plate<'a>(spline: &'a ThinPlate, grid: &CoarseGrid, queue: &mut dyn Queue) -> Result<Kind<'a>> {
    let parts = spline.parts();
    let table = parts.table.map(|table| buffer_of(queue, table)).transpose()?;
    let number = |n: usize| n as i32;
    let border = match parts.square {
        Some(square) => {
            let order: Vec<i32> = square.system.order().into_iter().map(number).collect();
            Some(Border {
                squares: Squares {
                    rows: number(square.rows),
                    cols: number(square.cols),
                    size: number(order.len()),
                    down: i32::from(square.slopes.0),
                    right: i32::from(square.slopes.1),
                    width: number((2 * square.cols - 1) * grid.scale),
                },
                kernels: buffer_of(queue, parts.kernels)?,
                factors: buffer_of(queue, square.system.factors())?,
                order: buffer_of(queue, &order)?,
            })
        }
        None => None,
    };
    Ok(Kind::ThinPlate { spline, table, border })
}

/// Cells of a tile that lie near the border, by the first nodes of their squares.
fn squares_of(spline: &ThinPlate, border: &Border, cells: &CellsOfTile) -> BTreeMap<(usize, usize), Vec<(usize, usize)>> {
    let side = (border.squares.rows as usize, border.squares.cols as usize);
    let part = cells.cells();
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in part.row..part.row + part.rows {
        for col in part.col..part.col + part.cols {
            if !spline.is_in_table((row, col)) {
                found.entry(spline.square_around((row, col), side)).or_default().push((row, col));
            }
        }
    }
    found
}

/// A launch over groups of cells along x, and the cells of a group: as many as keep its threads busy.
fn over_groups(cells: &CellsOfTile, scale: usize) -> (Launch, usize) {
    let pixels = scale * scale;
    let group = (THREADS / 2 / pixels).clamp(1, MOST_GROUP);
    let threads = (group * pixels).next_multiple_of(32).min(THREADS);
    let part = cells.cells();
    let blocks = [part.cols.div_ceil(group), part.rows, cells.bands().div_ceil(4)].map(|n| n as u32);
    let shared_bytes = group * TABLE_NODES * size_of::<[f32; 4]>();
    (Launch { blocks, threads: [threads as u32, 1, 1], shared_bytes }, group)
}

/// A kernel of the spatial prediction.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "blocks/spatial_prediction", function }
}
