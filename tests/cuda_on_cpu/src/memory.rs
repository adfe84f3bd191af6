//! Device memory that is memory of this process, with a guard before and behind every buffer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use stfusion_core::device::Home;

/// Bytes of a guard.
const GUARD_BYTES: usize = 64;
const GUARD: u8 = 0xa5;

/// The buffers by their addresses, each with its guards.
#[derive(Debug, Default)]
pub struct Memory {
    blocks: Mutex<HashMap<u64, Box<[Line]>>>,
}

/// As aligned as memory of a GPU.
#[derive(Debug, Clone, Copy)]
#[repr(align(256))]
struct Line([u8; 256]);

impl Memory {
    /// A new buffer, full of 0xff.
    pub fn take(&self, bytes: usize) -> u64 {
        let lines = (bytes + GUARD_BYTES).div_ceil(256);
        let mut block = vec![Line([GUARD; 256]); lines + 1].into_boxed_slice();
        let mut left = bytes;
        for line in &mut block[1..] {
            let inside = left.min(256);
            line.0[..inside].fill(0xff);
            left -= inside;
        }
        let address = (&raw mut block[1]) as u64;
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).insert(address, block);
        address
    }
}

impl Home for Memory {
    fn take_back(&self, address: u64, bytes: usize) {
        let block = self.blocks.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
        let Some(block) = block else { return };
        let before = block[0].0.iter();
        let behind = block[1..].iter().flat_map(|line| &line.0).skip(bytes);
        if before.chain(behind).any(|&byte| byte != GUARD) && !std::thread::panicking() {
            panic!("a kernel wrote outside a buffer of {bytes} bytes");
        }
    }
}
