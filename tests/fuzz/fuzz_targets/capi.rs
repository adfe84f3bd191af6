//! Any image structure and any setter through the C ABI.
//!
//! Images are described over a small arena. An oracle of its own says, in wide integers, whether a description is
//! malformed (then it must be refused), stays in the arena (then it must be accepted, and the job is run) or is sound
//! but reaches memory that is not there (then the call would be the caller's error, and is left out). After a run, bytes
//! of the output's arena that belong to no pixel must be as they were. AddressSanitizer watches the rest.
#![no_main]

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr::{null, null_mut};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use stfusion::*;

const ARENA: usize = 1 << 15;
const KNOWN: usize = size_of::<stf_image>();
/// Its size before it had a function, which is still taken.
const EARLIER: usize = std::mem::offset_of!(stf_image, transfer);
const METHODS: [&CStr; 4] = [c"nearest_pair", c"linear_in_time", c"coarse_increment", c"starfm"];

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Size {
    Small(u8),
    Any(usize),
}

/// What may be odd about a description; most are sound, so that jobs run.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Odd {
    NoData,
    Dtype(i32),
    Shape([Size; 3]),
    Strides([isize; 3]),
    MaskStrides([isize; 2]),
    Flag(i32),
    Scale(f64, f64),
    StructSize(usize),
    Later { words: u8, last: u64 },
}

#[derive(Arbitrary, Debug, Clone, Copy)]
struct Description {
    data: u16,
    dtype: u8,
    strides: [i16; 3],
    nodata: Option<f64>,
    scale: [i8; 2],
    mask: Option<(u16, [i8; 2])>,
    is_odd: u8,
    odd: Odd,
}

