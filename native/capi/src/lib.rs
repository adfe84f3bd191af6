//! The C ABI of stfusion: `libstfusion` and `stfusion.h`, nothing but boundary code.
//!
//! Every function checks what it is given, calls the engine, and turns the outcome into a status; the text of a failure
//! stays in the context. The rules that hold for all of them:
//!
//! * A pointer to const is not changed. Outputs are trailing out-pointers, written only on success.
//! * NULL, misaligned structures, foreign handles and handles in use by another call are refused, not dereferenced.
//! * Pixels may lie anywhere, at any byte stride: they are read and written unaligned, through raw pointers, and never
//!   through a reference to the caller's memory.
//! * No panic crosses the boundary: it becomes `STF_STATUS_INTERNAL`, and the process's panic hook stays as it is.
#![deny(missing_docs)]
#![allow(non_camel_case_types, reason = "types carry their C names")]
#![allow(clippy::missing_safety_doc, reason = "the module page states what holds for the pointers of every function")]

mod arrays;
mod context;
mod ffi;
mod image;
mod job;
mod pixels;
mod run;
mod scene;
mod status;
mod text;

pub use arrays::*;
pub use context::*;
pub use image::*;
pub use job::*;
pub use run::*;
pub use status::*;
pub use text::*;
