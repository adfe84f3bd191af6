//! The fast kernels. Each yields the same bits whatever the number of threads: work is cut into tasks by sizes alone, and no sum is
//! shared between tasks.

pub(crate) mod convolution;
pub(crate) mod convolved;
pub(crate) mod copy;
pub(crate) mod elementwise;
pub(crate) mod fused;
pub(crate) mod images;
pub(crate) mod lines;
pub(crate) mod product;
pub(crate) mod rows;
pub(crate) mod squares;
pub(crate) mod transposed;

use std::cell::RefCell;

use stfusion_simd::{Path, Simd};

/// A pointer into a result that tasks write disjoint parts of.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub *mut f32);

// SAFETY: tasks write disjoint parts; whoever makes one says why.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The pointer; a method, so that closures take the whole value.
    pub(crate) fn get(self) -> *mut f32 {
        self.0
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with this thread's scratch memory of `len` values, whose contents are arbitrary. Not to be nested.
pub(crate) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // 16 more, so that the memory can begin at a cache line
    let mut memory = SCRATCH.take();
    if memory.len() < len + 16 {
        memory = vec![0.0; len + 16];
    }
    let skip = memory.as_ptr().align_offset(64).min(16);
    let result = work(&mut memory[skip..skip + len]);
    SCRATCH.set(memory);
    result
}

/// Work that is written once for all vectors. `run` must be `#[inline(always)]`, and so must what it calls in its loops.
pub(crate) trait Vectorised {
    /// Does the work with the vectors that `s` stands for.
    fn run<S: Simd>(self, s: S);
}

/// Does `work` with the vectors of `path`, which the processor must have.
pub(crate) fn with_vectors<W: Vectorised>(path: Path, work: W) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn avx2<W: Vectorised>(work: W) {
            // SAFETY: this function runs only where the processor has AVX2 and FMA.
            work.run(unsafe { stfusion_simd::Avx2::new() });
        }
        #[target_feature(enable = "avx512f")]
        fn avx512<W: Vectorised>(work: W) {
            // SAFETY: this function runs only where the processor has AVX-512F.
            work.run(unsafe { stfusion_simd::Avx512::new() });
        }
        match path {
            // SAFETY: a path other than the plainest is only chosen where the processor has it.
            Path::Avx2 => unsafe { avx2(work) },
            // SAFETY: as above.
            Path::Avx512 => unsafe { avx512(work) },
            Path::Baseline => work.run(stfusion_simd::Baseline),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = path;
        work.run(stfusion_simd::Baseline);
    }
}
