//! Quick-looks: composites, error maps and contact sheets as 8-bit RGB pictures, and their PNG files.
//!
//! Pictures that are to be compared share one [`Stretch`]. Pixels without a value, NaN in any band that is shown, appear as
//! a grey hatch, which no composite contains. Colour maps are perceptually uniform: their lightness is linear in OKLab.

pub mod colour;
mod font;
pub mod sheet;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ndarray::{Array2, ArrayView2, ArrayView3};

pub use colour::ColourMap;
pub use sheet::{contact_sheet, Legend, Mark, Panel};

/// Red, green and blue, 0 to 255.
pub type Rgb = [u8; 3];

/// Bands of a natural-colour picture of [`crate::BANDS`]: red, green, blue.
pub const TRUE_COLOUR: [usize; 3] = [2, 1, 0];
/// Bands of the usual false-colour picture of [`crate::BANDS`]: near infrared, red, green.
pub const FALSE_COLOUR: [usize; 3] = [3, 2, 1];

/// An RGB picture of 8 bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<Rgb>,
}

impl Picture {
    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: Rgb) -> Self {
        Self { width, height, rgb: vec![colour; width * height] }
    }

    /// A picture from a function of row and column.
    pub fn from_fn(width: usize, height: usize, mut colour: impl FnMut(usize, usize) -> Rgb) -> Self {
        let mut rgb = Vec::with_capacity(width * height);
        for row in 0..height {
            for col in 0..width {
                rgb.push(colour(row, col));
            }
        }
        Self { width, height, rgb }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour at a row and column, or nothing outside the picture.
    pub fn get(&self, row: usize, col: usize) -> Option<Rgb> {
        (row < self.height && col < self.width).then(|| self.rgb[row * self.width + col])
    }

    /// Colours one pixel; outside the picture nothing happens.
    pub fn set(&mut self, row: usize, col: usize, colour: Rgb) {
        if row < self.height && col < self.width {
            self.rgb[row * self.width + col] = colour;
        }
    }

    /// Colours a rectangle, as far as it lies inside.
    pub fn fill(&mut self, row: usize, col: usize, height: usize, width: usize, colour: Rgb) {
        for r in row..(row + height).min(self.height) {
            for c in col..(col + width).min(self.width) {
                self.rgb[r * self.width + c] = colour;
            }
        }
    }

    /// Copies another picture to a row and column, as far as it lies inside.
    pub fn paste(&mut self, row: usize, col: usize, other: &Picture) {
        for r in 0..other.height {
            for c in 0..other.width {
                self.set(row + r, col + c, other.rgb[r * other.width + c]);
            }
        }
    }

    /// Draws the border of the set pixels of a mask of the picture's size; nothing happens for another size.
    pub fn outline(&mut self, mask: ArrayView2<bool>, colour: Rgb) {
        if mask.dim() != (self.height, self.width) {
            return;
        }
        for row in 0..self.height {
            for col in 0..self.width {
                let inside = |r: usize, c: usize| mask.get((r, c)).copied().unwrap_or(false);
                let all = inside(row.wrapping_sub(1), col)
                    && inside(row + 1, col)
                    && inside(row, col.wrapping_sub(1))
                    && inside(row, col + 1);
                if mask[[row, col]] && !all {
                    self.set(row, col, colour);
                }
            }
        }
    }

    /// The picture in another size: the mean of what each new pixel covers, taken in linear light.
    pub fn resized(&self, width: usize, height: usize) -> Picture {
        if (width, height) == (self.width, self.height) || self.rgb.is_empty() {
            return self.clone();
        }
        let spans = |n: usize, from: usize| -> Vec<Vec<(usize, f32)>> {
            (0..n)
                .map(|k| {
                    let (a, b) = (k as f64 * from as f64 / n as f64, (k + 1) as f64 * from as f64 / n as f64);
                    (a.floor() as usize..(b.ceil() as usize).min(from))
                        .map(|i| (i, (b.min((i + 1) as f64) - a.max(i as f64)).max(0.0) as f32))
                        .filter(|(_, w)| *w > 1e-6)
                        .collect()
                })
                .collect()
        };
        let (columns, rows) = (spans(width, self.width), spans(height, self.height));
        Picture::from_fn(width, height, |r, c| {
            let (mut sum, mut total) = ([0.0f32; 3], 0.0);
            for (row, high) in &rows[r] {
                for (col, wide) in &columns[c] {
                    let weight = high * wide;
                    let pixel = self.rgb[row * self.width + col];
                    for (s, v) in sum.iter_mut().zip(pixel) {
                        *s += weight * colour::linear(v);
                    }
                    total += weight;
                }
            }
            sum.map(|s| colour::encoded(s / total))
        })
    }

    /// The picture in at most `most` colours (at least one), chosen by median cut (Heckbert 1982, "Color image quantization for
    /// frame buffer display"): the box of colours with the longest side is halved until there are enough boxes.
    pub fn reduced(&self, most: usize) -> Picture {
        let mut counts = std::collections::BTreeMap::<Rgb, u64>::new();
        for colour in &self.rgb {
            *counts.entry(*colour).or_default() += 1;
        }
        let mut boxes = vec![counts.into_iter().collect::<Vec<(Rgb, u64)>>()];
        let side = |colours: &[(Rgb, u64)], k: usize| {
            let values = colours.iter().map(|(colour, _)| colour[k]);
            values.clone().max().unwrap_or(0) - values.min().unwrap_or(0)
        };
        let longest = |colours: &[(Rgb, u64)]| (0..3).map(|k| (side(colours, k), k)).max().unwrap_or((0, 0));
        while boxes.len() < most {
            let widest = (0..boxes.len()).max_by_key(|&i| (longest(&boxes[i]).0, boxes.len() - i));
            let Some(i) = widest.filter(|&i| longest(&boxes[i]).0 > 0) else { break };
            let mut colours = boxes.swap_remove(i);
            let channel = longest(&colours).1;
            colours.sort_by_key(|(colour, _)| (colour[channel], *colour));
            let half = colours.iter().map(|(_, n)| n).sum::<u64>() / 2;
            let mut seen = 0;
            let middle = colours.iter().position(|(_, n)| {
                seen += n;
                seen > half
            });
            let upper = colours.split_off(middle.unwrap_or(0).clamp(1, colours.len() - 1));
            boxes.extend([colours, upper]);
        }
        let mut reduced = std::collections::HashMap::new();
        for colours in &boxes {
            let total = colours.iter().map(|(_, n)| n).sum::<u64>().max(1);
            let mean = [0, 1, 2].map(|k| (colours.iter().map(|(c, n)| u64::from(c[k]) * n).sum::<u64>() / total) as u8);
            reduced.extend(colours.iter().map(|(colour, _)| (*colour, mean)));
        }
        Picture { rgb: self.rgb.iter().map(|c| reduced.get(c).copied().unwrap_or(*c)).collect(), ..*self }
    }

    /// Writes the picture as PNG. The file is complete or the error says why not.
    ///
    /// # Errors
    /// Whatever creating or writing the file fails with.
    pub fn write_png(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        self.encode_png(&mut file)?;
        file.flush()
    }

    /// The bytes of the picture as PNG, to a writer; pictures of at most 256 colours are stored with a palette.
    ///
    /// # Errors
    /// Whatever the writer fails with.
    pub fn encode_png(&self, writer: impl Write) -> io::Result<()> {
        let mut encoder = png::Encoder::new(writer, self.width as u32, self.height as u32);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let indexed = self.indexed();
        let data = match &indexed {
            Some((palette, indices)) => {
                encoder.set_color(png::ColorType::Indexed);
                encoder.set_palette(palette.as_flattened().to_vec());
                indices.as_slice()
            }
            None => {
                encoder.set_color(png::ColorType::Rgb);
                self.rgb.as_flattened()
            }
        };
        let mut png = encoder.write_header().map_err(io::Error::other)?;
        png.write_image_data(data).map_err(io::Error::other)?;
        png.finish().map_err(io::Error::other)
    }

    /// The colours in the order of their first pixel, and the index of every pixel's; nothing for more than 256 colours.
    fn indexed(&self) -> Option<(Vec<Rgb>, Vec<u8>)> {
        let mut palette = Vec::new();
        let mut known = std::collections::HashMap::new();
        let mut indices = Vec::with_capacity(self.rgb.len());
        for colour in &self.rgb {
            let index = match known.get(colour) {
                Some(&index) => index,
                None => {
                    let index = u8::try_from(palette.len()).ok()?;
                    palette.push(*colour);
                    known.insert(*colour, index);
                    index
                }
            };
            indices.push(index);
        }
        Some((palette, indices))
    }
}

