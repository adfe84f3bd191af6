//! SPSTFM on a GPU: the kernels of `cuda/methods/spstfm.cu` in their order. Dictionaries are those that the CPU learned for the
//! scene; everything of a tile runs on the device, in double precision and in the order of the CPU, so that pixels are the same
//! bit for bit.

use bytemuck::{Pod, Zeroable};
use stfusion_core::device::{Arg, Buffer, Kernel, Launch, Queue};
use stfusion_core::method::{DeviceCost, DeviceTiles, TileIn, TileOut};
use stfusion_core::{Exec, Result};

use super::cpu::{Job, Weigh};
use super::sparse_code::{Codebook, Debias};
use crate::blocks::on_device::{
    buffer_of, images_of, optional, over_pixels, room_for, threads_for, Outputs, SHARED_BYTES, THREADS,
};
use crate::blocks::tile_images::TileImages;

/// Threads of a warp, which codes one patch at a time.
const WARP: usize = 32;
/// Numbers of the factor of a code that lie in shared memory.
const KEPT_NUMBERS: usize = 300;
/// Places of codes that a block looks through at once.
const CODES: usize = 64;
/// Bytes of shared memory in which a block lists them.
const LIST_BYTES: usize = 4 * (CODES + 4);
/// Blocks for each multiprocessor: more than run at once.
const BLOCKS: usize = 6;
/// Memory at most for what of the factors does not lie in shared memory.
const SCRATCH_BYTES: usize = 64 << 20;

/// `SpstfmTile` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Tile {
    sparsity: f64,
    threshold: f64,
    far_numbers: i64,
    rows: i32,
    cols: i32,
    row: i32,
    col: i32,
    out_rows: i32,
    out_cols: i32,
    out_row: i32,
    out_col: i32,
    scene_rows: i32,
    scene_cols: i32,
    bands: i32,
    patch: i32,
    stride: i32,
    lead_rows: i32,
    lead_cols: i32,
    grid_rows: i32,
    grid_cols: i32,
    grid_row: i32,
    grid_col: i32,
    most: i32,
    debias: i32,
    weigh: i32,
    red: i32,
    near_infrared: i32,
    short_infrared: i32,
    unused: i32,
}

/// `SpstfmBand` of the kernels.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Band {
    fine_scale: f64,
    coarse_scale: f64,
    largest_change: f64,
    rows: i64,
    gram: i64,
    fine: i64,
    atoms: i32,
    unused: i32,
}

/// Bytes of `SpstfmPatch` of the kernels.
const PATCH_BYTES: usize = 48;

/// What the cost of a tile depends on.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bands of the images.
    pub bands: usize,
    /// Side of a patch.
    pub patch: usize,
    /// Distance from a patch to the next.
    pub stride: usize,
    /// Atoms of a dictionary at most.
    pub atoms: usize,
}

/// What a tile costs on a GPU.
pub fn cost(size: Size) -> DeviceCost {
    let Size { bands, patch, stride, atoms } = size;
    let pixels = patch * patch;
    // patches for each pixel; one more for those that reach beyond the tile
    let values = pixels.div_ceil(stride * stride) + 1;
    let patches = PATCH_BYTES.div_ceil(stride * stride);
    let far = Codes::new(pixels, atoms).far_numbers > 0;
    DeviceCost {
        // images of two pairs and the target, result; what is known of patches, and their fine changes; built-up area and support
        bytes_per_px: 4 * 6 * bands + bands * (patches + 2 * size_of::<f64>() * values) + 2 + 12,
        fixed_bytes: if far { SCRATCH_BYTES } else { 0 },
        prepared_bytes: bands * (Codebook::bytes(atoms, pixels) + 8 * atoms * pixels + size_of::<Band>()),
    }
}

/// A kernel of this method.
fn kernel(function: &'static str) -> Kernel {
    Kernel { module: "methods/spstfm", function }
}

