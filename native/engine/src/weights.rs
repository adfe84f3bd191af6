//! What a weights file is.

use std::path::Path;

use serde::Serialize;
use stfusion_core::Result;
use stfusion_nn::inspection::{self, Inspection};

/// A weights file, described.
#[derive(Debug, Clone, Serialize)]
pub struct WeightsDescription {
    /// Its facts.
    #[serde(flatten)]
    pub facts: Inspection,
    /// The same for people, a fact a line.
    pub text: String,
}

/// Reads and checks a weights file.
///
/// # Errors
/// Those of [`inspection::inspect`].
pub fn describe_weights(name: &str) -> Result<WeightsDescription> {
    let facts = inspection::inspect(Path::new(name))?;
    Ok(WeightsDescription { text: facts.to_text(), facts })
}
