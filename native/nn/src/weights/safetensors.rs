//! The safetensors format, read and written.
//!
//! A file is `n` (eight bytes, little-endian), a header of `n` bytes of JSON, and the data. The header maps each tensor's name to its
//! `dtype`, `shape` and `data_offsets` (from the end of the header), and `__metadata__` to texts. Tensors must cover the data without
//! gaps or overlaps. This reader refuses what the format forbids, and says which tensor it is; tensor by tensor it goes through the
//! file once, so that the file itself never lies in memory beside its values. The crate `safetensors` is the reference in the tests:
//! it needs the whole file in memory and lets the last of two tensors of one name win, which is why it does not read here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use stfusion_core::{Error, ErrorKind, Result};

use super::dtype::{append_f32, append_i64};
use super::{Dtype, Metadata, Weight, Weights};
use crate::tensor::{DType, Data, Tensor};

/// Longest header that the format allows.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Bytes of the number that says how long the header is.
const LENGTH_BYTES: u64 = 8;

/// Key of the header's texts.
const TEXTS: &str = "__metadata__";

/// Key among the texts under which [`Metadata`] lies as JSON.
pub const METADATA_KEY: &str = "stfusion";

/// Bytes converted at a time; a multiple of every number's size.
const CHUNK_BYTES: usize = 1 << 16;

/// What a damaged file calls for.
const FETCH_AGAIN: &str = "Copy or download the file again, or convert the network's checkpoint again.";

/// Tensors that a message lists before it counts the rest.
const LISTED: usize = 5;

/// Reads a file.
///
/// # Errors
/// As [`Weights::read`].
pub fn read(path: &Path) -> Result<Weights> {
    let origin = path.display().to_string();
    let failed = |e: &io::Error| {
        Error::new(ErrorKind::Read, format!("{origin}: {}", reason(e)))
            .with_hint("Check the name of the weights file and its permissions.")
    };
    let file = File::open(path).map_err(|e| failed(&e))?;
    let facts = file.metadata().map_err(|e| failed(&e))?;
    if facts.is_dir() {
        return Err(
            Error::new(ErrorKind::Read, format!("{origin}: is a folder")).with_hint("Name a weights file in that folder.")
        );
    }
    read_all(BufReader::with_capacity(CHUNK_BYTES, file), facts.len(), &origin)
}

/// Reads a file that lies in memory.
///
/// # Errors
/// As [`Weights::from_bytes`].
pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Weights> {
    read_all(bytes, bytes.len() as u64, origin)
}

/// The text of an operating system's error without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn read_all(mut source: impl Read, length: u64, origin: &str) -> Result<Weights> {
    let header = read_header(&mut source, length).map_err(|e| e.at(origin))?;
    let metadata = match header.texts.get(METADATA_KEY) {
        Some(text) => Some(Metadata::from_json(text).map_err(|e| e.at(origin))?),
        None => None,
    };
    let mut weights = Weights { metadata, remarks: header.texts, origin: origin.to_owned(), tensors: BTreeMap::new() };
    weights.remarks.remove(METADATA_KEY);
    let mut not_finite = Vec::new();
    for place in header.places {
        let weight = place.values(&mut source).map_err(|e| e.at(origin))?;
        let count = weight.tensor.f32s().map_or(0, |values| values.iter().filter(|v| !v.is_finite()).count());
        if count > 0 {
            not_finite.push(format!("{} ({count} of {})", place.name, weight.tensor.data().len()));
        }
        weights.tensors.insert(place.name, weight);
    }
    if not_finite.is_empty() {
        return Ok(weights);
    }
    Err(Error::new(ErrorKind::Data, format!("{origin}: weights are not finite numbers: {}", listed(&not_finite))).with_hint(
        "The training that made them has diverged, or the file is damaged: take an earlier checkpoint, or fetch the file again.",
    ))
}

/// The first of many, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// A tensor's place in the data, checked.
#[derive(Debug)]
struct Place {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    count: usize,
    begin: u64,
    end: u64,
}

