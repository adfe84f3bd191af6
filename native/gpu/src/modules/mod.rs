//! The kernels of `cuda/`, compiled to PTX ahead of time and embedded.

mod generated;

pub use generated::ALL;

/// Architecture that a PTX text was compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `compute_75`: every device from Turing on.
    Compute75,
    /// `compute_80`: every device from Ampere on.
    Compute80,
    /// `compute_90a`: Hopper, and nothing else.
    Compute90a,
}

impl Target {
    /// Every target, the most demanding first.
    pub const ALL: &'static [Target] = &[Target::Compute90a, Target::Compute80, Target::Compute75];

    /// Whether a device of this compute capability runs it.
    pub fn runs_on(self, capability: (u32, u32)) -> bool {
        match self {
            Target::Compute75 => capability >= (7, 5),
            Target::Compute80 => capability >= (8, 0),
            Target::Compute90a => capability == (9, 0),
        }
    }
}

/// What is known of a compiled kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelFacts {
    /// Name of the function.
    pub name: &'static str,
    /// Size of each parameter in bytes, in their order.
    pub parameter_bytes: &'static [usize],
    /// Shared memory that the kernel declares, in bytes.
    pub shared_bytes: usize,
}

/// A file of `cuda/`, compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module {
    /// Its path below `cuda/` without extension, such as `methods/starfm`.
    pub name: &'static str,
    /// Its PTX for each target.
    pub ptx: &'static [(Target, &'static str)],
    /// Its kernels.
    pub kernels: &'static [KernelFacts],
}

impl Module {
    /// The text for a device of this compute capability, if one runs there.
    pub fn ptx_for(&self, capability: (u32, u32)) -> Option<&'static str> {
        let target = Target::ALL.iter().filter(|t| t.runs_on(capability));
        target.flat_map(|t| self.ptx.iter().find(|(of, _)| of == t)).map(|(_, text)| *text).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_gets_the_best_text_that_it_runs() {
        let all = Module {
            name: "m",
            ptx: &[(Target::Compute75, "75"), (Target::Compute80, "80"), (Target::Compute90a, "90a")],
            kernels: &[],
        };
        let chosen = [(7, 0), (7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 1)].map(|c| all.ptx_for(c));
        assert_eq!(chosen, [None, Some("75"), Some("80"), Some("80"), Some("90a"), Some("80"), Some("80")]);
        let only_old = Module { ptx: &[(Target::Compute75, "75")], ..all };
        assert_eq!(only_old.ptx_for((9, 0)), Some("75"));
    }
}
