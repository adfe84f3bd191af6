//! What the boundary refuses, and how: NULL, misaligned structures, wrong sizes, foreign handles, use during a call.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr::{null, null_mut};

use stfusion::*;

const NAN: f32 = f32::NAN;

struct Fixture {
    context: *mut stf_context,
    job: *mut stf_job,
}

impl Fixture {
    fn new(method: &CStr) -> Self {
        let (mut context, mut job) = (null_mut(), null_mut());
        // SAFETY: valid out-pointers and text.
        unsafe {
            assert_eq!(stf_context_create(&mut context), stf_status::Ok);
            assert_eq!(stf_job_create(context, method.as_ptr(), &mut job), stf_status::Ok);
        }
        Fixture { context, job }
    }

    fn error(&self) -> String {
        // SAFETY: a live context, whose texts end with a zero byte.
        unsafe { CStr::from_ptr(stf_context_last_error(self.context)) }.to_str().unwrap().into()
    }

    fn hint(&self) -> String {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(stf_context_last_hint(self.context)) }.to_str().unwrap().into()
    }

    /// Asserts a refusal: its status, words of its message, and that there is a hint.
    fn refused(&self, status: stf_status, expected: stf_status, words: &str) {
        let error = self.error();
        assert_eq!(status, expected, "{error}");
        assert!(error.contains(words), "{error:?} does not say {words:?}");
        assert!(!self.hint().is_empty(), "no hint with {error:?}");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed once.
        unsafe {
            stf_job_destroy(self.job);
            stf_context_destroy(self.context);
        }
    }
}

fn image<T>(data: &mut [T], dtype: stf_dtype, bands: usize, rows: usize, cols: usize) -> stf_image {
    assert_eq!(data.len(), bands * rows * cols);
    let mut out = std::mem::MaybeUninit::<stf_image>::uninit();
    // SAFETY: an aligned out-pointer, read after it was filled.
    unsafe {
        let size = size_of::<stf_image>();
        let status = stf_image_init(data.as_mut_ptr().cast(), dtype as i32, bands, rows, cols, size, out.as_mut_ptr());
        assert_eq!(status, stf_status::Ok);
        out.assume_init()
    }
}

#[test]
fn version_and_abi_are_those_of_version_txt() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Version.txt")).unwrap();
    // SAFETY: a constant string.
    let version = unsafe { CStr::from_ptr(stf_version()) }.to_str().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], [format!("library {version}"), format!("abi {}", stf_abi_version())]);
}

