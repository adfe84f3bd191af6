//! The bill of materials, in CycloneDX 1.5.

use cyclonedx_bom::external_models::spdx::SpdxExpression;
use cyclonedx_bom::models::bom::SpecVersion;
use cyclonedx_bom::models::component::{Classification, Component, Components, Scope};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::prelude::{Bom, DateTime, NormalizedString, Purl, Validate};

use super::crates::{Crate, Crates};
use crate::Result;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const LICENCE: &str = "MIT OR Apache-2.0";

/// The bill of what the binaries are built from, at `time` (ISO 8601).
///
/// # Errors
/// When it would not be valid.
pub(super) fn json(crates: &Crates, time: &str) -> Result<String> {
    let own = format!("pkg:generic/stfusion@{VERSION}");
    let mut subject = Component::new(Classification::Library, "stfusion", VERSION, Some(own.clone()));
    subject.licenses = Some(Licenses(vec![LicenseChoice::expression(LICENCE)]));
    let reference = |(name, version): &(String, String)| format!("pkg:cargo/{name}@{version}");
    let mut edges = vec![Dependency { dependency_ref: own, dependencies: crates.direct.iter().map(reference).collect() }];
    edges.extend(crates.shipped().map(|c| Dependency {
        dependency_ref: reference(&(c.name.clone(), c.version.clone())),
        dependencies: c.needs.iter().map(reference).collect(),
    }));
    let time: DateTime = time.to_string().try_into().map_err(|e| format!("{time}: {e}"))?;
    let bom = Bom {
        // a random number would make each run differ
        serial_number: None,
        metadata: Some(Metadata { timestamp: Some(time), component: Some(subject), ..Metadata::default() }),
        components: Some(Components(crates.shipped().map(component).collect::<Result<_>>()?)),
        dependencies: Some(Dependencies(edges)),
        spec_version: SpecVersion::V1_5,
        ..Bom::default()
    };
    let validity = bom.validate_version(SpecVersion::V1_5);
    if !validity.passed() {
        return Err(format!("the bill of materials is not valid: {validity:?}"));
    }
    let mut bytes = Vec::new();
    bom.output_as_json_v1_5(&mut bytes).map_err(|e| format!("the bill of materials: {e}"))?;
    let text = String::from_utf8(bytes).map_err(|e| e.to_string())?;
    Ok(text.trim_end().to_string() + "\n")
}

fn component(c: &Crate) -> Result<Component> {
    let purl = Purl::new("cargo", &c.name, &c.version).map_err(|e| format!("{} {}: {e}", c.name, c.version))?;
    let licence = SpdxExpression::parse_lax(c.licence.clone()).map_err(|e| format!("{} {}: {e}", c.name, c.version))?;
    let mut component = Component::new(Classification::Library, &c.name, &c.version, Some(purl.to_string()));
    component.purl = Some(purl);
    component.scope = Some(Scope::Required);
    component.description = c.description.as_deref().map(NormalizedString::new);
    component.licenses = Some(Licenses(vec![LicenseChoice::Expression(licence)]));
    component.hashes = c.checksum.clone().map(|sum| Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(sum) }]));
    Ok(component)
}
