//! The run-time compiler of CUDA, loaded from a file.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::path::Path;

use libloading::Library;

use super::sources::Source;
use crate::Result;

type Program = *mut c_void;
type Create =
    unsafe extern "C" fn(*mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Text = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type ErrorText = unsafe extern "C" fn(c_int) -> *const c_char;

/// NVRTC. The functions stay valid as long as the library is loaded.
pub struct Compiler {
    create: Create,
    compile: Compile,
    ptx_size: Size,
    ptx: Text,
    log_size: Size,
    log: Text,
    destroy: Destroy,
    error: ErrorText,
    _library: Library,
}

impl Compiler {
    /// Loads the library at `path`.
    ///
    /// # Errors
    /// When it is no such library.
    pub fn load(path: &Path) -> Result<Compiler> {
        let wrong = |e: libloading::Error| format!("{}: {e}", path.display());
        // SAFETY: the library is the pinned one; loading it runs its initialisers, as linking to it would.
        let library = unsafe { Library::new(path) }.map_err(wrong)?;
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the type is that of the function's documentation.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }.map_err(wrong)?
            };
        }
        Ok(Compiler {
            create: function!("nvrtcCreateProgram"),
            compile: function!("nvrtcCompileProgram"),
            ptx_size: function!("nvrtcGetPTXSize"),
            ptx: function!("nvrtcGetPTX"),
            log_size: function!("nvrtcGetProgramLogSize"),
            log: function!("nvrtcGetProgramLog"),
            destroy: function!("nvrtcDestroyProgram"),
            error: function!("nvrtcGetErrorString"),
            _library: library,
        })
    }

    /// PTX of `source`, which includes `included`, for a virtual architecture.
    ///
    /// # Errors
    /// The compiler's log.
    pub fn compile(&self, source: &Source, included: &[&Source], architecture: &str, options: &[&str]) -> Result<String> {
        let of = |text: &str| CString::new(text).map_err(|_| format!("{}: holds a zero byte", source.path));
        let (text, name) = (of(&source.text)?, of(source.name())?);
        let texts = included.iter().map(|s| of(&s.text)).collect::<Result<Vec<_>>>()?;
        let names = included.iter().map(|s| of(s.name())).collect::<Result<Vec<_>>>()?;
        let architecture = format!("--gpu-architecture={architecture}");
        let options = options.iter().copied().chain([architecture.as_str()]).map(of).collect::<Result<Vec<_>>>()?;
        let pointers = |all: &[CString]| all.iter().map(|s| s.as_ptr()).collect::<Vec<_>>();
        let (texts, names, options) = (pointers(&texts), pointers(&names), pointers(&options));
        let mut program: Program = std::ptr::null_mut();
        // SAFETY: all strings and arrays outlive the call, and the counts are those of the arrays.
        let made = unsafe {
            let count = names.len() as c_int;
            (self.create)(&mut program, text.as_ptr(), name.as_ptr(), count, texts.as_ptr(), names.as_ptr())
        };
        self.check(made, source)?;
        // SAFETY: the program exists; the options outlive the call.
        let outcome = unsafe { (self.compile)(program, options.len() as c_int, options.as_ptr()) };
        let result = if outcome == 0 {
            self.text(program, self.ptx_size, self.ptx, source)
        } else {
            Err(format!("{} does not compile:\n{}", source.path, self.text(program, self.log_size, self.log, source)?))
        };
        // SAFETY: the program exists and is not used again.
        unsafe { (self.destroy)(&mut program) };
        result
    }

    fn text(&self, program: Program, size: Size, text: Text, source: &Source) -> Result<String> {
        let mut length = 0usize;
        // SAFETY: the program exists, and the length is ours.
        self.check(unsafe { size(program, &mut length) }, source)?;
        let mut bytes = vec![0u8; length.max(1)];
        // SAFETY: the buffer has the length that was asked for.
        self.check(unsafe { text(program, bytes.as_mut_ptr().cast()) }, source)?;
        let text = CStr::from_bytes_until_nul(&bytes).map_err(|e| format!("{}: {e}", source.path))?;
        Ok(text.to_string_lossy().into_owned())
    }

    fn check(&self, code: c_int, source: &Source) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the function returns a text that lives as long as the library.
        let reason = unsafe { CStr::from_ptr((self.error)(code)) }.to_string_lossy();
        Err(format!("{}: the compiler fails: {reason}", source.path))
    }
}