#[test]
fn null_is_refused_by_every_function_and_changes_no_output() {
    let f = Fixture::new(c"nearest_pair");
    let (ctx, job) = (f.context, f.job);
    let text = c"x".as_ptr();
    let mut pixels = [0f32; 4];
    let described = image(&mut pixels, stf_dtype::F32, 1, 2, 2);
    let mut sentinel_text: *const c_char = text;
    let mut sentinel_job: *mut stf_job = job;
    let mut sentinel_context: *mut stf_context = ctx;
    let (out_text, out_job) = (&raw mut sentinel_text, &raw mut sentinel_job);
    let (no_text, no_image) = (null::<c_char>(), null::<stf_image>());
    // SAFETY: every pointer is valid or NULL.
    let table: Vec<(&str, stf_status, &str)> = unsafe {
        let mut table = Vec::new();
        macro_rules! refused {
            ($($function:ident($($argument:expr),*) $words:literal;)*) => {
                $( let status = $function($($argument),*); table.push((stringify!($function), status, $words));
                   let error = f.error(); assert!(error.contains($words), "{}: {error:?} does not say {:?}", stringify!($function), $words); )*
            };
        }
        refused! {
            stf_spec_json(ctx, null_mut()) "out is NULL";
            stf_methods_json(ctx, null_mut()) "out is NULL";
            stf_job_schema_json(ctx, null_mut()) "out is NULL";
            stf_devices_json(ctx, null_mut()) "out is NULL";
            stf_installation_json(ctx, null_mut()) "out is NULL";
            stf_job_create(ctx, no_text, out_job) "method is NULL";
            stf_job_create(ctx, text, null_mut()) "out is NULL";
            stf_job_from_json(ctx, no_text, no_text, out_job) "json is NULL";
            stf_job_from_json(ctx, text, no_text, null_mut()) "out is NULL";
            stf_job_from_file(ctx, no_text, out_job) "path is NULL";
            stf_job_from_file(ctx, text, null_mut()) "out is NULL";
            stf_job_set_int(ctx, null_mut(), text, 1) "stf_job is NULL";
            stf_job_set_int(ctx, job, no_text, 1) "name is NULL";
            stf_job_set_double(ctx, null_mut(), text, 1.0) "stf_job is NULL";
            stf_job_set_double(ctx, job, no_text, 1.0) "name is NULL";
            stf_job_set_bool(ctx, null_mut(), text, 1) "stf_job is NULL";
            stf_job_set_bool(ctx, job, no_text, 1) "name is NULL";
            stf_job_set_string(ctx, null_mut(), text, text) "stf_job is NULL";
            stf_job_set_string(ctx, job, no_text, text) "name is NULL";
            stf_job_set_string(ctx, job, text, no_text) "value is NULL";
            stf_job_add_pair(ctx, null_mut(), no_text, text, text) "stf_job is NULL";
            stf_job_add_pair(ctx, job, no_text, no_text, text) "fine is NULL";
            stf_job_add_pair(ctx, job, no_text, text, no_text) "coarse is NULL";
            stf_job_set_pair_mask(ctx, null_mut(), 0, 1, text, no_text) "stf_job is NULL";
            stf_job_set_pair_mask(ctx, job, 0, 1, text, no_text) "pair is 0, but the job has 0 pairs";
            stf_job_set_pair_classes(ctx, null_mut(), 0, text) "stf_job is NULL";
            stf_job_set_pair_classes(ctx, job, 0, text) "pair is 0, but the job has 0 pairs";
            stf_job_set_pair_objects(ctx, null_mut(), 0, text) "stf_job is NULL";
            stf_job_set_pair_objects(ctx, job, 0, text) "pair is 0, but the job has 0 pairs";
            stf_job_set_target(ctx, null_mut(), no_text, text) "stf_job is NULL";
            stf_job_set_target(ctx, job, no_text, no_text) "coarse is NULL";
            stf_job_set_target_mask(ctx, null_mut(), text, no_text) "stf_job is NULL";
            stf_job_to_json(ctx, null(), out_text) "stf_job is NULL";
            stf_job_to_json(ctx, job, null_mut()) "out is NULL";
            stf_job_add_pair_image(ctx, null_mut(), no_text, &described, &described) "stf_job is NULL";
            stf_job_add_pair_image(ctx, job, no_text, no_image, &described) "fine is NULL";
            stf_job_add_pair_image(ctx, job, no_text, &described, no_image) "coarse is NULL";
            stf_job_set_pair_class_image(ctx, null_mut(), 0, &described) "stf_job is NULL";
            stf_job_set_pair_class_image(ctx, job, 0, no_image) "classes is NULL";
            stf_job_set_pair_class_image(ctx, job, 0, &described) "pair is 0, but the job has 0 pairs";
            stf_job_set_pair_object_image(ctx, null_mut(), 0, &described) "stf_job is NULL";
            stf_job_set_pair_object_image(ctx, job, 0, no_image) "objects is NULL";
            stf_job_set_pair_object_image(ctx, job, 0, &described) "pair is 0, but the job has 0 pairs";
            stf_job_set_target_image(ctx, null_mut(), no_text, &described) "stf_job is NULL";
            stf_job_set_target_image(ctx, job, no_text, no_image) "coarse is NULL";
            stf_job_run(ctx, null(), null_mut()) "stf_job is NULL";
            stf_job_run_image(ctx, null(), &described, no_image, null_mut()) "stf_job is NULL";
            stf_job_run_image(ctx, job, no_image, no_image, null_mut()) "prediction is NULL";
            stf_job_inspect_json(ctx, null(), out_text) "stf_job is NULL";
            stf_job_inspect_json(ctx, job, null_mut()) "out is NULL";
            stf_job_compare_json(ctx, null(), no_text, out_text) "stf_job is NULL";
            stf_job_compare_json(ctx, job, no_text, null_mut()) "out is NULL";
            stf_image_info_json(ctx, no_text, out_text) "name is NULL";
            stf_image_info_json(ctx, text, null_mut()) "out is NULL";
            stf_job_set_contents(ctx, job, no_text, text.cast(), 1) "name is NULL";
            stf_job_set_contents(ctx, job, text, null(), 1) "data is NULL";
            stf_weights_info_json(ctx, no_text, out_text) "path is NULL";
            stf_weights_info_json(ctx, text, null_mut()) "out is NULL";
            stf_assess_json(ctx, no_text, out_text) "request is NULL";
            stf_assess_json(ctx, text, null_mut()) "out is NULL";
        }
        table
    };
    for (function, status, words) in table {
        assert_eq!(status, stf_status::Argument, "{function}: {words}");
    }
    assert_eq!((sentinel_text, sentinel_job), (text, job));

    // SAFETY: NULL is what is tested.
    unsafe {
        let without = [
            stf_context_create(null_mut()),
            stf_context_set_threads(null_mut(), 1),
            stf_context_set_memory(null_mut(), 0),
            stf_context_set_progress(null_mut(), None, null_mut()),
            stf_context_set_log(null_mut(), None, null_mut()),
            stf_spec_json(null_mut(), out_text),
            stf_job_create(null_mut(), text, out_job),
            stf_job_run(null_mut(), job, null_mut()),
            stf_image_init(pixels.as_mut_ptr().cast(), 6, 1, 2, 2, size_of::<stf_image>(), null_mut()),
        ];
        assert!(without.iter().all(|&s| s == stf_status::Argument), "{without:?}");
        assert_eq!(CStr::from_ptr(stf_context_last_error(null())).to_str().unwrap(), "The context is NULL");
        assert_eq!(CStr::from_ptr(stf_report_json(null())).to_str().unwrap(), "{}");
        stf_context_destroy(null_mut());
        stf_job_destroy(null_mut());
        stf_report_destroy(null_mut());
        let misaligned = (&raw mut sentinel_context).cast::<u8>().add(1).cast();
        assert_eq!(stf_context_create(misaligned), stf_status::Argument);
    }
    assert_eq!((sentinel_text, sentinel_job, sentinel_context), (text, job, ctx));
}

