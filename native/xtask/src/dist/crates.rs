//! The crates that stfusion is built from, as cargo tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, PackageId};

use crate::Result;

/// Crates whose binaries are installed.
const SHIPPED: [&str; 3] = ["stfusion-capi", "stfusion-cli", "stfusion-gdal-driver"];

/// The platform that decides which crates get into the binaries; all Linux platforms agree.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// A crate from a registry.
#[derive(Debug, Clone)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// SPDX expression, as its manifest says it; empty when it says none.
    pub(super) licence: String,
    pub(super) licence_file: Option<PathBuf>,
    pub(super) authors: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) folder: PathBuf,
    /// SHA-256 of the packed crate.
    pub(super) checksum: Option<String>,
    /// Whether it gets into an installed binary, or takes part in building one.
    pub(super) shipped: bool,
    /// Names and versions of the crates from a registry that it needs on [`PLATFORM`].
    pub(super) needs: BTreeSet<(String, String)>,
}

/// All crates from a registry, for every platform, in the order of name and version.
#[derive(Debug)]
pub(super) struct Crates {
    pub(super) all: Vec<Crate>,
    /// Those that crates of stfusion name as dependencies, among the shipped ones.
    pub(super) direct: BTreeSet<(String, String)>,
}

impl Crates {
    /// Those of the workspace in `root`. `offline`: ask no registry.
    pub(super) fn read(root: &Path, offline: bool) -> Result<Self> {
        let everywhere = metadata(root, offline, &[])?;
        let here = metadata(root, offline, &["--filter-platform".into(), PLATFORM.into()])?;
        let checksums = checksums(root)?;
        let graph = graph(&here);
        let shipped = reached(&here, &graph)?;
        let foreign = || everywhere.packages.iter().filter(|p| p.source.is_some());
        let keys: BTreeMap<_, _> = foreign().map(|p| (&p.id, (p.name.to_string(), p.version.to_string()))).collect();
        let needs = |id: &&PackageId| -> BTreeSet<(String, String)> {
            graph.get(*id).into_iter().flatten().filter_map(|id| keys.get(id).cloned()).collect()
        };
        let mut all: Vec<Crate> = foreign()
            .map(|p| Crate {
                name: p.name.to_string(),
                version: p.version.to_string(),
                licence: p.license.clone().unwrap_or_default(),
                licence_file: p.license_file().map(Into::into),
                authors: p.authors.clone(),
                description: p.description.clone(),
                folder: p.manifest_path.parent().map(Into::into).unwrap_or_default(),
                checksum: checksums.get(&keys[&p.id]).cloned(),
                shipped: shipped.contains(&p.id),
                needs: needs(&&p.id),
            })
            .collect();
        all.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        let direct = shipped.iter().filter(|id| !keys.contains_key(*id)).flat_map(needs).collect();
        Ok(Crates { all, direct })
    }

    pub(super) fn shipped(&self) -> impl Iterator<Item = &Crate> {
        self.all.iter().filter(|c| c.shipped)
    }
}

fn metadata(root: &Path, offline: bool, options: &[String]) -> Result<Metadata> {
    let mut options = options.to_vec();
    options.push("--locked".into());
    if offline {
        options.push("--offline".into());
    }
    MetadataCommand::new()
        .current_dir(root)
        .manifest_path(root.join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(options)
        .exec()
        .map_err(|e| format!("cargo metadata: {e}"))
}

/// What each crate needs to be built and to run, tests aside.
fn graph(metadata: &Metadata) -> BTreeMap<&PackageId, Vec<&PackageId>> {
    let nodes = metadata.resolve.iter().flat_map(|r| &r.nodes);
    nodes
        .map(|node| {
            let wanted = |kind: DependencyKind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
            let deps = node.deps.iter().filter(|d| d.dep_kinds.iter().any(|k| wanted(k.kind)));
            (&node.id, deps.map(|d| &d.pkg).collect())
        })
        .collect()
}

/// The shipped crates and all that they need.
fn reached<'a>(metadata: &'a Metadata, graph: &BTreeMap<&'a PackageId, Vec<&'a PackageId>>) -> Result<BTreeSet<&'a PackageId>> {
    let mut left = Vec::new();
    for name in SHIPPED {
        let found = metadata.packages.iter().find(|p| p.name.as_str() == name);
        left.push(&found.ok_or_else(|| format!("the workspace has no crate {name}"))?.id);
    }
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        if seen.insert(id) {
            left.extend(graph.get(id).into_iter().flatten());
        }
    }
    Ok(seen)
}

/// The checksums in Cargo.lock, which cargo writes one key a line.
fn checksums(root: &Path) -> Result<BTreeMap<(String, String), String>> {
    let path = root.join("Cargo.lock");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|v| v.trim_matches('"').to_string())
    };
    let entry = |block| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?));
    Ok(text.split("[[package]]").filter_map(entry).collect())
}
