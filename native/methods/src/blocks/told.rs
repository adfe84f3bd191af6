//! Methods whose preparation ends with a job that tiles read and facts that the log and the provenance tell.

use stfusion_core::device::Queue;
use stfusion_core::method::{DeviceTiles, Prepared, TileIn, TileOut};
use stfusion_core::{Error, Exec, Result};

/// Most classes whose numbers are told.
const MOST_TOLD: usize = 20;

/// Puts a job on the device of a queue.
pub type OnDevice<J> = for<'a> fn(&'a J, &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>>;

/// A job with its facts. See the [module](self).
pub struct Told<J> {
    /// Everything that does not depend on the tile.
    pub job: J,
    /// Name and text of every fact.
    pub derived: Vec<(String, String)>,
    /// Computes one tile.
    pub run: fn(&J, &TileIn<'_>, &mut TileOut<'_>, &Exec<'_>) -> Result<()>,
    /// For methods that have a GPU version.
    pub on_device: Option<OnDevice<J>>,
}

impl<J: Send + Sync> Prepared for Told<J> {
    fn derived(&self) -> Vec<(String, String)> {
        self.derived.clone()
    }

    fn run(&self, tile: &TileIn<'_>, out: &mut TileOut<'_>, exec: &Exec<'_>) -> Result<()> {
        (self.run)(&self.job, tile, out, exec)
    }

    fn on_device<'a>(&'a self, queue: &mut dyn Queue) -> Result<Box<dyn DeviceTiles + 'a>> {
        let no_version = || Error::internal(format!("a method without a GPU version was put on {}", queue.info().name));
        let on_device = self.on_device.ok_or_else(no_version)?;
        on_device(&self.job, queue)
    }
}

/// The number of classes of a pair and, unless they are many, what was found of each: names and numbers, (band, class).
pub fn of_classes(pair: usize, count: usize, found: &[(&str, &[Vec<f64>])]) -> Vec<(String, String)> {
    let number = pair + 1;
    let mut facts = vec![(format!("classes_{number}"), count.to_string())];
    if count <= MOST_TOLD {
        let line = |band: &Vec<f64>| band.iter().map(|v| format!("{v:.6}")).collect::<Vec<_>>().join(" ");
        let text = |bands: &[Vec<f64>]| bands.iter().map(line).collect::<Vec<_>>().join("; ");
        facts.extend(found.iter().map(|(name, bands)| (format!("{name}_{number}"), text(bands))));
    }
    facts
}