impl Place {
    /// Reads its values; the source stands at its beginning.
    fn values(&self, source: &mut impl Read) -> Result<Weight> {
        let values = match self.dtype.computed() {
            DType::F32 => {
                let mut values = Vec::with_capacity(self.count);
                self.chunks(source, |bytes| {
                    append_f32(self.dtype, bytes, &mut values);
                    Ok(())
                })?;
                Data::F32(values)
            }
            DType::I64 => {
                let mut values = Vec::with_capacity(self.count);
                self.chunks(source, |bytes| {
                    if append_i64(self.dtype, bytes, &mut values) {
                        return Ok(());
                    }
                    Err(malformed(format!("tensor {}: an integer is larger than {}", self.name, i64::MAX)))
                })?;
                Data::I64(values)
            }
            DType::Bool => {
                let mut values = Vec::with_capacity(self.count);
                self.chunks(source, |bytes| {
                    values.extend(bytes.iter().map(|&b| b != 0));
                    Ok(())
                })?;
                Data::Bool(values)
            }
        };
        Ok(Weight { stored: self.dtype, tensor: Arc::new(Tensor::new(&self.shape, values)?) })
    }

    fn chunks(&self, source: &mut impl Read, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES.min(self.count * self.dtype.bytes())];
        let mut left = self.count * self.dtype.bytes();
        while left > 0 {
            let chunk = &mut buffer[..left.min(CHUNK_BYTES)];
            source.read_exact(chunk).map_err(|e| {
                Error::new(ErrorKind::Read, format!("tensor {}: {}", self.name, reason(&e))).with_hint(FETCH_AGAIN)
            })?;
            take(chunk)?;
            left -= chunk.len();
        }
        Ok(())
    }
}

/// A file that is not as the format demands.
fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Read, message).with_hint(FETCH_AGAIN)
}

/// What the header says, checked: places are in the order of the data and cover it.
#[derive(Debug)]
struct Header {
    texts: BTreeMap<String, String>,
    places: Vec<Place>,
}

fn read_header(source: &mut impl Read, length: u64) -> Result<Header> {
    let not_weights = |message: String| {
        Error::new(ErrorKind::Read, message).with_hint(
            "Weights are read from safetensors files; convert a .pth, .pt or .h5 checkpoint with tools/convert_weights.py.",
        )
    };
    if length < LENGTH_BYTES {
        return Err(not_weights(format!("is not a safetensors file: it has {length} bytes")));
    }
    let mut number = [0; LENGTH_BYTES as usize];
    source.read_exact(&mut number).map_err(|e| malformed(reason(&e)))?;
    let header_bytes = u64::from_le_bytes(number);
    let data_bytes = match length.checked_sub(LENGTH_BYTES).and_then(|rest| rest.checked_sub(header_bytes)) {
        Some(bytes) if header_bytes <= MAX_HEADER_BYTES => bytes,
        Some(_) => {
            return Err(malformed(format!("its header has {header_bytes} bytes; the format allows {MAX_HEADER_BYTES}")));
        }
        None if is_checkpoint(&number) => {
            return Err(not_weights("is not a safetensors file but a checkpoint of another program".into()));
        }
        None => {
            return Err(not_weights(format!(
                "is not a safetensors file, or was cut off: it says that its header has {header_bytes} bytes, and has {length} bytes in all"
            )));
        }
    };
    // not more than the file holds, which was checked
    let mut text = vec![0; usize::try_from(header_bytes).map_err(|_| malformed("its header does not fit into memory"))?];
    source.read_exact(&mut text).map_err(|e| malformed(reason(&e)))?;
    let entries: Entries =
        serde_json::from_slice(&text).map_err(|e| malformed(format!("its header is not what the format demands: {e}")))?;
    let mut places =
        entries.tensors.into_iter().map(|(name, entry)| entry.place(name, data_bytes)).collect::<Result<Vec<_>>>()?;
    places.sort_by_key(|p| (p.begin, p.end));
    check_cover(&places, data_bytes)?;
    Ok(Header { texts: entries.texts, places })
}

