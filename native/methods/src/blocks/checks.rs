//! Checks of parameters that several methods have.

use stfusion_core::method::SceneInfo;
use stfusion_core::{Error, ErrorKind, Result};

/// Fails when a window is larger than the scene, whatever way it lies.
///
/// # Errors
/// [`ErrorKind::Parameter`] naming both sizes and the largest window.
pub fn window_fits(window: i64, scene: &SceneInfo) -> Result<()> {
    let longest = scene.rows.max(scene.cols);
    if window as usize <= longest {
        return Ok(());
    }
    let largest = if longest.is_multiple_of(2) { longest - 1 } else { longest };
    Err(Error::new(
        ErrorKind::Parameter,
        format!("Window size {window} is larger than the image ({} x {} fine pixels)", scene.rows, scene.cols),
    )
    .with_hint(format!("Set window={largest} or smaller.")))
}

/// Fails when a similarity band, counted from 1, is not among the bands of the images.
///
/// # Errors
/// [`ErrorKind::Parameter`] naming the band and how many there are.
pub fn similarity_bands_exist(similarity_bands: &[i64], bands: usize) -> Result<()> {
    match similarity_bands.iter().find(|&&band| band > bands as i64) {
        None => Ok(()),
        Some(band) => {
            Err(Error::new(ErrorKind::Parameter, format!("Similarity band {band} does not exist; the images have {bands} bands"))
                .with_hint(format!("Give similarity_bands numbers between 1 and {bands}, or leave it empty.")))
        }
    }
}
