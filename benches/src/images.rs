//! Images of any size for the benchmarks: a generated landscape of 1000 x 1000 pixels, repeated.

use ndarray::{s, Array3, ArrayView3, ArrayViewMut3, Axis};
use stfusion_core::method::{Layer, PairInfo, Scene, SceneInfo};
use stfusion_core::{Date, Error, Region, Result};
use stfusion_engine::Sink;
use stfusion_scene::{block_mean, Landscape};

/// Side of the landscape in fine pixels.
pub const SIDE: usize = 1000;
/// Fine pixels per coarse-pixel side.
pub const RATIO: usize = 20;
/// Number of bands.
pub const BANDS: usize = stfusion_scene::BANDS.len();

/// The days: two pairs and between them the target.
pub const DAYS: [(i32, u32, u32); 3] = [(2022, 5, 9), (2022, 9, 14), (2022, 7, 12)];
/// Which of them is the target.
pub const TARGET: usize = 2;

fn date((year, month, day): (i32, u32, u32)) -> Option<Date> {
    Date::from_ymd(year as i16, month as i8, day as i8)
}

/// A scene of any size in little memory, already on the fine grid.
pub struct RepeatedScene {
    info: SceneInfo,
    /// Fine images of the pairs, as far as they are used.
    pub fine: Vec<Array3<f32>>,
    /// Coarse images of all days, on their own grid.
    pub coarse: Vec<Array3<f32>>,
}

impl RepeatedScene {
    /// `rows` x `cols` pixels with `pairs` (1 or 2) pairs.
    pub fn new(rows: usize, cols: usize, pairs: usize) -> Self {
        let landscape = Landscape::new(2022, SIDE, SIDE);
        let of = |(y, m, d): (i32, u32, u32)| landscape.fine(stfusion_scene::Date::new(y, m, d), landscape.extent());
        let mut fine: Vec<Array3<f32>> = DAYS.iter().map(|&day| of(day)).collect();
        let coarse = fine.iter().map(|f| block_mean(f.view(), RATIO)).collect();
        fine.truncate(pairs);
        let pair = |&day: &(i32, u32, u32)| PairInfo { date: date(day), extra_images: Vec::new() };
        let info = SceneInfo {
            bands: BANDS,
            rows,
            cols,
            scale: Some(RATIO as f64),
            pairs: DAYS[..pairs].iter().map(pair).collect(),
            target_date: date(DAYS[TARGET]),
        };
        RepeatedScene { info, fine, coarse }
    }

    /// The same with its first `bands` bands alone.
    #[must_use]
    pub fn with_bands(mut self, bands: usize) -> Self {
        self.info.bands = bands.min(BANDS);
        self
    }

    /// The same landscape at another size.
    #[must_use]
    pub fn resized(mut self, rows: usize, cols: usize) -> Self {
        (self.info.rows, self.info.cols) = (rows, cols);
        self
    }
}

impl Scene for RepeatedScene {
    fn info(&self) -> &SceneInfo {
        &self.info
    }

    fn read(&self, layer: Layer, region: Region, mut out: ArrayViewMut3<'_, f32>) -> Result<()> {
        let (image, step) = match layer {
            Layer::Fine(k) => (&self.fine[k], 1),
            Layer::Coarse(k) => (&self.coarse[k], RATIO),
            Layer::Target => (&self.coarse[TARGET], RATIO),
            Layer::Extra(..) => return Err(Error::internal("the generated scene has no label maps")),
        };
        for (band, mut plane) in out.axis_iter_mut(Axis(0)).enumerate() {
            for (r, mut row) in plane.axis_iter_mut(Axis(0)).enumerate() {
                let source = image.slice(s![band, (region.row + r) % SIDE / step, ..]);
                let mut at = region.col % SIDE;
                for value in &mut row {
                    *value = source[at / step];
                    at = if at + 1 == SIDE { 0 } else { at + 1 };
                }
            }
        }
        Ok(())
    }
}

/// A sink that forgets all but the sum, so that no memory is held.
#[derive(Debug, Default)]
pub struct SumSink {
    /// Sum of the valid samples.
    pub sum: f64,
}

impl Sink for SumSink {
    fn write(&mut self, _: Region, image: ArrayView3<'_, f32>, _: Option<ArrayView3<'_, f32>>) -> Result<()> {
        self.sum += image.iter().filter(|v| !v.is_nan()).map(|v| f64::from(*v)).sum::<f64>();
        Ok(())
    }
}