#[derive(Arbitrary, Debug)]
enum Setting<'a> {
    Int(&'a str, i64),
    Double(&'a str, f64),
    Bool(&'a str, i32),
    Text(&'a str, &'a str),
    Window(i64),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    method: u8,
    shape: [u8; 3],
    scale: u8,
    dates: [Option<&'a str>; 2],
    fine: Description,
    coarse: Description,
    target: Description,
    classes: Option<Description>,
    objects: Option<Description>,
    pan: Option<Description>,
    output: Description,
    support: Option<Description>,
    output_among_inputs: bool,
    stop: bool,
    settings: Vec<Setting<'a>>,
    pixels: &'a [u8],
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Verdict {
    Malformed,
    Inside,
    Elsewhere,
}

/// A structure in memory that is as long as any accepted size says.
#[repr(C, align(8))]
struct Memory([u64; 513]);

struct Image {
    memory: Box<Memory>,
    image: stf_image,
    pixel_bytes: i128,
    verdict: Verdict,
}

fn or(given: isize, packed: i128) -> i128 {
    if given == 0 {
        packed
    } else {
        given as i128
    }
}

/// Offsets of the first byte and the one after the last, from the first pixel.
fn reach(strides: &[i128], sizes: &[usize], pixel: i128) -> (i128, i128) {
    let (mut low, mut high) = (0i128, pixel);
    for (&s, &n) in strides.iter().zip(sizes) {
        let far = s.saturating_mul(n as i128 - 1);
        low = far.min(0).saturating_add(low);
        high = far.max(0).saturating_add(high);
    }
    (low, high)
}

fn place(start: usize, (low, high): (i128, i128), arena: (usize, usize), representable: bool) -> Verdict {
    let (first, end) = (low.saturating_add(start as i128), high.saturating_add(start as i128));
    if !representable || high.saturating_sub(low) > isize::MAX as i128 || first < 0 || end > usize::MAX as i128 {
        Verdict::Malformed
    } else if first >= arena.0 as i128 && end <= arena.1 as i128 {
        Verdict::Inside
    } else {
        Verdict::Elsewhere
    }
}

impl Image {
    fn new(d: &Description, shape: [usize; 3], arena: (usize, usize)) -> Image {
        let odd = (d.is_odd % 8 == 7).then_some(d.odd);
        let at = |offset: u16| arena.0 + usize::from(offset) % ARENA;
        let dtypes = [6, 1, 2, 3, 4, 5, 7, 14];
        let mut image = stf_image {
            struct_size: KNOWN,
            data: at(d.data) as *mut c_void,
            dtype: dtypes[usize::from(d.dtype) % 8],
            bands: shape[0],
            rows: shape[1],
            cols: shape[2],
            band_stride: isize::from(d.strides[0]),
            row_stride: isize::from(d.strides[1] % 1024),
            col_stride: isize::from(d.strides[2] % 32),
            nodata: d.nodata.unwrap_or(0.0),
            has_nodata: i32::from(d.nodata.is_some()),
            scale: f64::from(d.scale[0]) / 16.0,
            offset: f64::from(d.scale[1]),
            mask: d.mask.map_or(null(), |m| at(m.0) as *const u8),
            mask_row_stride: d.mask.map_or(0, |m| isize::from(m.1[0])),
            mask_col_stride: d.mask.map_or(0, |m| isize::from(m.1[1])),
            transfer: None,
            user: std::ptr::null_mut(),
        };
        let mut later = None;
        match odd {
            None => {}
            Some(Odd::NoData) => image.data = null_mut(),
            Some(Odd::Dtype(n)) => image.dtype = n,
            Some(Odd::Shape(sizes)) => {
                [image.bands, image.rows, image.cols] = sizes.map(|s| match s {
                    Size::Small(n) => usize::from(n),
                    Size::Any(n) => n,
                });
            }
            Some(Odd::Strides(s)) => [image.band_stride, image.row_stride, image.col_stride] = s,
            Some(Odd::MaskStrides(s)) => [image.mask_row_stride, image.mask_col_stride] = s,
            Some(Odd::Flag(n)) => image.has_nodata = n,
            Some(Odd::Scale(scale, offset)) => (image.scale, image.offset) = (scale, offset),
            Some(Odd::StructSize(n)) => image.struct_size = n,
            Some(Odd::Later { words, last }) => {
                image.struct_size = KNOWN + 8 * usize::from(words);
                later = (words > 0).then_some((usize::from(words), last));
            }
        }
        let stf_image { struct_size, dtype, scale, offset, .. } = image;
        let sizes = [image.bands, image.rows, image.cols];
        let mut memory = Box::new(Memory([0; 513]));
        unsafe { std::ptr::from_mut(&mut *memory).cast::<stf_image>().write(image) };
        let later_is_clear = later.is_none_or(|(words, last)| {
            memory.0[KNOWN / 8 + words - 1] = last;
            last == 0
        });

        let pixel_bytes: i128 = match dtype {
            1 | 14 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            7 => 8,
            _ => 0,
        };
        let col = or(image.col_stride, pixel_bytes);
        let row = or(image.row_stride, col.saturating_mul(image.cols as i128));
        let band = or(image.band_stride, row.saturating_mul(image.rows as i128));
        let malformed =
            !(struct_size == KNOWN || struct_size == EARLIER || struct_size > KNOWN && struct_size <= 4096 && later_is_clear)
                || pixel_bytes == 0
                || image.data.is_null()
                || sizes.contains(&0)
                || !matches!(image.has_nodata, 0 | 1)
                || !scale.is_finite()
                || !offset.is_finite();
        let fits = |s: i128| s >= isize::MIN as i128 && s <= isize::MAX as i128;
        let sized = sizes.iter().all(|&n| fits(n as i128));
        let mut verdict = if malformed {
            Verdict::Malformed
        } else {
            let representable = sized && [col, row, band].into_iter().all(fits);
            place(image.data.addr(), reach(&[band, row, col], &sizes, pixel_bytes), arena, representable)
        };
        if verdict != Verdict::Malformed && !image.mask.is_null() {
            let col = or(image.mask_col_stride, 1);
            let row = or(image.mask_row_stride, col.saturating_mul(image.cols as i128));
            let band = row.saturating_mul(image.rows as i128);
            let representable = [col, row, band].into_iter().all(fits);
            match place(image.mask.addr(), reach(&[row, col], &sizes[1..], 1), arena, representable) {
                Verdict::Inside => {}
                other => verdict = other,
            }
        }
        Image { memory, image, pixel_bytes, verdict }
    }

    fn pointer(&self) -> *const stf_image {
        std::ptr::from_ref(&*self.memory).cast()
    }

    /// Clears the bytes of the pixels in a copy of the arena, so that what is left can be compared.
    fn blank(&self, arena: &mut [u8], start: usize) {
        let i = &self.image;
        let col = or(i.col_stride, self.pixel_bytes);
        let row = or(i.row_stride, col * i.cols as i128);
        let band = or(i.band_stride, row * i.rows as i128);
        for b in 0..i.bands as i128 {
            for r in 0..i.rows as i128 {
                for c in 0..i.cols as i128 {
                    let at = (i.data.addr() - start) as i128 + b * band + r * row + c * col;
                    arena[at as usize..(at + self.pixel_bytes) as usize].fill(0);
                }
            }
        }
    }
}

unsafe extern "C" fn progress(_: f64, _: *const c_char, user: *mut c_void) -> c_int {
    c_int::from(user.is_null())
}

fn check(context: *mut stf_context, status: stf_status) {
    let error = unsafe { CStr::from_ptr(stf_context_last_error(context)) };
    assert_eq!(status == stf_status::Ok, error.is_empty(), "{status:?}: {error:?}");
    assert!(status != stf_status::Internal, "{error:?}");
    assert!(error.to_str().is_ok());
}

thread_local! {
    static CONTEXT: *mut stf_context = {
        let mut context = null_mut();
        unsafe {
            assert_eq!(stf_context_create(&mut context), stf_status::Ok);
            assert_eq!(stf_context_set_threads(context, 1), stf_status::Ok);
        }
        context
    };
}

fn run(input: &Input<'_>) {
    let context = CONTEXT.with(|c| *c);
    let mut job = null_mut();
    let method = METHODS[usize::from(input.method) % METHODS.len()];
    let text = |s: &str| CString::new(s.replace('\0', "")).unwrap();
    let mut inputs = vec![0u8; ARENA];
    for (byte, &given) in inputs.iter_mut().zip(input.pixels.iter().cycle()) {
        *byte = given;
    }
    let mut outputs = inputs.clone();
    outputs.reverse();
    let span = |arena: &mut Vec<u8>| (arena.as_mut_ptr().expose_provenance(), arena.as_ptr().addr() + ARENA);
    let (in_span, out_span) = (span(&mut inputs), span(&mut outputs));
    let before = outputs.clone();
    let [bands, rows, cols] = [1 + input.shape[0] % 4, 1 + input.shape[1] % 8, 1 + input.shape[2] % 8].map(usize::from);
    let scale = 1 + usize::from(input.scale) % 4;
    let (coarse_shape, shape) = ([bands, rows, cols], [bands, rows * scale, cols * scale]);

    unsafe {
        stf_context_set_progress(context, Some(progress), if input.stop { context.cast() } else { null_mut() });
        check(context, stf_job_create(context, method.as_ptr(), &mut job));
        for setting in input.settings.iter().take(8) {
            if let Setting::Int(name, _) | Setting::Double(name, _) | Setting::Bool(name, _) | Setting::Text(name, _) = setting {
                // a thousand threads would only slow the fuzzer down
                if matches!(*name, "threads" | "memory") {
                    continue;
                }
            }
            let status = match setting {
                Setting::Int(name, value) => stf_job_set_int(context, job, text(name).as_ptr(), *value),
                Setting::Double(name, value) => stf_job_set_double(context, job, text(name).as_ptr(), *value),
                Setting::Bool(name, value) => stf_job_set_bool(context, job, text(name).as_ptr(), *value),
                Setting::Text(name, value) => {
                    let (name, value) = (text(name), text(value));
                    stf_job_set_string(context, job, name.as_ptr(), value.as_ptr())
                }
                Setting::Window(value) => stf_job_set_int(context, job, c"window".as_ptr(), *value),
            };
            check(context, status);
        }
        let mut json = null();
        check(context, stf_job_to_json(context, job, &mut json));
        let mut again = null_mut();
        assert_eq!(stf_job_from_json(context, json, null(), &mut again), stf_status::Ok, "{:?}", CStr::from_ptr(json));
        stf_job_destroy(again);

        let dates = input.dates.map(|d| d.map(text));
        let date = |k: usize| dates[k].as_ref().map_or(null(), |d| d.as_ptr());
        let dates_ok = |k: usize| dates[k].is_none() || date_is_readable(context, date(k), in_span.0);
        let describe = |d: &Description, shape| Image::new(d, shape, in_span);
        let fine = describe(&input.fine, shape);
        let (coarse, target) = (describe(&input.coarse, coarse_shape), describe(&input.target, coarse_shape));
        let map_of = |d: &Option<Description>| d.as_ref().map(|d| describe(d, [1, shape[1], shape[2]]));
        let (classes, objects, pan) = (map_of(&input.classes), map_of(&input.objects), map_of(&input.pan));
        let mut ready = true;
        let mut expect = |status: stf_status, images: &[&Image], date_ok: bool| {
            check(context, status);
            let sound = images.iter().all(|i| i.verdict == Verdict::Inside);
            if date_ok {
                assert_eq!(
                    status == stf_status::Ok,
                    sound,
                    "{status:?} for {:?}",
                    images.iter().map(|i| i.verdict).collect::<Vec<_>>()
                );
                if !sound {
                    assert_eq!(status, stf_status::Argument);
                }
            }
            ready &= status == stf_status::Ok;
        };
        let callable = |images: &[&Image]| images.iter().all(|i| i.verdict != Verdict::Elsewhere);
        if callable(&[&fine, &coarse]) {
            let ok = dates_ok(0);
            expect(stf_job_add_pair_image(context, job, date(0), fine.pointer(), coarse.pointer()), &[&fine, &coarse], ok);
        }
        if let Some(classes) = classes.as_ref().filter(|c| callable(&[c])) {
            let status = stf_job_set_pair_class_image(context, job, 0, classes.pointer());
            check(context, status);
        }
        if let Some(objects) = objects.as_ref().filter(|o| callable(&[o])) {
            let status = stf_job_set_pair_object_image(context, job, 0, objects.pointer());
            check(context, status);
        }
        if let Some(pan) = pan.as_ref().filter(|p| callable(&[p])) {
            let status = stf_job_set_pair_pan_image(context, job, 0, pan.pointer());
            check(context, status);
        }
        if callable(&[&target]) {
            let ok = dates_ok(1);
            expect(stf_job_set_target_image(context, job, date(1), target.pointer()), &[&target], ok);
        }
        let arena = if input.output_among_inputs { in_span } else { out_span };
        let output = Image::new(&input.output, shape, arena);
        let support = input.support.as_ref().map(|d| Image::new(d, [4, shape[1], shape[2]], arena));
        if callable(&[&output]) && support.as_ref().is_none_or(|s| callable(&[s])) {
            let pointer = support.as_ref().map_or(null(), Image::pointer);
            let status = stf_job_run_image(context, job, output.pointer(), pointer, null_mut());
            check(context, status);
            if status == stf_status::Ok {
                assert!(ready && output.verdict == Verdict::Inside);
                assert!(!input.output_among_inputs || outputs == before);
            }
            if !matches!(status, stf_status::Ok | stf_status::Cancelled | stf_status::Memory) {
                assert!(outputs == before, "a refused run wrote: {status:?}");
            }
            if status == stf_status::Ok && !input.output_among_inputs {
                let (mut after, mut expected) = (outputs.clone(), before.clone());
                for image in std::iter::once(&output).chain(&support) {
                    image.blank(&mut after, out_span.0);
                    image.blank(&mut expected, out_span.0);
                }
                assert!(after == expected, "bytes outside the pixels changed");
            }
        }
        stf_job_destroy(job);
    }
}

/// Whether a date is one: told by setting it with an image that is certainly sound, on a job of its own.
unsafe fn date_is_readable(context: *mut stf_context, date: *const c_char, address: usize) -> bool {
    let mut image = std::mem::MaybeUninit::<stf_image>::uninit();
    let mut job = null_mut();
    unsafe {
        stf_image_init(std::ptr::with_exposed_provenance_mut(address), 1, 1, 1, 1, size_of::<stf_image>(), image.as_mut_ptr());
        stf_job_create(context, METHODS[0].as_ptr(), &mut job);
        let status = stf_job_set_target_image(context, job, date, image.as_ptr());
        stf_job_destroy(job);
        status == stf_status::Ok
    }
}

fuzz_target!(|input: Input<'_>| run(&input));
