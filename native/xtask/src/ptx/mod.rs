//! The kernels of `cuda/`, compiled ahead of time.
//!
//! ```text
//! cuda/**/*.cu, *.cuh ──NVRTC──> cuda/ptx/<module>.<target>.ptx ──ptxas──> registers, spills, shared memory
//!                                          └────────> cuda/ptx/manifest.json, cuda/ptx/resources.md, native/gpu/src/modules/generated.rs
//! ```
//! Compiler and assembler come from two pinned wheels, so that no toolkit need be installed and the same sources give the same bytes
//! everywhere. They are fetched by `pip` when the files are made or compared; building stfusion needs neither. The manifest holds the
//! hashes of sources and results, so that stale PTX is found without them.

mod nvrtc;
mod ptxas;
mod sources;
mod wheels;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{json, Value as Json};
use sha2::{Digest, Sha256};

use crate::{Generated, Result};
use ptxas::Resources;

pub use wheels::{fetch, Tools};

/// The command that makes these files.
pub const COMMAND: &str = "cargo xtask ptx";

const FOLDER: &str = "cuda/ptx";
const MANIFEST: &str = "cuda/ptx/manifest.json";
const TABLE: &str = "cuda/ptx/resources.md";
const MODULES: &str = "native/gpu/src/modules/generated.rs";

/// An architecture that kernels are compiled for.
struct Target {
    /// As NVRTC and file names have it.
    virtual_name: &'static str,
    /// The real architecture whose resources are reported.
    real_name: &'static str,
    /// As `stfusion_gpu::modules::Target` has it.
    variant: &'static str,
}

const TARGETS: &[Target] = &[
    Target { virtual_name: "compute_75", real_name: "sm_75", variant: "Compute75" },
    Target { virtual_name: "compute_80", real_name: "sm_80", variant: "Compute80" },
    Target { virtual_name: "compute_90a", real_name: "sm_90a", variant: "Compute90a" },
];

/// Options of every compilation. Multiply-adds are fused where a source says so and nowhere else, so that decisions are those of the CPU.
const OPTIONS: &[&str] = &["--std=c++17", "--fmad=false"];

/// A compiled kernel.
struct Kernel {
    name: String,
    parameter_bytes: Vec<usize>,
    /// For each of [`TARGETS`].
    resources: Vec<Resources>,
}

/// Everything that is made from the sources below `root`.
///
/// # Errors
/// The compiler's log, a kernel that spills registers without a reason in its source, or files that cannot be read.
pub fn compiled(root: &Path, tools: &Tools) -> Result<Vec<Generated>> {
    let compiler = nvrtc::Compiler::load(&tools.nvrtc)?;
    let sources = sources::all(&root.join("cuda"))?;
    let mut files = Vec::new();
    let mut modules = serde_json::Map::new();
    let mut table = String::from(TABLE_HEAD);
    let mut code = format!("// Written by `{COMMAND}`; do not edit.\nuse super::{{KernelFacts, Module, Target}};\n\n/// Every module of `cuda/`, compiled.\n#[rustfmt::skip]\npub static ALL: &[Module] = &[\n");
    for source in sources.iter().filter(|s| s.is_module()) {
        let included = sources::included(source, &sources)?;
        let mut hashes = BTreeMap::new();
        let mut kernels: Vec<Kernel> = Vec::new();
        for target in TARGETS {
            let ptx = compiler.compile(source, &included, target.virtual_name, OPTIONS)?;
            let resources =
                ptxas::resources(&tools.ptxas, &ptx, target.real_name).map_err(|e| format!("{}: {e}", source.path))?;
            if kernels.is_empty() {
                kernels = ptxas::entries(&ptx)?
                    .into_iter()
                    .map(|(name, parameter_bytes)| Kernel { name, parameter_bytes, resources: Vec::new() })
                    .collect();
            }
            for kernel in &mut kernels {
                let own =
                    resources.get(&kernel.name).ok_or_else(|| format!("{}: {} has no resources", source.path, kernel.name))?;
                if own.spill_bytes > 0 && !source.text.contains(&format!("// spills: {}:", kernel.name)) {
                    return Err(format!(
                        "{}: {} spills {} bytes on {}; use fewer registers, or say why it may with a line `// spills: {}: reason`",
                        source.path, kernel.name, own.spill_bytes, target.real_name, kernel.name
                    ));
                }
                kernel.resources.push(own.clone());
            }
            let path = format!("{FOLDER}/{}.{}.ptx", source.module(), target.virtual_name);
            hashes.insert(target.virtual_name, hash(ptx.as_bytes()));
            files.push(Generated::new(path, ptx));
        }
        let of_sources: BTreeMap<&str, String> =
            std::iter::once(source).chain(included).map(|s| (s.path.as_str(), hash(s.text.as_bytes()))).collect();
        let of_kernel =
            |k: &Kernel| json!({ "name": k.name, "parameter_bytes": k.parameter_bytes, "shared_bytes": k.shared_bytes() });
        modules.insert(
            source.module().into(),
            json!({ "sources": of_sources, "ptx": hashes, "kernels": kernels.iter().map(of_kernel).collect::<Vec<_>>() }),
        );
        kernels.iter().for_each(|k| k.add_rows(&mut table));
        add_module(&mut code, source.module(), &kernels);
    }
    code += "];\n";
    let manifest = json!({
        "generated": format!("by {COMMAND}; do not edit"),
        "wheels": wheels::PINNED,
        "options": OPTIONS,
        "modules": modules,
    });
    files.push(Generated::new(MANIFEST, format!("{manifest:#}\n")));
    files.push(Generated::new(TABLE, table));
    files.push(Generated::new(MODULES, code));
    Ok(files)
}