/// Whether a file begins like a zip archive or pickle (PyTorch) or HDF5 (Keras); as a header's length these numbers are enormous.
fn is_checkpoint(start: &[u8; LENGTH_BYTES as usize]) -> bool {
    start.starts_with(b"PK\x03\x04") || start[0] == 0x80 && (2..=5).contains(&start[1]) || start == b"\x89HDF\r\n\x1a\n"
}

/// Fails when places overlap or leave a gap.
fn check_cover(places: &[Place], data_bytes: u64) -> Result<()> {
    let (mut end, mut previous) = (0, "the header");
    for place in places {
        if place.begin < end {
            return Err(malformed(format!(
                "tensors {previous} and {} overlap: bytes {} to {} and {} to {} of the data",
                place.name,
                places.iter().find(|p| p.name == previous).map_or(0, |p| p.begin),
                end,
                place.begin,
                place.end
            )));
        }
        if place.begin > end {
            return Err(malformed(format!("bytes {end} to {} before tensor {} belong to no tensor", place.begin, place.name)));
        }
        (end, previous) = (place.end, &place.name);
    }
    if end < data_bytes {
        return Err(malformed(format!("{} bytes after {previous} belong to no tensor", data_bytes - end)));
    }
    Ok(())
}

/// The header as written: tensors and texts, in order, no name twice.
#[derive(Debug, Default)]
struct Entries {
    texts: BTreeMap<String, String>,
    tensors: Vec<(String, Entry)>,
}

/// What the header says about one tensor.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Entry {
    fn place(self, name: String, data_bytes: u64) -> Result<Place> {
        let Some(dtype) = Dtype::by_name(&self.dtype) else {
            let known: Vec<_> = Dtype::ALL.iter().map(|(_, name)| *name).collect();
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("tensor {name}: the number format {} cannot be used", self.dtype),
            )
            .with_hint(format!("Store it as F32; formats that can be read: {}.", known.join(", "))));
        };
        let shape = self.shape;
        let extents: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
        let size =
            shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d)).and_then(|n| Some((n, n.checked_mul(dtype.bytes() as u64)?)));
        let ((count, bytes), extents) = match (size, extents) {
            (Some(size), Some(extents)) => (size, extents),
            _ => return Err(malformed(format!("tensor {name}: its shape {shape:?} is too large"))),
        };
        let [begin, end] = self.data_offsets;
        if end > data_bytes {
            return Err(malformed(format!(
                "tensor {name} lies in bytes {begin} to {end} of the data, of which there are {data_bytes}: the file was cut off"
            )));
        }
        if end.checked_sub(begin) != Some(bytes) {
            return Err(malformed(format!(
                "tensor {name}: {} {shape:?} takes {bytes} bytes, not bytes {begin} to {end}",
                dtype.name()
            )));
        }
        let count = usize::try_from(count).map_err(|_| malformed(format!("tensor {name}: its shape {shape:?} is too large")))?;
        Ok(Place { name, dtype, shape: extents, count, begin, end })
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let (mut entries, mut names) = (Entries::default(), BTreeSet::new());
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("the name {name} is there twice")));
                    }
                    let at = |e: A::Error| A::Error::custom(format!("{name}: {e}"));
                    if name == TEXTS {
                        entries.texts = map.next_value::<Texts>().map_err(at)?.0;
                    } else {
                        let entry = map.next_value().map_err(at)?;
                        entries.tensors.push((name, entry));
                    }
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The header's texts, no key twice; `null` stands for none.
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_unit<E>(self) -> std::result::Result<Texts, E> {
                Ok(Texts(BTreeMap::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Texts, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    if texts.contains_key(&key) {
                        return Err(A::Error::custom(format!("the key {key} is there twice")));
                    }
                    texts.insert(key, text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(Pairs)
    }
}

/// The header to write: texts, then tensors in the order of their names.
struct Outline<'a> {
    texts: BTreeMap<&'a str, String>,
    tensors: Vec<(&'a str, Placed<'a>)>,
}

#[derive(Serialize)]
struct Placed<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

impl Serialize for Outline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.texts.is_empty() {
            map.serialize_entry(TEXTS, &self.texts)?;
        }
        for (name, placed) in &self.tensors {
            map.serialize_entry(name, placed)?;
        }
        map.end()
    }
}