/// How blocks compute codes.
#[derive(Debug, Clone, Copy)]
struct Codes {
    /// Pixels of a patch.
    pixels: usize,
    /// Atoms that can be active at once, rounded up to an even number.
    most: usize,
    /// Numbers of the factor of a code beyond shared memory.
    far_numbers: usize,
    /// Warps of a block.
    warps: usize,
    kernel: Kernel,
}

impl Codes {
    /// For patches of so many pixels, and at most so many atoms.
    fn new(pixels: usize, atoms: usize) -> Codes {
        let most = pixels.min(atoms).next_multiple_of(2);
        let mut codes = Codes {
            pixels,
            most,
            far_numbers: (most * (most + 1) / 2).saturating_sub(KEPT_NUMBERS),
            warps: 8,
            kernel: kernel(if atoms <= 256 { "spstfm_code_256" } else { "spstfm_code_1024" }),
        };
        while codes.warps > 2 && codes.shared_bytes() > SHARED_BYTES {
            codes.warps /= 2;
        }
        codes
    }

    fn shared_bytes(&self) -> usize {
        let numbers = self.pixels + KEPT_NUMBERS + 4 * self.most + self.most / 2;
        LIST_BYTES + self.warps * numbers * size_of::<f64>()
    }

    /// Blocks for `places` places of codes on a device with so many multiprocessors.
    fn blocks(&self, places: usize, multiprocessors: usize) -> usize {
        let far_bytes = size_of::<f64>() * self.warps * self.far_numbers;
        let room = SCRATCH_BYTES.checked_div(far_bytes).unwrap_or(usize::MAX).max(1);
        places.div_ceil(CODES).min(BLOCKS * multiprocessors.max(1)).min(room).max(1)
    }
}

struct OnDevice<'a> {
    job: &'a Job,
    bands: Buffer,
    /// Dictionaries of every band.
    numbers: Buffer,
    codes: Codes,
}

/// Puts the dictionaries of `job` on the device of `queue`.
///
/// # Errors
/// Those of the device.
pub fn on_device<'a>(job: &'a Job, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
    let mut numbers: Vec<f64> = Vec::new();
    let mut bands = Vec::new();
    for (number, learned) in job.learned.iter().enumerate() {
        let largest_change = match &job.weigh {
            Weigh::Change { largest } => largest[number],
            Weigh::BuiltUp { .. } | Weigh::Equal => 0.0,
        };
        let mut band = Band { coarse_scale: 1.0, largest_change, ..Band::zeroed() };
        if let Some(learned) = learned {
            let mut put = |values: &[f64]| {
                let at = numbers.len() as i64;
                numbers.extend_from_slice(values);
                at
            };
            band = Band {
                fine_scale: learned.scales.fine,
                coarse_scale: learned.scales.coarse,
                rows: put(learned.book.rows()),
                gram: put(learned.book.gram()),
                fine: put(&learned.fine),
                atoms: learned.book.atoms as i32,
                ..band
            };
        }
        bands.push(band);
    }
    let atoms = bands.iter().map(|b| b.atoms as usize).max().unwrap_or(0);
    Ok(Box::new(OnDevice {
        job,
        bands: buffer_of(queue, &bands)?,
        numbers: buffer_of(queue, &numbers)?,
        codes: Codes::new(job.patch * job.patch, atoms.max(1)),
    }))
}