#[test]
fn misaligned_and_foreign_handles_are_refused() {
    let f = Fixture::new(c"nearest_pair");
    // SAFETY: pointers into live memory, at places that the functions must refuse.
    unsafe {
        let shifted = f.job.cast::<u8>().add(4).cast::<stf_job>();
        f.refused(stf_job_set_int(f.context, shifted, c"threads".as_ptr(), 1), stf_status::Argument, "stf_job is misaligned");
        let context_as_job = f.context.cast::<stf_job>();
        f.refused(
            stf_job_set_int(f.context, context_as_job, c"threads".as_ptr(), 1),
            stf_status::Argument,
            "The pointer is not a live stf_job",
        );
        assert_eq!(stf_context_set_threads(f.job.cast(), 1), stf_status::Argument);
        stf_context_destroy(f.job.cast());
        f.refused(
            stf_job_set_int(f.context, f.job, c"threads".as_ptr(), -1),
            stf_status::Parameter,
            "threads must be a whole number",
        );
        let mut pixels = [0f32; 4];
        let mut copies = [image(&mut pixels, stf_dtype::F32, 1, 2, 2); 2];
        let shifted = copies.as_mut_ptr().cast::<u8>().add(4).cast::<stf_image>();
        let status = stf_job_set_target_image(f.context, f.job, null(), shifted);
        f.refused(status, stf_status::Argument, "coarse is misaligned");
    }
}

#[test]
fn structure_sizes_are_checked_before_anything_else_is_believed() {
    let f = Fixture::new(c"nearest_pair");
    let mut pixels = [0f32; 4];
    let good = image(&mut pixels, stf_dtype::F32, 1, 2, 2);
    let known = size_of::<stf_image>();
    for size in [0, 1, 8, known - 8, known - 1, 4097, 1 << 40, usize::MAX] {
        let wrong = stf_image { struct_size: size, ..good };
        // SAFETY: sizes above the known one are refused before memory behind the structure is read.
        let status = unsafe { stf_job_set_target_image(f.context, f.job, null(), &wrong) };
        f.refused(status, stf_status::Argument, &format!("coarse: struct_size is {size}, expected {known}"));
        assert!(f.hint().contains("sizeof(stf_image)"));
    }
    // the structure of programs that were built before it had a function
    let earlier = stf_image { struct_size: std::mem::offset_of!(stf_image, transfer), transfer: Some(no_transfer), ..good };
    // SAFETY: the structure is longer than it says.
    let status = unsafe { stf_job_set_target_image(f.context, f.job, null(), &earlier) };
    assert_eq!(status, stf_status::Ok, "what lies behind the earlier structure is not looked at: {}", f.error());
    #[repr(C)]
    struct Later {
        image: stf_image,
        more: [u64; 2],
    }
    let mut later = Later { image: stf_image { struct_size: size_of::<Later>(), ..good }, more: [0, 0] };
    // SAFETY: the structure is as long as it says.
    unsafe {
        let pointer = (&raw const later).cast::<stf_image>();
        assert_eq!(stf_job_set_target_image(f.context, f.job, null(), pointer), stf_status::Ok, "{}", f.error());
        later.more[1] = 1;
        let pointer = (&raw const later).cast::<stf_image>();
        let status = stf_job_set_target_image(f.context, f.job, null(), pointer);
        f.refused(status, stf_status::Argument, "it uses fields that this version of the library does not know");
    }
}

#[test]
fn a_description_is_as_long_as_the_caller_says() {
    let (earlier, known) = (std::mem::offset_of!(stf_image, transfer), size_of::<stf_image>());
    let mut pixels = [0f32; 4];
    for (size, status) in
        [(earlier, stf_status::Ok), (known, stf_status::Ok), (known + 24, stf_status::Ok), (known - 8, stf_status::Argument)]
    {
        let mut memory = [[u64::MAX; 16]; 2];
        // SAFETY: the memory is longer than any of the sizes.
        let got = unsafe { stf_image_init(pixels.as_mut_ptr().cast(), 6, 1, 2, 2, size, memory.as_mut_ptr().cast()) };
        assert_eq!(got, status, "{size}");
        let words: Vec<u64> = memory.concat();
        let written = if status == stf_status::Ok { size / 8 } else { 0 };
        assert!(words[written..].iter().all(|&w| w == u64::MAX), "{size}: {words:?}");
        assert!(words[..written].iter().skip(known / 8).all(|&w| w == 0), "{size}: {words:?}");
        assert_eq!(words[0], if written > 0 { size as u64 } else { u64::MAX });
    }
}

