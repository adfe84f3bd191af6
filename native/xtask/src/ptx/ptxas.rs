//! What the assembler says of compiled kernels, and what their PTX says of their parameters.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// What a kernel needs on one architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Registers of a thread.
    pub registers: usize,
    /// Bytes that a thread stores and loads again because registers do not suffice; the larger of both.
    pub spill_bytes: usize,
    /// Shared memory of a block, without what a launch adds.
    pub shared_bytes: usize,
}

/// Assembles `ptx` for a real architecture, which also checks inline assembly; resources by the name of the kernel.
///
/// # Errors
/// What the assembler says.
pub fn resources(ptxas: &Path, ptx: &str, architecture: &str) -> Result<BTreeMap<String, Resources>> {
    let mut file = tempfile::Builder::new().suffix(".ptx").tempfile().map_err(|e| e.to_string())?;
    file.write_all(ptx.as_bytes()).map_err(|e| e.to_string())?;
    let cubin = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let output = Command::new(ptxas)
        .args(["--verbose", "--gpu-name", architecture, "--output-file"])
        .arg(cubin.path())
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", ptxas.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("ptxas refuses it for {architecture}:\n{said}"));
    }
    parse(&said)
}

/// The number before `unit` in a list such as `Used 40 registers, 16 bytes smem`; 0 where there is none.
fn number_before(line: &str, unit: &str) -> usize {
    let mut parts = line.split(',').filter_map(|part| part.trim().strip_suffix(unit));
    parts.find_map(|part| part.trim().rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

fn parse(said: &str) -> Result<BTreeMap<String, Resources>> {
    let mut found: BTreeMap<String, Resources> = BTreeMap::new();
    let mut kernel: Option<String> = None;
    for line in said.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let name = rest.split('\'').next().unwrap_or_default().to_string();
            found.insert(name.clone(), Resources::default());
            kernel = Some(name);
        }
        let Some(own) = kernel.as_ref().and_then(|name| found.get_mut(name)) else { continue };
        if line.contains("bytes spill stores") {
            own.spill_bytes = number_before(line, "bytes spill stores").max(number_before(line, "bytes spill loads"));
        } else if line.contains("Used ") {
            own.registers = number_before(line.split(" : ").last().unwrap_or(line), "registers");
            own.shared_bytes = number_before(line, "bytes smem");
        }
    }
    match found.iter().find(|(_, r)| r.registers == 0) {
        Some((name, _)) => Err(format!("ptxas does not say how many registers {name} needs:\n{said}")),
        None => Ok(found),
    }
}

/// Bytes of a type of PTX.
fn bytes_of(kind: &str) -> Option<usize> {
    let bits: usize = kind.trim_start_matches(['.', 'u', 's', 'f', 'b']).parse().ok()?;
    Some(bits / 8)
}

/// The kernels of a PTX text in their order, with the sizes of their parameters in bytes.
///
/// # Errors
/// When a parameter is not understood.
pub fn entries(ptx: &str) -> Result<Vec<(String, Vec<usize>)>> {
    let mut found = Vec::new();
    for part in ptx.split(".entry ").skip(1) {
        // a kernel without parameters has no parenthesis before its body
        let head = part.split('{').next().unwrap_or(part);
        let (name, rest) = head.split_once('(').unwrap_or((head, ""));
        let parameters = rest.split(')').next().unwrap_or_default();
        let sizes = parameters
            .split(".param")
            .skip(1)
            .map(|parameter| {
                let words: Vec<&str> = parameter.split([' ', '\t', '\n', ',']).filter(|w| !w.is_empty()).collect();
                let kind = words.iter().find(|w| w.starts_with('.') && **w != ".align" && !w.starts_with(".ptr"));
                let each = kind.and_then(|kind| bytes_of(kind));
                let count = match words.iter().find_map(|w| w.split_once('[')) {
                    Some((_, length)) => length.trim_end_matches(']').parse().ok(),
                    None => Some(1),
                };
                each.zip(count).map(|(each, count)| each * count).ok_or_else(|| format!("parameter not understood: {parameter}"))
            })
            .collect::<Result<Vec<usize>>>()?;
        found.push((name.trim().to_string(), sizes));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_their_sizes() {
        let ptx =
            ".version 8.0\n.visible .entry first(\n\t.param .u64 first_param_0,\n\t.param .align 8 .b8 first_param_1[72],\n\
                   \t.param .f32 first_param_2\n)\n.maxntid 256, 1, 1\n{\n ret;\n}\n.visible .entry second()\n{\n ret;\n}\n";
        assert_eq!(entries(ptx).unwrap(), [("first".to_string(), vec![8, 72, 4]), ("second".to_string(), vec![])]);
    }

    #[test]
    fn resources_are_read_from_what_the_assembler_says() {
        let said = "ptxas info    : 0 bytes gmem\n\
             ptxas info    : Compiling entry function 'first' for 'sm_90a'\n\
             ptxas info    : Function properties for first\n    32 bytes stack frame, 24 bytes spill stores, 28 bytes spill loads\n\
             ptxas info    : Used 255 registers, 1040 bytes smem, 612 bytes cmem[0]\n\
             ptxas info    : Compiling entry function 'second' for 'sm_90a'\n\
             ptxas info    : Function properties for second\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
             ptxas info    : Used 8 registers, 528 bytes cmem[0]\n";
        let found = parse(said).unwrap();
        assert_eq!(found["first"], Resources { registers: 255, spill_bytes: 28, shared_bytes: 1040 });
        assert_eq!(found["second"], Resources { registers: 8, spill_bytes: 0, shared_bytes: 0 });
    }
}
