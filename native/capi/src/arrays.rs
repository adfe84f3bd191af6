//! Networks run once on arrays, and the arrays that go in and come out.

use std::ffi::{c_char, c_void, CString};

use stfusion_core::{Cancel, Error, ErrorKind, Result};
use stfusion_engine::{infer_arrays, InferOptions, NamedArray, WeightsSource};

use crate::context::{stf_context, with_context};
use crate::ffi::{argument, borrow, c_string, check_pointer, destroy, into_handle, optional_text, text, Guarded, Handle, Out};
use crate::status::stf_status;

/// Arrays of single precision with any number of axes, by their names: what a network takes, and what it makes. Use one from one
/// thread at a time.
#[derive(Debug)]
pub struct stf_arrays(Guarded<Vec<Entry>>);

/// An array, and its name as C wants it.
#[derive(Debug)]
pub(crate) struct Entry {
    array: NamedArray,
    name: CString,
}

impl From<NamedArray> for Entry {
    fn from(array: NamedArray) -> Self {
        Entry { name: c_string(&array.name), array }
    }
}

impl Handle for stf_arrays {
    type Value = Vec<Entry>;
    const NAME: &'static str = "stf_arrays";
    const TAG: u64 = 0x5354_4661_7272_6179;
    fn over(block: Guarded<Vec<Entry>>) -> Self {
        stf_arrays(block)
    }
    fn block(&self) -> &Guarded<Vec<Entry>> {
        &self.0
    }
}

/// Makes arrays, none so far. Destroy them with stf_arrays_destroy.
#[no_mangle]
pub unsafe extern "C" fn stf_arrays_create(context: *mut stf_context, out: *mut *mut stf_arrays) -> stf_status {
    with_context(context, |_| {
        Out::new(out, "out")?.set(into_handle(Vec::new()));
        Ok(())
    })
}

/// Destroys arrays. NULL is allowed.
#[no_mangle]
pub unsafe extern "C" fn stf_arrays_destroy(arrays: *mut stf_arrays) {
    destroy(arrays);
}

/// Adds an array: its name, the extents of its `axes` axes, and its values in C order (the last axis without gaps), which are copied.
/// `shape` may be NULL for a single number. An array of the same name is replaced.
#[no_mangle]
pub unsafe extern "C" fn stf_arrays_add(
    context: *mut stf_context,
    arrays: *mut stf_arrays,
    name: *const c_char,
    shape: *const usize,
    axes: usize,
    values: *const f32,
) -> stf_status {
    with_context(context, |_| {
        let mut arrays = borrow(arrays.cast_const())?;
        // SAFETY: the caller's contract.
        let name = unsafe { text(name, "name") }?;
        let shape = match axes {
            0 => Vec::new(),
            _ => {
                check_pointer(shape, "shape")?;
                // SAFETY: not null and aligned; by contract `axes` numbers can be read there.
                unsafe { std::slice::from_raw_parts(shape, axes) }.to_vec()
            }
        };
        check_pointer(values, "values")?;
        let count = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        let count = count.filter(|n| n.checked_mul(size_of::<f32>()).is_some_and(|bytes| isize::try_from(bytes).is_ok()));
        let count = count.ok_or_else(|| {
            argument(format!("The array {name} has the shape {shape:?}"))
                .with_hint("Give extents whose product fits into memory.")
        })?;
        // SAFETY: not null and aligned; by contract the product of the extents can be read there.
        let values = unsafe { std::slice::from_raw_parts(values, count) }.to_vec();
        arrays.retain(|entry| entry.array.name != name);
        arrays.push(NamedArray { name: name.to_owned(), shape, values }.into());
        Ok(())
    })
}

/// Number of arrays; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn stf_arrays_count(arrays: *const stf_arrays) -> usize {
    borrow(arrays).map_or(0, |arrays| arrays.len())
}

/// One of the arrays, counted from 0: its name, the extents of its axes, and its values in C order. They belong to the arrays until
/// they are destroyed or added to.
///
/// Fails with STF_STATUS_DATA when there are not so many.
#[no_mangle]
pub unsafe extern "C" fn stf_arrays_get(
    context: *mut stf_context,
    arrays: *const stf_arrays,
    index: usize,
    name: *mut *const c_char,
    shape: *mut *const usize,
    axes: *mut usize,
    values: *mut *const f32,
) -> stf_status {
    with_context(context, |_| {
        let arrays = borrow(arrays)?;
        let (name, shape) = (Out::new(name, "name")?, Out::new(shape, "shape")?);
        let (axes, values) = (Out::new(axes, "axes")?, Out::new(values, "values")?);
        let entry = arrays.get(index).ok_or_else(|| {
            Error::new(ErrorKind::Data, format!("There is no array {index}; there are {}", arrays.len()))
                .with_hint("Arrays are counted from 0; stf_arrays_count says how many there are.")
        })?;
        name.set(entry.name.as_ptr());
        shape.set(entry.array.shape.as_ptr());
        axes.set(entry.array.shape.len());
        values.set(entry.array.values.as_ptr());
        Ok(())
    })
}

/// Runs a network once on arrays: `inputs` by the names of its inputs; `out` is set to its results by theirs, to be destroyed with
/// stf_arrays_destroy. `weights` names a safetensors or ONNX file; where `contents` is not NULL the file's `size` bytes lie there, and
/// `weights` is what messages call them. Numbers that a network takes as whole ones are cut off.
///
/// `options` is NULL or a JSON object: network (the id, where the file does not say it) and options (of the network, by name; they win
/// over those of the file).
///
/// Fails with STF_STATUS_READ for weights that cannot be read, STF_STATUS_DATA when arrays, weights and network do not fit, STF_STATUS_JOB
/// for options that are none, STF_STATUS_UNSUPPORTED for operators that are not known.
#[no_mangle]
pub unsafe extern "C" fn stf_infer(
    context: *mut stf_context,
    weights: *const c_char,
    contents: *const c_void,
    size: usize,
    options: *const c_char,
    inputs: *const stf_arrays,
    out: *mut *mut stf_arrays,
) -> stf_status {
    with_context(context, |state| {
        let out = Out::new(out, "out")?;
        // SAFETY: the caller's contract.
        let (name, options) = unsafe { (text(weights, "weights")?, optional_text(options, "options")?) };
        let source = match contents.is_null() {
            true => WeightsSource::File(name.as_ref()),
            // SAFETY: not null, and bytes are always aligned; by contract `size` bytes can be read there.
            false => WeightsSource::Memory(name, unsafe { std::slice::from_raw_parts(contents.cast::<u8>(), size) }),
        };
        let arrays: Vec<NamedArray> = borrow(inputs)?.iter().map(|entry| entry.array.clone()).collect();
        let results = infer_arrays(source, &read_options(options)?, &arrays, &*state.engine()?, &Cancel::new())?;
        out.set(into_handle(results.into_iter().map(Entry::from).collect()));
        Ok(())
    })
}

fn read_options(options: Option<&str>) -> Result<InferOptions> {
    serde_json::from_str(options.unwrap_or("{}")).map_err(|e| {
        Error::new(ErrorKind::Job, format!("Not options of a network: {e}"))
            .with_hint("Give an object such as {\"network\": \"mgsfformer\", \"options\": {\"heads\": 4}}.")
    })
}