impl OnDevice<'_> {
    fn tile(&self, tile: &TileIn<'_>) -> Tile {
        let job = self.job;
        let number = |n: usize| n as i32;
        let region = tile.region;
        let (rows, cols) = job.grid;
        let (down, across) =
            (rows.touching(region.row..region.row + region.rows), cols.touching(region.col..region.col + region.cols));
        let [red, near_infrared, short_infrared] = match &job.weigh {
            Weigh::BuiltUp { bands } => bands.map(number),
            Weigh::Change { .. } | Weigh::Equal => [0; 3],
        };
        Tile {
            sparsity: job.rule.sparsity,
            threshold: job.threshold,
            far_numbers: self.codes.far_numbers as i64,
            rows: number(tile.padded.rows),
            cols: number(tile.padded.cols),
            row: number(tile.padded.row),
            col: number(tile.padded.col),
            out_rows: number(region.rows),
            out_cols: number(region.cols),
            out_row: number(region.row),
            out_col: number(region.col),
            scene_rows: number(rows.length()),
            scene_cols: number(cols.length()),
            bands: number(job.learned.len()),
            patch: number(job.patch),
            stride: number(rows.stride()),
            lead_rows: -rows.start(0) as i32,
            lead_cols: -cols.start(0) as i32,
            grid_rows: number(down.len()),
            grid_cols: number(across.len()),
            grid_row: number(down.start),
            grid_col: number(across.start),
            most: number(self.codes.most),
            debias: match job.rule.debias {
                Debias::Off => 0,
                Debias::Partial => 1,
                Debias::Full => 2,
            },
            weigh: match &job.weigh {
                Weigh::Change { .. } => 0,
                Weigh::BuiltUp { .. } => 1,
                Weigh::Equal => 2,
            },
            red,
            near_infrared,
            short_infrared,
            unused: 0,
        }
    }
}

impl DeviceTiles for OnDevice<'_> {
    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, queue: &mut dyn Queue, exec: &Exec<'_>) -> Result<()> {
        exec.cancel.check()?;
        let whole = self.tile(tile);
        let shape = Arg::Bytes(bytemuck::bytes_of(&whole));
        let bands = self.job.learned.len();
        let (grid_rows, grid_cols) = (whole.grid_rows as usize, whole.grid_cols as usize);
        let over = |planes: usize, rows: usize, cols: usize| over_pixels((planes, rows, cols), threads_for(cols, THREADS), 1, 0);

        let sides = [self.job.sides.before, self.job.sides.after];
        let images = images_of(queue, &TileImages::new(tile)?, sides.into_iter())?;
        let changed = match &self.job.weigh {
            Weigh::BuiltUp { .. } => {
                let changed = room_for::<u8>(queue, 2 * tile.padded.pixels())?;
                let launch = over(1, tile.padded.rows, tile.padded.cols);
                queue.launch(kernel("spstfm_built_up"), launch, &[Arg::Buffer(&images), Arg::Buffer(&changed), shape])?;
                Some(changed)
            }
            Weigh::Change { .. } | Weigh::Equal => None,
        };
        let patches = bands * grid_rows * grid_cols;
        let known = queue.buffer(patches * PATCH_BYTES)?;
        let arguments = [Arg::Buffer(&images), Arg::Buffer(&self.bands), optional(changed.as_ref()), Arg::Buffer(&known), shape];
        queue.launch(kernel("spstfm_patches"), over(bands, grid_rows, grid_cols), &arguments)?;

        let codes = &self.codes;
        let blocks = codes.blocks(2 * patches, queue.info().multiprocessors as usize);
        let predicted = room_for::<f64>(queue, 2 * patches * codes.pixels)?;
        let scratch = match codes.far_numbers {
            0 => None,
            far => Some(room_for::<f64>(queue, blocks * codes.warps * far)?),
        };
        let launch = Launch {
            blocks: [blocks as u32, 1, 1],
            threads: [(codes.warps * WARP) as u32, 1, 1],
            shared_bytes: codes.shared_bytes(),
        };
        let arguments = [
            Arg::Buffer(&images),
            Arg::Buffer(&self.bands),
            Arg::Buffer(&self.numbers),
            Arg::Buffer(&known),
            Arg::Buffer(&predicted),
            optional(scratch.as_ref()),
            shape,
        ];
        queue.launch(codes.kernel, launch, &arguments)?;

        let outputs = Outputs::new(queue, out)?;
        let arguments = [
            Arg::Buffer(&images),
            Arg::Buffer(&self.bands),
            Arg::Buffer(&known),
            Arg::Buffer(&predicted),
            Arg::Buffer(&outputs.image),
            optional(outputs.support.as_ref()),
            shape,
        ];
        queue.launch(kernel("spstfm_combine"), over(1, tile.region.rows, tile.region.cols), &arguments)?;
        outputs.read(queue, out, exec)
    }
}