/// The values that are shown black and white, for each of three bands, and the gamma in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// The bands shown as red, green and blue.
    pub bands: [usize; 3],
    /// Shown as 0.
    pub low: [f32; 3],
    /// Shown as 255.
    pub high: [f32; 3],
    /// Exponent below 1 brightens the middle.
    pub gamma: f32,
}

impl Stretch {
    /// The stretch between two percentiles (0 to 100) of the finite values of all the images together, band by band.
    pub fn percentiles(images: &[ArrayView3<f32>], bands: [usize; 3], low: f64, high: f64) -> Self {
        let mut stretch = Self { bands, low: [0.0; 3], high: [1.0; 3], gamma: 0.88 };
        for (k, band) in bands.into_iter().enumerate() {
            let mut values: Vec<f32> = images
                .iter()
                .flat_map(|image| image.index_axis(ndarray::Axis(0), band).into_iter().copied())
                .filter(|v| v.is_finite())
                .collect();
            if values.is_empty() {
                continue;
            }
            values.sort_unstable_by(f32::total_cmp);
            let at = |p: f64| values[((p / 100.0).clamp(0.0, 1.0) * (values.len() - 1) as f64).round() as usize];
            stretch.low[k] = at(low);
            stretch.high[k] = at(high).max(at(low) + 1e-6);
        }
        stretch
    }