const TABLE_HEAD: &str = "# Registers, spills and shared memory of every kernel\n\n\
     Written by `cargo xtask ptx` from what ptxas says; do not edit. Bytes of spills and of static shared memory; dynamic shared memory comes on top.\n\n\
     | kernel | architecture | registers | spills | shared |\n|---|---|---|---|---|\n";

impl Kernel {
    fn shared_bytes(&self) -> usize {
        self.resources.iter().map(|r| r.shared_bytes).max().unwrap_or(0)
    }

    fn add_rows(&self, table: &mut String) {
        for (target, r) in TARGETS.iter().zip(&self.resources) {
            *table +=
                &format!("| {} | {} | {} | {} | {} |\n", self.name, target.real_name, r.registers, r.spill_bytes, r.shared_bytes);
        }
    }
}

fn add_module(code: &mut String, module: &str, kernels: &[Kernel]) {
    *code += &format!("    Module {{\n        name: {module:?},\n        ptx: &[\n");
    for target in TARGETS {
        *code += &format!(
            "            (Target::{}, include_str!(\"../../../../{FOLDER}/{module}.{}.ptx\")),\n",
            target.variant, target.virtual_name
        );
    }
    *code += "        ],\n        kernels: &[\n";
    for k in kernels {
        let (name, bytes, shared) = (&k.name, &k.parameter_bytes, k.shared_bytes());
        *code += &format!("            KernelFacts {{ name: {name:?}, parameter_bytes: &{bytes:?}, shared_bytes: {shared} }},\n");
    }
    *code += "        ],\n    },\n";
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// What of the committed files is not what the manifest says, found without the compiler: sources and PTX by their hashes, kernels that
/// were never compiled, and files that nothing generates.
///
/// # Errors
/// When the manifest or a source cannot be read.
pub fn stale(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(MANIFEST)).map_err(|e| format!("{MANIFEST}: {e}; run `{COMMAND}`"))?;
    let manifest: Json = serde_json::from_str(&text).map_err(|e| format!("{MANIFEST}: {e}"))?;
    let mut stale = Vec::new();
    if manifest["wheels"] != json!(wheels::PINNED) || manifest["options"] != json!(OPTIONS) {
        stale.push(format!("{MANIFEST}: made by another compiler or with other options"));
    }
    let sources = sources::all(&root.join("cuda"))?;
    let mut expected = Vec::new();
    for source in sources.iter().filter(|s| s.is_module()) {
        let module = &manifest["modules"][source.module()];
        for part in std::iter::once(source).chain(sources::included(source, &sources)?) {
            if module["sources"][&part.path] != json!(hash(part.text.as_bytes())) {
                stale.push(format!("{}: its PTX is older than {}", source.path, part.path));
            }
        }
        for target in TARGETS {
            let path = format!("{FOLDER}/{}.{}.ptx", source.module(), target.virtual_name);
            let found = fs::read(root.join(&path)).map(|bytes| hash(&bytes)).unwrap_or_default();
            if module["ptx"][target.virtual_name] != json!(found) {
                stale.push(format!("{path}: not what was compiled"));
            }
            expected.push(path);
        }
    }
    stale.extend(left_over(root, &expected)?.into_iter().map(|path| format!("{path}: nothing generates it")));
    Ok(stale)
}

/// PTX files below `root` that are not in `expected`.
fn left_over(root: &Path, expected: &[String]) -> Result<Vec<String>> {
    let found = sources::files_below(&root.join(FOLDER), "ptx")?;
    let below = |path: &Path| path.strip_prefix(root).ok().map(|p| p.to_string_lossy().into_owned());
    Ok(found.iter().filter_map(|path| below(path)).filter(|path| !expected.contains(path)).collect())
}

/// Writes what [`compiled`] makes and removes what nothing generates any more; returns the paths touched.
///
/// # Errors
/// Those of [`compiled`], and when a file cannot be written.
pub fn write(root: &Path, tools: &Tools) -> Result<Vec<String>> {
    let files = compiled(root, tools)?;
    let mut touched = crate::write_changed(root, &files)?;
    let expected: Vec<String> = files.iter().map(|f| f.path.clone()).collect();
    for path in left_over(root, &expected)? {
        fs::remove_file(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
        touched.push(format!("{path} (removed)"));
    }
    Ok(touched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        assert_eq!(hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_table_of_modules_is_rust() {
        let resources = vec![Resources { registers: 40, spill_bytes: 0, shared_bytes: 16 }; TARGETS.len()];
        let kernels = [Kernel { name: "a_kernel".into(), parameter_bytes: vec![8, 4], resources }];
        let mut code = String::new();
        add_module(&mut code, "methods/a", &kernels);
        assert!(code.contains("KernelFacts { name: \"a_kernel\", parameter_bytes: &[8, 4], shared_bytes: 16 },"), "{code}");
        assert!(
            code.contains("(Target::Compute90a, include_str!(\"../../../../cuda/ptx/methods/a.compute_90a.ptx\")),"),
            "{code}"
        );
    }
}
