//! Arguments of a launch: checked against the compiled kernel and laid out for the driver.

use std::ffi::c_void;

use stfusion_core::device::{Arg, DeviceInfo, Kernel, Launch};
use stfusion_core::{Error, Result};

use crate::modules::KernelFacts;

/// Values in memory that is aligned for any type.
pub(super) struct Arguments {
    words: Vec<u128>,
    starts: Vec<usize>,
}

fn bytes_of(argument: &Arg<'_>) -> usize {
    match argument {
        Arg::Buffer(_) | Arg::NoBuffer | Arg::Long(_) => 8,
        Arg::Int(_) | Arg::Float(_) => 4,
        Arg::Bytes(bytes) => bytes.len(),
    }
}

impl Arguments {
    pub fn new(arguments: &[Arg<'_>]) -> Arguments {
        let (mut words, mut starts) = (Vec::new(), Vec::new());
        let mut push = |bytes: &[u8]| {
            starts.push(words.len());
            words.extend(bytes.chunks(16).map(|chunk| {
                let mut word = [0u8; 16];
                word[..chunk.len()].copy_from_slice(chunk);
                u128::from_ne_bytes(word)
            }));
        };
        for argument in arguments {
            match argument {
                Arg::Buffer(buffer) => push(&buffer.address().to_ne_bytes()),
                Arg::NoBuffer => push(&0u64.to_ne_bytes()),
                Arg::Int(value) => push(&value.to_ne_bytes()),
                Arg::Long(value) => push(&value.to_ne_bytes()),
                Arg::Float(value) => push(&value.to_ne_bytes()),
                Arg::Bytes(bytes) => push(bytes),
            }
        }
        Arguments { words, starts }
    }

    /// A pointer to each value.
    pub fn pointers(&mut self) -> Vec<*mut c_void> {
        let words = self.words.as_mut_ptr();
        self.starts.iter().map(|&start| words.wrapping_add(start).cast()).collect()
    }
}

/// Fails unless arguments, blocks and shared memory fit the kernel and the device.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Internal`]: the code that launches does not belong to the compiled kernel.
pub(super) fn check(
    kernel: Kernel,
    facts: &KernelFacts,
    launch: &Launch,
    arguments: &[Arg<'_>],
    device: &DeviceInfo,
) -> Result<()> {
    let wrong = |text: String| Err(Error::internal(format!("kernel {}:{} {text}", kernel.module, kernel.function)));
    let wanted = facts.parameter_bytes;
    if arguments.len() != wanted.len() {
        return wrong(format!("has {} parameters and was given {} arguments", wanted.len(), arguments.len()));
    }
    let mut sizes = arguments.iter().map(bytes_of).zip(wanted).enumerate();
    if let Some((k, (given, needed))) = sizes.find(|(_, (given, needed))| given != *needed) {
        return wrong(format!("was given {given} bytes as argument {}, which has {needed}", k + 1));
    }
    if launch.blocks.contains(&0) || launch.threads.contains(&0) {
        return wrong(format!("was launched without threads: {:?} blocks of {:?}", launch.blocks, launch.threads));
    }
    let (shared, room) = (facts.shared_bytes + launch.shared_bytes, device.shared_bytes_per_block);
    if shared > room {
        return wrong(format!("asks for {shared} bytes of shared memory; a block of {device} has {room}"));
    }
    Ok(())
}