    /// The same stretch for all three bands, from the lowest black to the highest white: for natural colours, whose hue
    /// would otherwise depend on the scene.
    pub fn joined(mut self) -> Self {
        self.low = [self.low.into_iter().fold(f32::INFINITY, f32::min); 3];
        self.high = [self.high.into_iter().fold(f32::NEG_INFINITY, f32::max); 3];
        self
    }

    /// The same stretch with another gamma.
    pub fn with_gamma(mut self, gamma: f32) -> Self {
        self.gamma = gamma;
        self
    }

    fn colour(&self, values: [f32; 3]) -> Option<Rgb> {
        let mut rgb = [0; 3];
        for k in 0..3 {
            if !values[k].is_finite() {
                return None;
            }
            let t = ((values[k] - self.low[k]) / (self.high[k] - self.low[k])).clamp(0.0, 1.0);
            rgb[k] = (255.0 * t.powf(self.gamma)).round() as u8;
        }
        Some(rgb)
    }
}

/// An image `(band, row, col)` in the three bands of the stretch; a pixel with a NaN in one of them is hatched.
pub fn composite(image: ArrayView3<f32>, stretch: &Stretch) -> Picture {
    let (_, rows, cols) = image.dim();
    Picture::from_fn(cols, rows, |r, c| stretch.colour(stretch.bands.map(|b| image[[b, r, c]])).unwrap_or_else(|| hatch(r, c)))
}

/// A single layer `(row, col)` in colours from `low` to `high`; a NaN is hatched.
pub fn coloured(layer: ArrayView2<f32>, map: ColourMap, low: f32, high: f32) -> Picture {
    let (rows, cols) = layer.dim();
    Picture::from_fn(cols, rows, |r, c| match layer[[r, c]] {
        v if v.is_finite() => map.rgb((v - low) / (high - low)),
        _ => hatch(r, c),
    })
}

/// The mean over the bands of the absolute difference of two images `(band, row, col)`; NaN where one of them is.
pub fn mean_absolute_error(prediction: ArrayView3<f32>, truth: ArrayView3<f32>) -> Array2<f32> {
    let (bands, rows, cols) = truth.dim();
    let mut out = Array2::zeros((rows, cols));
    for b in 0..bands {
        for r in 0..rows {
            for c in 0..cols {
                out[[r, c]] += (prediction[[b, r, c]] - truth[[b, r, c]]).abs() / bands as f32;
            }
        }
    }
    out
}