/// The bytes of a safetensors file: the same weights give the same bytes. Floating-point numbers are stored as F32, integers as I64.
///
/// # Errors
/// An internal error when the header cannot be written as JSON.
pub fn to_bytes(weights: &Weights) -> Result<Vec<u8>> {
    let mut outline = Outline { texts: BTreeMap::new(), tensors: Vec::with_capacity(weights.len()) };
    outline.texts.extend(weights.remarks.iter().map(|(key, text)| (key.as_str(), text.clone())));
    if let Some(metadata) = &weights.metadata {
        outline.texts.insert(METADATA_KEY, metadata.to_json());
    }
    if weights.get(TEXTS).is_some() {
        return Err(Error::internal(format!("a tensor of {} is named {TEXTS}", weights.origin)));
    }
    // wide numbers first keep every tensor aligned
    let mut order: Vec<_> = weights.iter().map(|(name, weight)| (name, weight.tensor.as_ref())).collect();
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().bytes()));
    let mut end = 0;
    for (name, tensor) in &order {
        let begin = end;
        end += tensor.data().len() * tensor.dtype().bytes();
        let dtype = Dtype::of(tensor.dtype()).name();
        outline.tensors.push((name, Placed { dtype, shape: tensor.shape(), data_offsets: [begin, end] }));
    }
    let mut header =
        serde_json::to_vec(&outline).map_err(|e| Error::internal(format!("the header of {}: {e}", weights.origin)))?;
    // the data begins at a multiple of eight
    header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    let mut bytes = Vec::with_capacity(LENGTH_BYTES as usize + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for (_, tensor) in order {
        match tensor.data() {
            Data::F32(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Data::I64(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Data::Bool(values) => bytes.extend(values.iter().map(|&v| u8::from(v))),
        }
    }
    Ok(bytes)
}

/// Writes a file under a hidden name beside its own, and renames it when it is complete.
///
/// # Errors
/// As [`Weights::write`].
pub fn write(weights: &Weights, path: &Path) -> Result<()> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let bytes = to_bytes(weights)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(PathBuf::from("."), Path::to_path_buf);
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{own}.{}-{number}.tmp", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        Error::new(ErrorKind::Write, format!("{}: {}", path.display(), reason(&e)))
            .with_hint("Check the free space and the permissions of the folder.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A file of this header and so many bytes of data.
    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    fn refusal(bytes: &[u8]) -> Error {
        let error = from_bytes(bytes, "w.safetensors").unwrap_err();
        assert!(error.message().starts_with("w.safetensors: "), "{error}");
        assert!(error.hint().is_some(), "{error}");
        error
    }

    fn f32s(shape: &[usize], values: &[f32]) -> Weight {
        Weight::new(Tensor::from_f32(shape, values.to_vec()).unwrap())
    }

    fn sample() -> Weights {
        let mut weights = Weights::new("sample");
        weights.insert("conv.weight", f32s(&[2, 1, 1, 2], &[1.0, -2.5, 3.25, 0.0]));
        weights.insert("bias", f32s(&[], &[7.0]));
        weights.insert("empty", f32s(&[0, 3], &[]));
        weights.insert("mask", Weight::new(Tensor::new(&[3], Data::Bool(vec![true, false, true])).unwrap()));
        weights.insert("index", Weight::new(Tensor::from_i64(&[2], vec![-1, 5]).unwrap()));
        weights.remarks.insert("format".into(), "pt".into());
        weights
    }

    #[test]
    fn what_is_written_is_read_and_the_reference_agrees() {
        let mut weights = sample();
        weights.set_metadata(Metadata { network: "edcstfn".into(), ..Metadata::default() });
        let bytes = to_bytes(&weights).unwrap();
        assert_eq!(to_bytes(&weights).unwrap(), bytes, "the same weights give the same bytes");
        let read = from_bytes(&bytes, "sample").unwrap();
        assert_eq!(read, weights);
        assert_eq!((read.len(), read.parameters()), (5, 5));

        let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
        let reference = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let conv = reference.tensor("conv.weight").unwrap();
        assert_eq!((conv.dtype(), conv.shape()), (::safetensors::Dtype::F32, [2, 1, 1, 2].as_slice()));
        assert_eq!(conv.data()[4..8], (-2.5_f32).to_le_bytes());
        assert_eq!(reference.len(), 5);
    }

    #[test]
    fn what_the_reference_writes_is_read() {
        let values: Vec<u8> = [0.5_f32, -1.0, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let half = [0x00_u8, 0x3c, 0x00, 0xc0];
        let views = [
            ("a.b", ::safetensors::tensor::TensorView::new(::safetensors::Dtype::F32, vec![3, 1], &values).unwrap()),
            ("half", ::safetensors::tensor::TensorView::new(::safetensors::Dtype::F16, vec![2], &half).unwrap()),
        ];
        let texts = HashMap::from([("author".to_owned(), "someone".to_owned())]);
        let bytes = ::safetensors::serialize(views, Some(texts)).unwrap();
        let read = from_bytes(&bytes, "reference").unwrap();
        assert_eq!(read.get("a.b").unwrap().tensor.f32s().unwrap(), [0.5, -1.0, 2.0]);
        assert_eq!(read.get("half").unwrap().tensor.f32s().unwrap(), [1.0, -2.0]);
        assert_eq!(read.get("half").unwrap().stored, Dtype::F16);
        assert_eq!(read.remarks()["author"], "someone");
        assert!(read.metadata().is_none());
    }

    #[test]
    fn a_file_appears_complete_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("stfusion-weights-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("w.safetensors");
        sample().write(&path).unwrap();
        sample().write(&path).unwrap();
        let read = Weights::read(&path).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), sample().iter().collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        let error = sample().write(&folder.join("no/such/w.safetensors")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
        let error = Weights::read(&folder.join("absent.safetensors")).unwrap_err();
        assert!(error.message().ends_with("absent.safetensors: No such file or directory"), "{error}");
        assert!(Weights::read(&folder).unwrap_err().message().ends_with("is a folder"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        let bytes = to_bytes(&sample()).unwrap();
        for length in 0..bytes.len() {
            refusal(&bytes[..length]);
        }
        let error = refusal(&bytes[..bytes.len() - 1]);
        assert!(error.message().contains("tensor mask lies in bytes 36 to 39 of the data, of which there are 38"), "{error}");
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(refusal(&longer).message().contains("1 bytes after mask belong to no tensor"));
    }

    #[test]
    fn a_header_longer_than_the_file_or_the_limit_is_refused_unread() {
        let error = refusal(&[0xff; 40]);
        assert!(error.message().contains("its header has 18446744073709551615 bytes, and has 40 bytes in all"), "{error}");
        let mut source = (MAX_HEADER_BYTES + 1).to_le_bytes().to_vec();
        source.push(b'{');
        let error = read_all(source.as_slice(), 1 << 40, "w").unwrap_err();
        assert!(error.message().contains("its header has 100000001 bytes; the format allows 100000000"), "{error}");
    }

    #[test]
    fn checkpoints_of_other_programs_are_told_apart() {
        for start in [b"PK\x03\x04aaaaaaaa".as_slice(), b"\x80\x02\x8a\x0aaaaaaaaa", b"\x89HDF\r\n\x1a\naaaa"] {
            let error = refusal(start);
            assert!(error.message().contains("a checkpoint of another program"), "{error}");
            assert!(error.hint().unwrap().contains("convert_weights.py"));
        }
    }

    #[test]
    fn a_header_of_any_length_is_read() {
        // among them lengths whose first byte is that of a pickle, or whose first two are those of a zip archive
        for length in (64..400).chain([0x4b50]) {
            let mut header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_owned();
            header.extend(std::iter::repeat_n(' ', length - header.len()));
            assert_eq!(from_bytes(&file(&header, 4), "w").unwrap().len(), 1, "{length}");
        }
    }

    #[test]
    fn malformed_tensors_are_named() {
        let entry = |name: &str, dtype: &str, shape: &str, begin: u64, end: u64| {
            format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
        };
        let a = entry("a", "F32", "[2]", 0, 8);
        for (header, data, expected) in [
            (format!("{{{a},{}}}", entry("b", "F32", "[2]", 4, 12)), 12, "tensors a and b overlap: bytes 0 to 8 and 4 to 12"),
            (format!("{{{a},{}}}", entry("b", "F32", "[2]", 0, 8)), 8, "tensors a and b overlap"),
            (format!("{{{a},{a}}}"), 8, "the name a is there twice"),
            (format!("{{{a},{}}}", entry("b", "F32", "[1]", 12, 16)), 16, "bytes 8 to 12 before tensor b belong to no tensor"),
            (format!("{{{}}}", entry("a", "F32", "[3]", 0, 8)), 8, "tensor a: F32 [3] takes 12 bytes, not bytes 0 to 8"),
            (format!("{{{}}}", entry("a", "F32", "[2]", 8, 0)), 8, "takes 8 bytes, not bytes 8 to 0"),
            (format!("{{{}}}", entry("a", "F32", "[2]", 0, u64::MAX)), 8, "the file was cut off"),
            (
                format!("{{{}}}", entry("a", "F32", "[4294967296,4294967296]", 0, 0)),
                0,
                "tensor a: its shape [4294967296, 4294967296] is too large",
            ),
            (format!("{{{}}}", entry("a", "F32", "[-1]", 0, 4)), 4, "a: invalid value: integer `-1`"),
            (format!("{{{}}}", entry("a", "F8_E5M2", "[4]", 0, 4)), 4, "tensor a: the number format F8_E5M2 cannot be used"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}"#.into(), 4, "unknown field `more`"),
            (r#"{"__metadata__":{"k":"1","k":"2"}}"#.into(), 0, "the key k is there twice"),
            (r#"{"__metadata__":{"k":1}}"#.into(), 0, "__metadata__: invalid type: integer `1`, expected a string"),
            ("[]".into(), 0, "expected an object of tensors"),
            ("{".into(), 0, "EOF"),
        ] {
            let error = refusal(&file(&header, data));
            assert!(error.message().contains(expected), "{error}\nexpected {expected}");
        }
    }

    #[test]
    fn weights_that_are_not_finite_are_named_and_counted() {
        let mut weights = sample();
        for k in 0..7 {
            weights.insert(format!("layer{k}"), f32s(&[3], &[1.0, f32::NAN, f32::INFINITY]));
        }
        let error = refusal(&to_bytes(&weights).unwrap());
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(
            error.message(),
            "w.safetensors: weights are not finite numbers: layer0 (2 of 3), layer1 (2 of 3), layer2 (2 of 3), layer3 (2 of 3), \
             layer4 (2 of 3) and 2 more"
        );
        // a double that single precision cannot hold
        let mut bytes = file(r#"{"wide":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#, 0);
        bytes.extend(1e300_f64.to_le_bytes());
        assert!(refusal(&bytes).message().contains("wide (1 of 1)"));
        let mut bytes = file(r#"{"big":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}"#, 0);
        bytes.extend(u64::MAX.to_le_bytes());
        assert!(refusal(&bytes).message().contains("tensor big: an integer is larger than"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 400, failure_persistence: None, ..Default::default() })]

        /// A file with one byte changed is refused, or read as the reference reads it.
        #[test]
        fn damaged_files_are_refused_or_read_alike(place in 0_usize..400, byte in 0_u8..=255) {
            let mut bytes = to_bytes(&sample()).unwrap();
            let place = place % bytes.len();
            bytes[place] = byte;
            let reference = ::safetensors::SafeTensors::deserialize(&bytes);
            match from_bytes(&bytes, "damaged") {
                Ok(weights) => {
                    let reference = reference.unwrap();
                    for (name, weight) in weights.iter() {
                        assert_eq!(reference.tensor(name).unwrap().shape(), weight.tensor.shape());
                    }
                    assert_eq!(reference.len(), weights.len());
                }
                Err(error) => assert!(!error.message().is_empty()),
            }
        }
    }
}