#[test]
fn images_that_cannot_be_are_refused_with_the_value() {
    let f = Fixture::new(c"nearest_pair");
    let mut pixels = [0f32; 4];
    let good = image(&mut pixels, stf_dtype::F32, 1, 2, 2);
    let cases = [
        (stf_image { data: null_mut(), ..good }, "coarse: data is NULL"),
        (stf_image { transfer: Some(no_transfer), ..good }, "coarse: transfer is set, and data or a stride too"),
        (stf_image { data: null_mut(), transfer: Some(no_transfer), row_stride: 8, ..good }, "coarse: transfer is set"),
        (stf_image { dtype: 0, ..good }, "coarse: dtype is 0, expected one of"),
        (stf_image { dtype: 8, ..good }, "coarse: dtype is 8"),
        (stf_image { bands: 0, ..good }, "coarse is empty: 0 bands, 2 rows, 2 columns"),
        (stf_image { rows: 0, ..good }, "0 rows"),
        (stf_image { cols: 0, ..good }, "0 columns"),
        (stf_image { rows: usize::MAX, ..good }, "outside the address space"),
        (stf_image { bands: usize::MAX / 2, band_stride: 1, ..good }, "outside the address space"),
        (stf_image { row_stride: isize::MIN, rows: 3, ..good }, "outside the address space"),
        (stf_image { col_stride: isize::MAX, ..good }, "outside the address space"),
        (stf_image { mask: pixels.as_ptr().cast(), mask_row_stride: isize::MAX, ..good }, "The mask of coarse: its sizes"),
        (stf_image { has_nodata: 7, ..good }, "has_nodata is 7, expected 0 or 1"),
        (stf_image { scale: f64::INFINITY, ..good }, "scale is inf"),
        (stf_image { offset: f64::NAN, ..good }, "offset NaN"),
    ];
    for (image, words) in cases {
        // SAFETY: the structure is valid; its contents are what is tested.
        let status = unsafe { stf_job_set_target_image(f.context, f.job, null(), &image) };
        f.refused(status, stf_status::Argument, words);
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_place() {
    let f = Fixture::new(c"nearest_pair");
    // SAFETY: texts end with a zero byte.
    let status = unsafe { stf_job_set_target(f.context, f.job, null(), c"caf\xe9.tif".as_ptr()) };
    f.refused(status, stf_status::Argument, "coarse is not UTF-8 at byte 3");
    // SAFETY: as above.
    let status = unsafe { stf_job_set_target(f.context, f.job, c"2001-02-30".as_ptr(), c"c.tif".as_ptr()) };
    f.refused(status, stf_status::Parameter, "\"2001-02-30\" is not a date");
}

#[test]
fn unknown_names_list_the_valid_ones() {
    let f = Fixture::new(c"nearest_pair");
    // SAFETY: texts end with a zero byte.
    unsafe {
        let status = stf_job_set_int(f.context, f.job, c"widnow".as_ptr(), 51);
        f.refused(status, stf_status::Parameter, "\"widnow\" is not a parameter of nearest_pair nor an option of the job");
        assert!(f.hint().contains("coarse_resampling"), "{}", f.hint());
        let mut job = null_mut();
        let status = stf_job_create(f.context, c"starfrm".as_ptr(), &mut job);
        f.refused(status, stf_status::Parameter, "starfrm");
        assert!(job.is_null() && f.hint().contains("nearest_pair"), "{}", f.hint());
        let status = stf_job_from_json(f.context, c"{\"stfusion\": 1, \"methd\": 1}".as_ptr(), null(), &mut job);
        f.refused(status, stf_status::Job, "unknown field `methd`");
        let status = stf_job_from_file(f.context, c"/nowhere/job.stf".as_ptr(), &mut job);
        f.refused(status, stf_status::Read, "/nowhere/job.stf");
        assert!(job.is_null());
    }
}

/// Fine + (target - coarse), by hand, over int16 with fill, interleaved and upside down.
#[test]
fn images_in_memory_are_fused_whatever_their_layout() {
    let f = Fixture::new(c"coarse_increment");
    let (bands, rows, cols) = (2usize, 3usize, 4usize);
    let at = |b: usize, r: usize, c: usize| (b * rows + r) * cols + c;
    let mut fine: Vec<i16> = (0..24).map(|i| 1000 + 10 * i).collect();
    fine[at(1, 1, 2)] = -28672;
    let mut coarse = vec![0.1f32; 24];
    // the target interleaved by pixel, from the last row up
    let mut target = vec![0f64; 24];
    for b in 0..bands {
        for r in 0..rows {
            for c in 0..cols {
                target[((rows - 1 - r) * cols + c) * bands + b] = 0.1 + 0.001 * at(b, r, c) as f64;
            }
        }
    }
    let mut mask = [0u8; 12];
    mask[5] = 255;
    let mut fine_image = image(&mut fine, stf_dtype::I16, bands, rows, cols);
    (fine_image.nodata, fine_image.has_nodata, fine_image.scale) = (-28672.0, 1, 1e-4);
    let mut coarse_image = image(&mut coarse, stf_dtype::F32, bands, rows, cols);
    coarse_image.mask = mask.as_ptr();
    let mut target_image = image(&mut target, stf_dtype::F64, bands, rows, cols);
    target_image.data = target_image.data.wrapping_byte_add((rows - 1) * cols * bands * 8);
    (target_image.band_stride, target_image.row_stride, target_image.col_stride) = (8, -64, 16);

    let mut prediction = [0i16; 24];
    let mut prediction_image = image(&mut prediction, stf_dtype::I16, bands, rows, cols);
    (prediction_image.nodata, prediction_image.has_nodata, prediction_image.scale) = (-1.0, 1, 1e-4);
    let mut support = [0f32; 60];
    let support_image = image(&mut support, stf_dtype::F32, 5, rows, cols);
    let mut report = null_mut();
    // SAFETY: live handles; buffers live until the run returns.
    unsafe {
        let ok = |status| assert_eq!(status, stf_status::Ok, "{}", f.error());
        ok(stf_job_add_pair_image(f.context, f.job, c"2001-11-25".as_ptr(), &fine_image, &coarse_image));
        ok(stf_job_set_target_image(f.context, f.job, c"2002-01-12".as_ptr(), &target_image));
        ok(stf_job_run_image(f.context, f.job, &prediction_image, &support_image, &mut report));
        let text = CStr::from_ptr(stf_report_json(report)).to_str().unwrap();
        assert!(text.contains("\"method\":\"coarse_increment\"") && text.contains("\"cols\":4"), "{text}");
        stf_report_destroy(report);
    }
    for b in 0..bands {
        for r in 0..rows {
            for c in 0..cols {
                let i = at(b, r, c);
                let invalid = i == at(1, 1, 2) || r * cols + c == 5;
                let expected = if invalid { -1 } else { 1000 + 20 * i as i16 };
                assert_eq!(prediction[i], expected, "band {b}, row {r}, col {c}");
            }
        }
    }
    assert_eq!((support[24], support[36]), (48.0, 1.0), "days to the nearest pair, extrapolated");
    assert!(support[24 + 5].is_nan());
}

#[test]
fn shapes_and_outputs_that_do_not_fit_are_refused() {
    let f = Fixture::new(c"coarse_increment");
    let (mut fine, mut coarse, mut target) = ([1f32; 12], [1f32; 12], [2f32; 12]);
    let (mut small, mut out) = ([1f32; 6], [NAN; 12]);
    let all = |data: &mut [f32; 12]| image(data, stf_dtype::F32, 1, 3, 4);
    let (fine_image, coarse_image, target_image, out_image) = (all(&mut fine), all(&mut coarse), all(&mut target), all(&mut out));
    let small_image = image(&mut small, stf_dtype::F32, 1, 3, 2);
    // SAFETY: live handles and buffers.
    unsafe {
        let run = |out: &stf_image| stf_job_run_image(f.context, f.job, out, null(), null_mut());
        f.refused(run(&out_image), stf_status::Job, "The job has no target image");
        assert_eq!(stf_job_set_target_image(f.context, f.job, null(), &target_image), stf_status::Ok);
        f.refused(run(&out_image), stf_status::Job, "The job has no pair of images");
        assert_eq!(stf_job_add_pair_image(f.context, f.job, null(), &fine_image, &coarse_image), stf_status::Ok);
        f.refused(run(&small_image), stf_status::Data, "prediction has 1 x 3 x 2 (bands x rows x columns), expected 1 x 3 x 4");
        f.refused(run(&target_image), stf_status::Argument, "prediction overlaps the target's coarse image in memory");
        let status = stf_job_run_image(f.context, f.job, &out_image, &out_image, null_mut());
        f.refused(status, stf_status::Data, "support has 1 x 3 x 4");
        f.refused(run(&stf_image { row_stride: 4, ..out_image }), stf_status::Argument, "its strides make pixels overlap");
        f.refused(stf_job_run(f.context, f.job, null_mut()), stf_status::Job, "lie in memory");
        f.refused(
            stf_job_add_pair(f.context, f.job, null(), c"f".as_ptr(), c"c".as_ptr()),
            stf_status::Job,
            "cannot have files too",
        );
        let mut text = null();
        f.refused(stf_job_to_json(f.context, f.job, &mut text), stf_status::Unsupported, "cannot be written as a job file");
        assert_eq!(stf_job_add_pair_image(f.context, f.job, null(), &small_image, &coarse_image), stf_status::Ok);
        f.refused(
            run(&out_image),
            stf_status::Data,
            "The fine image of pair 1 has 1 x 3 x 2 (bands x rows x columns), expected 1 x 3 x 4",
        );
        assert_eq!(stf_job_set_target_image(f.context, f.job, null(), &small_image), stf_status::Ok);
        f.refused(
            run(&out_image),
            stf_status::Data,
            "The target's coarse image has 1 x 3 x 2 (bands x rows x columns), expected 1 x 3 x 4",
        );
    }
    assert!(out.iter().all(|v| v.is_nan()), "a refused run writes nothing");
}

/// Fine 8 x 12 over coarse 2 x 3: the scale is 4.
#[test]
fn coarse_images_keep_their_own_resolution() {
    let (mut fine, mut before, mut out) = ([0.5f32; 96], [0.25f32; 6], [NAN; 96]);
    let mut after: [i16; 6] = [2600, 3000, 3400, 2700, 3100, -1];
    let fine_image = image(&mut fine, stf_dtype::F32, 1, 8, 12);
    let before_image = image(&mut before, stf_dtype::F32, 1, 2, 3);
    let mut after_image = image(&mut after, stf_dtype::I16, 1, 2, 3);
    (after_image.scale, after_image.nodata, after_image.has_nodata) = (1e-4, -1.0, 1);
    let predict = |resampling: &CStr, out: &mut [f32; 96]| {
        let f = Fixture::new(c"coarse_increment");
        let out_image = image(out, stf_dtype::F32, 1, 8, 12);
        let ok = |status| assert_eq!(status, stf_status::Ok, "{}", f.error());
        // SAFETY: live handles; buffers live until the run returns.
        unsafe {
            ok(stf_job_set_string(f.context, f.job, c"coarse_resampling".as_ptr(), resampling.as_ptr()));
            ok(stf_job_add_pair_image(f.context, f.job, null(), &fine_image, &before_image));
            ok(stf_job_set_target_image(f.context, f.job, null(), &after_image));
            ok(stf_job_run_image(f.context, f.job, &out_image, null(), null_mut()));
        }
    };
    let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
    predict(c"nearest", &mut out);
    for (i, &found) in out.iter().enumerate() {
        let (row, col) = (i / 12 / 4, i % 12 / 4);
        let expected = 0.25 + [[0.26, 0.30, 0.34], [0.27, 0.31, NAN]][row][col];
        assert!(found.is_nan() && expected.is_nan() || close(found, expected), "{i}: {found} {expected}");
    }
    predict(c"bilinear", &mut out);
    // between the centres of the first two coarse pixels of the first row, and beyond the image's first centre
    assert!(close(out[2], 0.25 + 0.26 + 0.04 * 0.125) && close(out[0], 0.51), "{} {}", out[2], out[0]);
    assert!(out[95].is_nan() && !out[47].is_nan());

    let f = Fixture::new(c"coarse_increment");
    let (mut wrong, mut out) = ([0f32; 8], [0f32; 96]);
    let wrong_image = image(&mut wrong, stf_dtype::F32, 1, 2, 4);
    let out_image = image(&mut out, stf_dtype::F32, 1, 8, 12);
    // SAFETY: as above.
    unsafe {
        stf_job_add_pair_image(f.context, f.job, null(), &fine_image, &wrong_image);
        stf_job_set_target_image(f.context, f.job, null(), &before_image);
        let status = stf_job_run_image(f.context, f.job, &out_image, null(), null_mut());
        f.refused(status, stf_status::Data, "The coarse image of pair 0 has 1 x 2 x 4");
    }
}

#[test]
fn a_dictionary_learned_from_images_in_memory_is_saved_and_used_again() {
    let (rows, cols) = (24usize, 30usize);
    let folder = std::env::temp_dir().join(format!("stfusion-boundary-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let name = CString::new(folder.join("learned.stfdict").to_str().unwrap()).unwrap();
    let make = |day: f32| -> Vec<f32> {
        let pixel =
            |i: usize| ((i * 7919) % 101) as f32 / 500.0 * day + ((i / cols + i % cols) as f32 * 0.3 * day).sin() * 0.1 + 0.3;
        (0..rows * cols).map(pixel).collect()
    };
    let mut images: Vec<Vec<f32>> = [0.1, 0.2, 1.0, 0.9, 0.5].into_iter().map(make).collect();
    let described: Vec<stf_image> = images.iter_mut().map(|i| image(i, stf_dtype::F32, 1, rows, cols)).collect();
    let run = |parameter: &CStr| {
        let f = Fixture::new(c"spstfm");
        let mut out = vec![NAN; rows * cols];
        let out_image = image(&mut out, stf_dtype::F32, 1, rows, cols);
        let mut report = null_mut();
        // SAFETY: live handles; buffers live until the run returns.
        let (status, text) = unsafe {
            let ok = |status| assert_eq!(status, stf_status::Ok, "{}", f.error());
            ok(stf_job_set_string(f.context, f.job, parameter.as_ptr(), name.as_ptr()));
            ok(stf_job_set_int(f.context, f.job, c"dictionary_size".as_ptr(), 6));
            ok(stf_job_set_int(f.context, f.job, c"training_patches".as_ptr(), 20));
            ok(stf_job_add_pair_image(f.context, f.job, null(), &described[0], &described[1]));
            ok(stf_job_add_pair_image(f.context, f.job, null(), &described[2], &described[3]));
            ok(stf_job_set_target_image(f.context, f.job, null(), &described[4]));
            let status = stf_job_run_image(f.context, f.job, &out_image, null(), &mut report);
            let text = CStr::from_ptr(stf_report_json(report)).to_str().unwrap().to_string();
            stf_report_destroy(report);
            (status, text)
        };
        (f, out, status, text)
    };
    let (f, first, status, report) = run(c"save_dictionary");
    assert_eq!(status, stf_status::Ok, "{}", f.error());
    assert!(report.contains("learned.stfdict"), "{report}");
    let (f, second, status, _) = run(c"dictionary");
    assert_eq!(status, stf_status::Ok, "{}", f.error());
    assert_eq!(first, second);
    let (f, _, status, _) = run(c"save_dictionary");
    f.refused(status, stf_status::Exists, "learned.stfdict: exists");
    std::fs::write(folder.join("learned.stfdict"), "else").unwrap();
    let (f, _, status, _) = run(c"dictionary");
    f.refused(status, stf_status::Data, "learned.stfdict: is not a dictionary of stfusion");
    std::fs::remove_dir_all(&folder).unwrap();
}

struct Meddler {
    context: *mut stf_context,
    job: *mut stf_job,
    statuses: Vec<stf_status>,
    thread: std::thread::ThreadId,
}

/// A transfer function that is never called.
unsafe extern "C" fn no_transfer(_: usize, _: usize, _: usize, _: usize, _: *mut c_void, _: *mut c_void) -> c_int {
    0
}

unsafe extern "C" fn meddle(fraction: f64, _: *const c_char, user: *mut c_void) -> c_int {
    // SAFETY: the pointer given with the function.
    let meddler = unsafe { &mut *user.cast::<Meddler>() };
    assert!((0.0..=1.0).contains(&fraction) && std::thread::current().id() == meddler.thread);
    // SAFETY: live handles, in use: that is what is tested.
    unsafe {
        meddler.statuses.push(stf_context_set_threads(meddler.context, 1));
        let text = CStr::from_ptr(stf_context_last_error(meddler.context)).to_str().unwrap();
        assert!(text.contains("in use by another call"), "{text}");
        stf_job_destroy(meddler.job);
        stf_context_destroy(meddler.context);
    }
    0
}

#[test]
fn progress_stops_the_work_and_handles_in_use_are_left_alone() {
    let f = Fixture::new(c"starfm");
    let side = 700;
    let mut data = vec![0.2f32; side * side * 4];
    for (i, value) in data.iter_mut().enumerate() {
        *value += (i % 97) as f32 * 1e-3;
    }
    let images: Vec<stf_image> = data.chunks_mut(side * side).map(|plane| image(plane, stf_dtype::F32, 1, side, side)).collect();
    let mut meddler = Meddler { context: f.context, job: f.job, statuses: Vec::new(), thread: std::thread::current().id() };
    // SAFETY: live handles and buffers.
    unsafe {
        stf_job_add_pair_image(f.context, f.job, c"2001-11-25".as_ptr(), &images[0], &images[1]);
        stf_job_set_target_image(f.context, f.job, c"2002-01-12".as_ptr(), &images[2]);
        stf_job_set_string(f.context, f.job, c"window".as_ptr(), c"301".as_ptr());
        stf_context_set_progress(f.context, Some(meddle), (&raw mut meddler).cast());
        let status = stf_job_run_image(f.context, f.job, &images[3], null(), null_mut());
        assert_eq!(status, stf_status::Cancelled, "{}", f.error());
        assert_eq!(stf_context_set_threads(f.context, 1), stf_status::Ok, "the context lives on");
    }
    assert!(!meddler.statuses.is_empty() && meddler.statuses.iter().all(|&s| s == stf_status::Argument));
}

#[test]
fn jobs_from_setters_and_from_json_are_the_same() {
    let f = Fixture::new(c"starfm");
    let mut text = null();
    let ok = |status| assert_eq!(status, stf_status::Ok, "{}", f.error());
    // SAFETY: live handles and text.
    unsafe {
        ok(stf_job_add_pair(f.context, f.job, c"2001-11-25".as_ptr(), c"f1.tif".as_ptr(), c"c1.tif".as_ptr()));
        ok(stf_job_set_pair_mask(f.context, f.job, 0, stf_role::Fine as i32, c"qa.tif".as_ptr(), c"landsat_c2".as_ptr()));
        ok(stf_job_set_target(f.context, f.job, c"20020112".as_ptr(), c"c2.tif".as_ptr()));
        ok(stf_job_set_int(f.context, f.job, c"window".as_ptr(), 31));
        ok(stf_job_set_string(f.context, f.job, c"output".as_ptr(), c"out.tif".as_ptr()));
        ok(stf_job_set_bool(f.context, f.job, c"overwrite".as_ptr(), 1));
        ok(stf_job_set_double(f.context, f.job, c"nodata".as_ptr(), -9999.0));
        let status = stf_job_set_pair_mask(f.context, f.job, 0, 3, null(), null());
        f.refused(status, stf_status::Argument, "role is 3, expected STF_ROLE_FINE");
        f.refused(stf_job_set_int(f.context, f.job, c"window".as_ptr(), 50), stf_status::Parameter, "odd whole number; got 50");
        ok(stf_job_to_json(f.context, f.job, &mut text));
        let first = CStr::from_ptr(text).to_str().unwrap().to_string();
        let mut again = null_mut();
        ok(stf_job_from_json(f.context, CString::new(first.clone()).unwrap().as_ptr(), null(), &mut again));
        ok(stf_job_to_json(f.context, again, &mut text));
        assert_eq!(CStr::from_ptr(text).to_str().unwrap(), first);
        stf_job_destroy(again);
        for part in ["\"window\": 31", "\"fine_mask\"", "\"2002-01-12\"", "\"overwrite\": true", "\"landsat_c2\""] {
            assert!(first.contains(part), "{part} in {first}");
        }
    }
}

#[test]
fn weights_may_lie_in_memory() {
    let f = Fixture::new(c"edcstfn");
    let weights = stfusion_methods::networks::cases::weights("edcstfn").unwrap();
    let (mut fine, mut coarse, mut out) = ([0.2f32; 2 * 16 * 16], [0.3f32; 2 * 16 * 16], [f32::NAN; 2 * 16 * 16]);
    let [fine, coarse, prediction] = [&mut fine, &mut coarse, &mut out].map(|data| image(data, stf_dtype::F32, 2, 16, 16));
    // SAFETY: live handles, text and images.
    unsafe {
        assert_eq!(stf_job_add_pair_image(f.context, f.job, null(), &fine, &coarse), stf_status::Ok, "{}", f.error());
        assert_eq!(stf_job_set_target_image(f.context, f.job, null(), &coarse), stf_status::Ok, "{}", f.error());
        stf_job_set_double(f.context, f.job, c"coarse_scale".as_ptr(), 4.0);
        let run = || stf_job_run_image(f.context, f.job, &prediction, null(), null_mut());
        f.refused(run(), stf_status::Parameter, "EDCSTFN needs weights");
        let give =
            |name: &CStr, size: usize| stf_job_set_contents(f.context, f.job, name.as_ptr(), weights.as_ptr().cast(), size);
        f.refused(give(c"patch", 10), stf_status::Parameter, "Patch size");
        f.refused(give(c"wights", 10), stf_status::Parameter, "wights");
        assert_eq!(give(c"weights", 100), stf_status::Ok, "{}", f.error());
        f.refused(run(), stf_status::Read, "(in memory)");
        assert_eq!(give(c"weights", weights.len()), stf_status::Ok, "{}", f.error());
        assert_eq!(run(), stf_status::Ok, "{}", f.error());
    }
    assert!(out.iter().all(|v| v.is_finite()));
}

/// Arrays, destroyed at the end.
struct Arrays(*mut stf_arrays);

impl Drop for Arrays {
    fn drop(&mut self) {
        // SAFETY: NULL or made by the library, destroyed once.
        unsafe { stf_arrays_destroy(self.0) }
    }
}

#[test]
fn a_network_runs_on_arrays() {
    let f = Fixture::new(c"nearest_pair");
    let weights = stfusion_methods::networks::cases::weights("stfnet").unwrap();
    let shape = [1usize, 2, 8, 12];
    let values = [0.25f32; 192];
    let (mut inputs, mut results) = (Arrays(null_mut()), Arrays(null_mut()));
    let nothing = |results: &Arrays| assert!(results.0.is_null(), "nothing is set by a failure");
    // SAFETY: live handles, text, shapes and values of that many numbers.
    unsafe {
        let add = |inputs: &Arrays, name: &CStr, shape: *const usize, axes: usize, values: *const f32| {
            stf_arrays_add(f.context, inputs.0, name.as_ptr(), shape, axes, values)
        };
        let run = |inputs: &Arrays, contents: &[u8], options: *const c_char, results: *mut *mut stf_arrays| {
            stf_infer(f.context, c"w".as_ptr(), contents.as_ptr().cast(), contents.len(), options, inputs.0, results)
        };
        assert_eq!(stf_arrays_create(f.context, &mut inputs.0), stf_status::Ok, "{}", f.error());
        f.refused(add(&inputs, c"a", null(), 1, values.as_ptr()), stf_status::Argument, "shape is NULL");
        f.refused(add(&inputs, c"a", shape.as_ptr(), 4, null()), stf_status::Argument, "values is NULL");
        f.refused(add(&inputs, c"a", [usize::MAX, 2].as_ptr(), 2, values.as_ptr()), stf_status::Argument, "the shape [");
        f.refused(add(&inputs, c"a", shape.as_ptr(), 4, values.as_ptr().byte_add(1)), stf_status::Argument, "misaligned");
        assert_eq!(add(&inputs, c"coarse_t1", null(), 0, values.as_ptr()), stf_status::Ok, "a number: {}", f.error());
        for name in [c"coarse_t1", c"coarse_t2", c"coarse_t3", c"fine_t1"] {
            assert_eq!(add(&inputs, name, shape.as_ptr(), 4, values.as_ptr()), stf_status::Ok, "{}", f.error());
        }
        assert_eq!(stf_arrays_count(inputs.0), 4, "one of the same name was replaced");
        f.refused(run(&inputs, &weights, null(), &mut results.0), stf_status::Data, "fine_t3");
        assert_eq!(add(&inputs, c"fine_t3", shape.as_ptr(), 4, values.as_ptr()), stf_status::Ok, "{}", f.error());
        f.refused(run(&inputs, &weights[..50], null(), &mut results.0), stf_status::Read, "w: ");
        f.refused(
            run(&inputs, &weights, c"{\"netwerk\": 1}".as_ptr(), &mut results.0),
            stf_status::Job,
            "Not options of a network",
        );
        f.refused(run(&inputs, &weights, c"{\"network\": \"x\"}".as_ptr(), &mut results.0), stf_status::Data, "w: is for x");
        let missing = stf_infer(f.context, c"/no/w".as_ptr(), null(), 0, null(), inputs.0, &mut results.0);
        f.refused(missing, stf_status::Read, "/no/w");
        nothing(&results);
        assert_eq!(run(&inputs, &weights, null(), &mut results.0), stf_status::Ok, "{}", f.error());
        assert_eq!(stf_arrays_count(results.0), 4);
        let mut found = std::collections::BTreeMap::new();
        for index in 0..4 {
            let (mut name, mut shape, mut axes, mut values) = (null(), null(), 0, null());
            let got = stf_arrays_get(f.context, results.0, index, &mut name, &mut shape, &mut axes, &mut values);
            assert_eq!(got, stf_status::Ok, "{}", f.error());
            assert_eq!(std::slice::from_raw_parts(shape, axes), [1, 2, 8, 12]);
            let name = CStr::from_ptr(name).to_str().unwrap().to_owned();
            found.insert(name, std::slice::from_raw_parts(values, 192).to_vec());
        }
        let sum = found["change_12"].iter().zip(&found["change_23"]).map(|(a, b)| a + b);
        assert!(found["fine_t2"].iter().all(|v| v.is_finite()) && sum.eq(found["change_13"].iter().copied()));
        let (mut name, mut shape, mut axes, mut values) = (null(), null(), 0, null());
        let beyond = stf_arrays_get(f.context, results.0, 4, &mut name, &mut shape, &mut axes, &mut values);
        f.refused(beyond, stf_status::Data, "no array 4; there are 4");
        assert_eq!(stf_arrays_count(null()), 0);
    }
}

#[cfg(not(feature = "gdal"))]
#[test]
fn without_gdal_the_functions_of_files_say_so() {
    let f = Fixture::new(c"nearest_pair");
    let mut text = null();
    // SAFETY: live handles and text.
    unsafe {
        stf_job_add_pair(f.context, f.job, null(), c"f".as_ptr(), c"c".as_ptr());
        for status in [
            stf_job_run(f.context, f.job, null_mut()),
            stf_job_inspect_json(f.context, f.job, &mut text),
            stf_image_info_json(f.context, c"f".as_ptr(), &mut text),
            stf_assess_json(f.context, c"{}".as_ptr(), &mut text),
            stf_job_compare_json(f.context, f.job, null(), &mut text),
        ] {
            f.refused(status, stf_status::Unsupported, "built without GDAL");
        }
    }
    assert!(text.is_null() && f.hint().contains("stf_job_run_image"));
}
