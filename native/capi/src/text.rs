//! Texts about the library: versions, methods, schemas.

use std::ffi::c_char;

use crate::context::{stf_context, to_json, with_text};
use crate::status::stf_status;

/// ABI that this header describes; the number in the name libstfusion.so.0.
pub const STF_ABI_VERSION: u32 = 0;

/// ABI number of the library in use. A program compares it with STF_ABI_VERSION of the header it was built with.
#[no_mangle]
pub extern "C" fn stf_abi_version() -> u32 {
    STF_ABI_VERSION
}

/// Version of the library in use, such as "0.1.0". Never NULL, lives forever.
#[no_mangle]
pub extern "C" fn stf_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Methods, their parameters, job options and mask presets as JSON: everything that a dialog is built from.
/// The text belongs to the context until it is destroyed or this function is called again.
#[no_mangle]
pub unsafe extern "C" fn stf_spec_json(context: *mut stf_context, out: *mut *const c_char) -> stf_status {
    with_text(context, out, "stf_spec_json", |_| to_json(&stfusion_engine::spec()))
}

/// The methods, their references and parameters as a JSON list.
/// The text belongs to the context until it is destroyed or this function is called again.
#[no_mangle]
pub unsafe extern "C" fn stf_methods_json(context: *mut stf_context, out: *mut *const c_char) -> stf_status {
    with_text(context, out, "stf_methods_json", |_| to_json(&stfusion_engine::spec()["methods"]))
}

/// The JSON schema of a job file.
/// The text belongs to the context until it is destroyed or this function is called again.
#[no_mangle]
pub unsafe extern "C" fn stf_job_schema_json(context: *mut stf_context, out: *mut *const c_char) -> stf_status {
    with_text(context, out, "stf_job_schema_json", |_| to_json(&stfusion_engine::job_schema()))
}

/// What can compute as JSON: `devices` lists the processor and every GPU by the names that the option "device" of a job takes, `gpu` says why
/// there is no GPU and what to do, or is null.
/// The text belongs to the context until it is destroyed or this function is called again.
#[no_mangle]
pub unsafe extern "C" fn stf_devices_json(context: *mut stf_context, out: *mut *const c_char) -> stf_status {
    with_text(context, out, "stf_devices_json", |_| to_json(&stfusion_engine::devices()))
}

/// Version, GDAL, processor, devices, threads and memory as JSON: what a bug report needs.
/// The text belongs to the context until it is destroyed or this function is called again.
#[no_mangle]
pub unsafe extern "C" fn stf_installation_json(context: *mut stf_context, out: *mut *const c_char) -> stf_status {
    with_text(context, out, "stf_installation_json", |_| to_json(&stfusion_engine::installation()))
}