/// What a pixel without a value looks like.
pub(crate) fn hatch(row: usize, col: usize) -> Rgb {
    if (row + col) % 12 < 5 {
        [176, 178, 182]
    } else {
        [222, 223, 226]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn png_decodes_to_the_same_picture_with_a_palette_or_without() {
        let many = Picture::from_fn(37, 23, |r, c| [(r * 11) as u8, (c * 6) as u8, (r ^ c) as u8]);
        let few = Picture::from_fn(37, 23, |r, c| [((r * 37 + c) % 256) as u8, 7, 9]);
        for (picture, colours) in [(many, png::ColorType::Rgb), (few, png::ColorType::Indexed)] {
            let mut bytes = Vec::new();
            picture.encode_png(&mut bytes).unwrap();
            let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
            decoder.set_transformations(png::Transformations::EXPAND);
            let mut reader = decoder.read_info().unwrap();
            assert_eq!(reader.info().color_type, colours);
            let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut decoded).unwrap();
            assert_eq!((info.width, info.height), (37, 23));
            assert_eq!(decoded, picture.rgb.as_flattened());
        }
    }

    #[test]
    fn a_reduced_picture_has_few_colours_near_its_own() {
        let picture = Picture::from_fn(64, 64, |r, c| [(r * 4) as u8, (c * 4) as u8, ((r * c) % 256) as u8]);
        let reduced = picture.reduced(256);
        let (palette, _) = reduced.indexed().unwrap();
        assert!(palette.len() > 200, "{}", palette.len());
        let off = |a: &Rgb, b: &Rgb| (0..3).map(|k| a[k].abs_diff(b[k])).max().unwrap_or(0);
        let largest = picture.rgb.iter().zip(&reduced.rgb).map(|(a, b)| off(a, b)).max().unwrap();
        assert!(largest < 48, "{largest}");
        let few = Picture::from_fn(8, 8, |r, _| [(r * 30) as u8, 0, 9]);
        assert_eq!(few.reduced(256), few);
        assert_eq!(few.reduced(1).indexed().unwrap().0.len(), 1);
    }

    #[test]
    fn stretch_is_shared_and_hatches_what_is_missing() {
        let dark = Array3::from_elem((6, 4, 4), 0.1f32);
        let mut bright = Array3::from_elem((6, 4, 4), 0.3f32);
        bright[[3, 1, 2]] = f32::NAN;
        let stretch = Stretch::percentiles(&[dark.view(), bright.view()], FALSE_COLOUR, 0.0, 100.0);
        assert_eq!(stretch.low, [0.1; 3]);
        assert_eq!(stretch.high, [0.3; 3]);
        assert_eq!(composite(dark.view(), &stretch).get(0, 0), Some([0; 3]));
        let picture = composite(bright.view(), &stretch);
        assert_eq!(picture.get(0, 0), Some([255; 3]));
        assert_eq!(picture.get(1, 2), Some(hatch(1, 2)));
        assert_eq!(picture.get(4, 0), None);
    }

    #[test]
    fn resizing_keeps_a_flat_picture_and_averages_blocks() {
        let flat = Picture::filled(31, 17, [10, 120, 250]);
        assert_eq!(flat.resized(12, 40), Picture::filled(12, 40, [10, 120, 250]));
        let checks = Picture::from_fn(8, 8, |r, c| if (r + c) % 2 == 0 { [255; 3] } else { [0; 3] });
        let half = checks.resized(4, 4);
        let expected = colour::encoded(0.5);
        assert!(half.rgb.iter().all(|p| *p == [expected; 3]));
    }

    #[test]
    fn error_is_the_mean_over_bands() {
        let truth = Array3::zeros((2, 1, 2));
        let mut prediction = truth.clone();
        prediction[[0, 0, 0]] = 0.3f32;
        prediction[[1, 0, 0]] = -0.1;
        prediction[[0, 0, 1]] = f32::NAN;
        let error = mean_absolute_error(prediction.view(), truth.view());
        assert!((error[[0, 0]] - 0.2).abs() < 1e-6);
        assert!(error[[0, 1]].is_nan());
        let picture = coloured(error.view(), ColourMap::Heat, 0.0, 0.2);
        assert_eq!(picture.get(0, 0), Some(ColourMap::Heat.rgb(1.0)));
        assert_eq!(picture.get(0, 1), Some(hatch(0, 1)));
    }

    #[test]
    fn outline_is_the_border_of_the_mask() {
        let mut picture = Picture::filled(5, 5, [0; 3]);
        let mask = Array2::from_shape_fn((5, 5), |(r, c)| (1..4).contains(&r) && (1..4).contains(&c));
        picture.outline(mask.view(), [255; 3]);
        let drawn = (0..25).filter(|k| picture.get(k / 5, k % 5) == Some([255; 3])).count();
        assert_eq!(drawn, 8);
        assert_eq!(picture.get(2, 2), Some([0; 3]));
    }
}
