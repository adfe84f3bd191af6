//! The command line, run as a user runs it: real files in, exit code, stdout, stderr and files out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod compare;
mod devices;
mod infer;
mod interrupted;
mod jobs;
mod outputs;
mod place;
mod printed;
mod weights;
