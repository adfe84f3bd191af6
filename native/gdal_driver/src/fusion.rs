//! One dataset: a product of a prediction.

use std::pin::Pin;
use std::sync::Arc;

use stfusion_core::{Region, Result};
use stfusion_engine::{OnDemand, Part, Product};

use crate::ffi::{Band, Description, Destination, Item, Size};
use crate::messages::{reported, Told};
use crate::name::Name;
use crate::{options, shared};

/// An open dataset.
pub(crate) struct Fusion {
    name: Name,
    prediction: Arc<OnDemand>,
}

/// Opens the dataset of that name.
pub(crate) fn open(name: &str, options: Vec<String>) -> Result<Box<Fusion>, Told> {
    reported(|| {
        let parsed = Name::parse(name);
        let mut job = parsed.job()?;
        options::apply(&options, &mut job)?;
        shared::configure(&mut job)?;
        // where the prediction would be written does not matter, and neither does it make another prediction
        job.output = job.output.map(options::without_place);
        let prediction = shared::prediction(&job, name)?;
        Ok(Box::new(Fusion { name: parsed, prediction }))
    })
}

fn items(list: &[(String, String)]) -> Vec<Item> {
    list.iter().map(|(key, value)| Item { key: key.clone(), value: value.clone() }).collect()
}

/// The dataset as GDAL shows it.
pub(crate) fn describe(fusion: &Fusion) -> Description {
    let Fusion { name, prediction } = fusion;
    let spec = prediction.spec(name.product);
    let band = |b: &stfusion_raster::BandSpec| Band {
        name: b.description.clone(),
        scale: b.scale,
        offset: b.offset,
        color: b.color.clone(),
        unit: b.unit.clone(),
        metadata: items(&b.metadata),
    };
    Description {
        sizes: prediction.resolutions().iter().map(|r| Size { rows: r.rows, cols: r.cols }).collect(),
        transform: spec.grid.transform.map(Vec::from).unwrap_or_default(),
        crs: spec.grid.crs.clone().unwrap_or_default(),
        data_type: spec.data_type.clone(),
        nodata: spec.nodata,
        bands: spec.bands.iter().map(band).collect(),
        metadata: items(&spec.metadata),
        block_px: prediction.block_px(),
        job_file: name.file().unwrap_or_default().to_string(),
        inputs: prediction.inputs().to_vec(),
        is_support: name.product == Product::Support,
        support_name: name.support(),
        support_label: format!(
            "[{}x{}x{}] Support layer: {}",
            prediction.spec(Product::Support).bands.len(),
            spec.grid.rows,
            spec.grid.cols,
            stfusion_engine::SUPPORT_BANDS.join(", ")
        ),
    }
}

impl Fusion {
    /// Brings every block under a rectangle to `to`.
    pub(crate) fn read(
        &self,
        size: usize,
        row: usize,
        col: usize,
        rows: usize,
        cols: usize,
        to: Pin<&mut Destination>,
    ) -> Result<(), Told> {
        self.bring(Part { product: self.name.product, level: size, region: Region::new(row, col, rows, cols) }, to, true)
    }

    /// Has every block under a rectangle computed, if they can all be kept.
    pub(crate) fn fetch(
        &self,
        size: usize,
        row: usize,
        col: usize,
        rows: usize,
        cols: usize,
        to: Pin<&mut Destination>,
    ) -> Result<(), Told> {
        let part = Part { product: self.name.product, level: size, region: Region::new(row, col, rows, cols) };
        if !self.prediction.can_keep(part) {
            return Ok(());
        }
        self.bring(part, to, false)
    }

    fn bring(&self, part: Part, to: Pin<&mut Destination>, takes: bool) -> Result<(), Told> {
        let to = std::cell::RefCell::new(to);
        reported(|| {
            self.prediction.read(part, &mut |fraction, _| to.borrow_mut().as_mut().goes_on(fraction), &mut |block| {
                let Region { row, col, rows, cols } = block.region;
                for (band, values) in block.bands.iter().enumerate().filter(|_| takes) {
                    to.borrow_mut().as_mut().take(band, row, col, rows, cols, values.as_bytes());
                }
                Ok(())
            })
        })
    }
}
