//! Samplers of diffusion models: from noise to an image, by many evaluations of a network.
//!
//! ```text
//! x = noise
//! for every step t that is visited, from the last on:
//!     estimate = network(x, t)                    of the clean image, or of the noise in x
//!     x0       = the clean image by that estimate, held within [-1, 1]
//!     DDPM:  x = mean of the posterior of x0 and x, plus noise of its variance
//!     DDIM:  x = x0 with the estimated noise of the next step put back, a share `eta` of it new
//! the last step yields x0
//! ```
//!
//! DDPM: Ho, Jain, Abbeel 2020; DDIM: Song, Meng, Ermon 2021; the cosine schedule and the learnt variance: Nichol, Dhariwal 2021.
//! Steps may be left out; what is between two visited ones is then one step of both samplers.
//!
//! Noise comes from a [`Noise`]. [`SeededNoise`] gives every pixel of a scene its own numbers, made from seed, draw, band and place
//! alone, so that an image depends neither on how the scene is cut into tiles nor on threads.

use std::f64::consts::PI;

use stfusion_core::{Error, ErrorKind, Result};

use crate::tensor::Tensor;

/// What the network estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimate {
    /// The clean image.
    Clean,
    /// The noise in the image it is given.
    Noise,
}

/// Where the variance of a DDPM step comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// From the schedule: that of the posterior.
    Posterior,
    /// From the network: as many further bands say where between the posterior's (-1) and the step's beta (1) its logarithm is.
    Learnt,
}

/// How one step leads to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// DDPM.
    Ancestral(Variance),
    /// DDIM; `eta` 0 adds no noise, 1 as much as DDPM. Further bands of the estimate do not count.
    Implicit {
        /// The share of new noise.
        eta: f64,
        /// Whether the noise put back is that which leads to the clean image once it is held within [-1, 1] (the authors of DDIM's
        /// code as adapted by Nichol and Dhariwal), or the network's own estimate. The same where the network estimates the clean
        /// image.
        rederived: bool,
    },
}

/// How much of the image is left at every step of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Products of `1 - beta` up to each step.
    cumulative: Vec<f64>,
}

impl Schedule {
    /// The largest beta of the cosine schedule.
    const LARGEST: f64 = 0.999;

    /// The schedule with these variances of new noise.
    ///
    /// # Errors
    /// There is none, or one is not within 0 to 1.
    pub fn new(betas: &[f64]) -> Result<Self> {
        if betas.is_empty() || !betas.iter().all(|beta| (0.0..=1.0).contains(beta)) {
            let message = format!("A diffusion schedule needs variances between 0 and 1, not {betas:?}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut left = 1.0;
        let cumulative = betas.iter().map(|beta| {
            left *= 1.0 - beta;
            left
        });
        Ok(Schedule { cumulative: cumulative.collect() })
    }

    /// What is left falls as a squared cosine.
    ///
    /// # Errors
    /// There are no steps.
    pub fn cosine(steps: usize) -> Result<Self> {
        let left = |i: usize| ((i as f64 / steps as f64 + 0.008) / 1.008 * PI / 2.0).cos().powi(2);
        let betas: Vec<f64> = (0..steps).map(|i| (1.0 - left(i + 1) / left(i)).clamp(0.0, Self::LARGEST)).collect();
        Schedule::new(&betas)
    }

    /// Variances rise evenly from 0.1 to 20, divided by the number of steps.
    ///
    /// # Errors
    /// There are too few steps: fewer than 20.
    pub fn linear(steps: usize) -> Result<Self> {
        let (first, last) = (0.1 / steps as f64, 20.0 / steps as f64);
        let apart = (last - first) / steps.saturating_sub(1).max(1) as f64;
        let betas: Vec<f64> = (0..steps).map(|i| first + apart * i as f64).collect();
        Schedule::new(&betas)
    }

    /// The number of steps of training.
    pub fn steps(&self) -> usize {
        self.cumulative.len()
    }

    /// All steps, from the last to the first.
    pub fn all(&self) -> Vec<usize> {
        (0..self.steps()).rev().collect()
    }

    /// `count` steps at even distances that end with the last one, from the last on (STFDiff).
    ///
    /// # Errors
    /// There are not so many steps, or none is asked for.
    pub fn spread(&self, count: usize) -> Result<Vec<usize>> {
        self.check_count(count)?;
        Ok((1..=count).rev().map(|i| i * self.steps() / count - 1).collect())
    }

    /// Every n-th step from the first on, so that there are `count`, from the last of them on (the rule "ddimN" of Nichol and
    /// Dhariwal).
    ///
    /// # Errors
    /// No distance gives so many steps.
    pub fn strided(&self, count: usize) -> Result<Vec<usize>> {
        self.check_count(count)?;
        let distance = (1..=self.steps()).find(|n| self.steps().div_ceil(*n) == count).ok_or_else(|| {
            let message = format!("{} steps of training cannot be cut to {count} at a whole distance", self.steps());
            Error::new(ErrorKind::Argument, message).with_hint("Choose another number of steps, such as a divisor.")
        })?;
        Ok((0..count).rev().map(|i| i * distance).collect())
    }

    fn check_count(&self, count: usize) -> Result<()> {
        if (1..=self.steps()).contains(&count) {
            return Ok(());
        }
        let message = format!("{count} steps were asked for, but the network was trained with {}", self.steps());
        Err(Error::new(ErrorKind::Argument, message).with_hint(format!("Choose 1 to {} steps.", self.steps())))
    }

    /// A clean image with the noise of a step: what the network is trained on.
    ///
    /// # Errors
    /// Image and noise differ in shape, or there is no such step.
    pub fn noised(&self, clean: &Tensor, noise: &Tensor, step: usize) -> Result<Tensor> {
        let Some(&left) = self.cumulative.get(step) else {
            return Err(Error::new(ErrorKind::Argument, format!("There is no step {step} in a schedule of {}", self.steps())));
        };
        let (keep, add) = (left.sqrt() as f32, (1.0 - left).sqrt() as f32);
        combined(clean.shape(), [clean, noise], |[clean, noise]| keep * clean + add * noise)
    }
}

/// Where the random numbers come from.
pub trait Noise {
    /// Normal numbers of the shape of the image, `(batch, band, row, column)`; draw 0 is what a sampler begins with, draw `k + 1` what
    /// its step `k` adds.
    ///
    /// # Errors
    /// The source cannot give them.
    fn draw(&self, draw: usize, shape: &[usize]) -> Result<Tensor>;
}

/// Normal numbers made from seed, draw, band and place in the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeededNoise {
    /// The seed.
    pub seed: u64,
    /// The row of the scene that the tile begins with.
    pub row: usize,
    /// The column of the scene that the tile begins with.
    pub column: usize,
}

/// A number that looks random, from a number (the finaliser of SplitMix64: Steele, Lea, Flood 2014).
fn mixed(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

impl SeededNoise {
    /// The normal number of a place (Box and Muller 1958).
    fn at(&self, key: u64, row: usize, column: usize) -> f32 {
        let place = mixed(mixed(key ^ (self.row + row) as u64) ^ (self.column + column) as u64);
        let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (radius, angle) = (unit(place), unit(mixed(place)));
        ((-2.0 * radius.ln()).sqrt() * (2.0 * PI * angle).cos()) as f32
    }
}

impl Noise for SeededNoise {
    fn draw(&self, draw: usize, shape: &[usize]) -> Result<Tensor> {
        let [images, bands, rows, columns] = *shape else {
            return Err(Error::new(ErrorKind::Argument, format!("Noise is made for images with four axes, not {}", shape.len())));
        };
        let mut values = Vec::with_capacity(images * bands * rows * columns);
        for plane in 0..images * bands {
            let key = mixed(mixed(self.seed ^ mixed(draw as u64)) ^ plane as u64);
            for row in 0..rows {
                values.extend((0..columns).map(|column| self.at(key, row, column)));
            }
        }
        Tensor::from_f32(shape, values)
    }
}

/// A sampler: a schedule, the steps that are visited, and what the network estimates.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampler {
    schedule: Schedule,
    steps: Vec<usize>,
    estimate: Estimate,
    rule: Rule,
}

/// What a step yields.
#[derive(Debug, Clone)]
pub struct Step {
    /// The clean image as estimated, within [-1, 1].
    pub clean: Tensor,
    /// The image for the next step; after the last step the prediction.
    pub next: Tensor,
}

impl Sampler {
    /// A sampler that visits `steps`, which fall.
    ///
    /// # Errors
    /// The steps do not fall or are not of the schedule; `eta` is not within 0 to 1.
    pub fn new(schedule: Schedule, steps: Vec<usize>, estimate: Estimate, rule: Rule) -> Result<Self> {
        let falls = steps.windows(2).all(|pair| pair[0] > pair[1]);
        if steps.is_empty() || !falls || steps[0] >= schedule.steps() {
            let message = format!("The steps {steps:?} do not fall within the {} of training", schedule.steps());
            return Err(Error::new(ErrorKind::Argument, message));
        }
        if let Rule::Implicit { eta, .. } = rule {
            if !(0.0..=1.0).contains(&eta) {
                return Err(Error::new(ErrorKind::Argument, format!("eta is {eta}, but must be between 0 and 1")));
            }
        }
        Ok(Sampler { schedule, steps, estimate, rule })
    }

    /// The steps that are visited, as the network counts them.
    pub fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// The image of this shape `(batch, band, row, column)` that comes of `noise`. `network` takes the noisy image and the step and
    /// yields its estimate, with further bands where the variance is learnt.
    ///
    /// # Errors
    /// Those of the network and of the noise; an estimate of the wrong shape.
    pub fn image(
        &self,
        shape: &[usize],
        noise: &dyn Noise,
        mut network: impl FnMut(&Tensor, usize) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut x = noise.draw(0, shape)?;
        for (i, &step) in self.steps.iter().enumerate() {
            let estimate = network(&x, step)?;
            x = self.step(i, &x, &estimate, noise)?.next;
        }
        Ok(x)
    }

    /// The `i`-th step: from the noisy image and the network's estimate to the next image.
    ///
    /// # Errors
    /// An estimate of the wrong shape, a step that is not visited, or nothing left of the image at this step, so that an estimate of
    /// the noise says nothing of it.
    pub fn step(&self, i: usize, x: &Tensor, estimate: &Tensor, noise: &dyn Noise) -> Result<Step> {
        let Some(&step) = self.steps.get(i) else {
            return Err(Error::new(ErrorKind::Argument, format!("Step {i} of a sampler with {} steps", self.steps.len())));
        };
        let left = self.schedule.cumulative[step];
        let next = self.steps.get(i + 1).map_or(1.0, |&s| self.schedule.cumulative[s]);
        if left <= 0.0 && self.estimate == Estimate::Noise {
            let message = format!("Nothing is left of the image at step {step}, so that an estimate of its noise says nothing");
            return Err(Error::new(ErrorKind::Argument, message).with_hint("Choose a schedule of more steps."));
        }
        let (estimate, variance) = self.parts(x, estimate)?;
        let shape = x.shape();

        let (grown, noisy) = ((1.0 / left).sqrt() as f32, (1.0 / left - 1.0).sqrt() as f32);
        let clean = match self.estimate {
            Estimate::Clean => combined(shape, [&estimate], |[e]| e.clamp(-1.0, 1.0))?,
            Estimate::Noise => combined(shape, [x, &estimate], |[x, e]| (grown * x - noisy * e).clamp(-1.0, 1.0))?,
        };
        let last = i + 1 == self.steps.len();
        let beta = 1.0 - left / next;
        let posterior = beta * (1.0 - next) / (1.0 - left);
        let next = match self.rule {
            Rule::Ancestral(_) => {
                let of_clean = (beta * next.sqrt() / (1.0 - left)) as f32;
                let of_noisy = ((1.0 - next) * (1.0 - beta).sqrt() / (1.0 - left)) as f32;
                let mean = combined(shape, [&clean, x], |[clean, x]| of_clean * clean + of_noisy * x)?;
                match (last, variance) {
                    (true, _) => mean,
                    (false, None) => {
                        let deviation = posterior.sqrt() as f32;
                        combined(shape, [&mean, &noise.draw(i + 1, shape)?], |[mean, n]| mean + deviation * n)?
                    }
                    (false, Some(between)) => {
                        let (low, high) = (posterior.ln() as f32, beta.ln() as f32);
                        combined(shape, [&mean, &between, &noise.draw(i + 1, shape)?], |[mean, between, n]| {
                            let share = (between + 1.0) / 2.0;
                            mean + (0.5 * (share * high + (1.0 - share) * low)).exp() * n
                        })?
                    }
                }
            }
            Rule::Implicit { .. } if last => clean.clone(),
            Rule::Implicit { eta, rederived } => {
                let put_back = if self.estimate == Estimate::Clean || rederived {
                    combined(shape, [x, &clean], |[x, clean]| (grown * x - clean) / noisy)?
                } else {
                    estimate
                };
                let deviation = eta * (beta * (1.0 - next) / (1.0 - left)).sqrt();
                let (keep, back) = (next.sqrt() as f32, (1.0 - next - deviation * deviation).max(0.0).sqrt() as f32);
                let mean = combined(shape, [&clean, &put_back], |[clean, n]| keep * clean + back * n)?;
                if deviation > 0.0 {
                    let deviation = deviation as f32;
                    combined(shape, [&mean, &noise.draw(i + 1, shape)?], |[mean, n]| mean + deviation * n)?
                } else {
                    mean
                }
            }
        };
        Ok(Step { clean, next })
    }

    /// The estimate, and what the network says of the variance.
    fn parts(&self, x: &Tensor, estimate: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let shape = x.shape();
        let learnt = self.rule == Rule::Ancestral(Variance::Learnt);
        let bands = estimate.shape().get(1).copied().unwrap_or(0);
        let fits = shape.len() == 4
            && estimate.shape().len() == 4
            && estimate.shape()[0] == shape[0]
            && estimate.shape()[2..] == shape[2..]
            && (bands == 2 * shape[1] || (bands == shape[1] && !learnt));
        let values = match estimate.f32s() {
            Some(values) if fits => values,
            _ => {
                let message = format!("The network's estimate has the shape {:?} for an image {shape:?}", estimate.shape());
                let hint = if learnt {
                    "A learnt variance takes twice the bands of the image."
                } else {
                    "Its bands must be those of the image."
                };
                return Err(Error::new(ErrorKind::Data, message).with_hint(hint));
            }
        };
        if bands == shape[1] {
            return Ok((estimate.clone(), None));
        }
        let half = shape[1..].iter().product::<usize>();
        let part =
            |which: usize| Tensor::from_f32(shape, values.chunks_exact(half).skip(which).step_by(2).flatten().copied().collect());
        Ok((part(0)?, if learnt { Some(part(1)?) } else { None }))
    }
}

/// A function of the elements of tensors of one shape.
fn combined<const N: usize>(shape: &[usize], of: [&Tensor; N], f: impl Fn([f32; N]) -> f32) -> Result<Tensor> {
    let count = shape.iter().product::<usize>();
    let mut slices = [&[][..]; N];
    for (slice, tensor) in slices.iter_mut().zip(of) {
        match tensor.f32s() {
            Some(values) if tensor.shape() == shape => *slice = values,
            _ => {
                let message = format!("Tensors of the shapes {:?} and {shape:?} meet in a sampler", tensor.shape());
                return Err(Error::new(ErrorKind::Data, message));
            }
        }
    }
    Tensor::from_f32(shape, (0..count).map(|i| f(slices.map(|slice| slice[i]))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_belongs_to_the_place() {
        let whole = SeededNoise { seed: 7, row: 0, column: 0 }.draw(3, &[1, 2, 20, 30]).unwrap();
        let tile = SeededNoise { seed: 7, row: 5, column: 11 }.draw(3, &[1, 2, 6, 4]).unwrap();
        let (whole, tile) = (whole.f32s().unwrap(), tile.f32s().unwrap());
        for (i, &v) in tile.iter().enumerate() {
            let (band, row, column) = (i / 24, i % 24 / 4, i % 4);
            assert_eq!(v, whole[(band * 20 + 5 + row) * 30 + 11 + column]);
        }
    }

    #[test]
    fn noise_is_normal_and_draws_differ() {
        let source = SeededNoise { seed: 1, row: 0, column: 0 };
        let shape = [1, 2, 200, 200];
        let (a, b) = (source.draw(0, &shape).unwrap(), source.draw(1, &shape).unwrap());
        let (a, b) = (a.f32s().unwrap(), b.f32s().unwrap());
        let n = a.len() as f64;
        let moment = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(f).sum::<f64>() / n;
        let at = |v: &[f32], i: usize| f64::from(v[i]);
        assert!(moment(&|i| at(a, i)).abs() < 0.02);
        assert!((moment(&|i| at(a, i).powi(2)) - 1.0).abs() < 0.02);
        assert!((moment(&|i| at(a, i).powi(4)) - 3.0).abs() < 0.15);
        assert!(moment(&|i| at(a, i) * at(b, i)).abs() < 0.02);
        assert!(moment(&|i| at(a, i) * at(a, (i + 1) % a.len())).abs() < 0.02, "neighbours along a row");
        assert!(moment(&|i| at(a, i) * at(a, (i + 200) % a.len())).abs() < 0.02, "neighbours along a column");
        assert!(moment(&|i| at(a, i) * at(a, (i + 40_000) % a.len())).abs() < 0.02, "bands");
    }

    #[test]
    fn a_network_that_knows_the_image_gets_it_back() {
        let shape = [1, 1, 4, 6];
        let truth = Tensor::from_f32(&shape, (0..24).map(|i| i as f32 / 12.0 - 1.0).collect()).unwrap();
        let noise = SeededNoise { seed: 3, row: 0, column: 0 };
        let rules = [
            Rule::Ancestral(Variance::Posterior),
            Rule::Implicit { eta: 0.0, rederived: false },
            Rule::Implicit { eta: 1.0, rederived: true },
        ];
        for rule in rules {
            let schedule = Schedule::cosine(100).unwrap();
            let steps = schedule.spread(10).unwrap();
            let sampler = Sampler::new(schedule, steps, Estimate::Clean, rule).unwrap();
            let image = sampler.image(&shape, &noise, |_, _| Ok(truth.clone())).unwrap();
            let largest = image.f32s().unwrap().iter().zip(truth.f32s().unwrap()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest < 1e-6, "{rule:?}: {largest}");
        }
    }

    /// Products of `1 - beta` of the cosine schedule (Nichol and Dhariwal 2021, equation 17).
    fn cosine_in_f64(steps: usize) -> Vec<f64> {
        let f = |t: usize| ((t as f64 / steps as f64 + 0.008) / 1.008 * PI / 2.0).cos().powi(2);
        let mut product = 1.0;
        let betas = (1..=steps).map(|t| f64::min(1.0 - (f(t) / f(0)) / (f(t - 1) / f(0)), 0.999));
        betas.map(|beta| (product *= 1.0 - beta, product).1).collect()
    }

    /// A chain for one value, literally: `network` gives the noise and where the variance lies, `draws` the new noise of every step.
    fn chain_in_f64(rule: Rule, left: &[f64], steps: &[usize], draws: &[f64], network: impl Fn(f64, usize) -> (f64, f64)) -> f64 {
        let mut x = draws[0];
        for (i, &t) in steps.iter().enumerate() {
            let (noise, v) = network(x, t);
            let (now, next) = (left[t], steps.get(i + 1).map_or(1.0, |&s| left[s]));
            let clean = ((x - (1.0 - now).sqrt() * noise) / now.sqrt()).clamp(-1.0, 1.0);
            // between visited steps: Nichol and Dhariwal, equation 19
            let beta = 1.0 - now / next;
            let last = i + 1 == steps.len();
            let new = if last { 0.0 } else { draws[i + 1] };
            x = match rule {
                Rule::Ancestral(variance) => {
                    // Ho, Jain and Abbeel 2020, equation 7; Nichol and Dhariwal, equation 15
                    let mean = next.sqrt() * beta / (1.0 - now) * clean + (1.0 - beta).sqrt() * (1.0 - next) / (1.0 - now) * x;
                    let least = (1.0 - next) / (1.0 - now) * beta;
                    let share = (v + 1.0) / 2.0;
                    let variance = match variance {
                        Variance::Posterior => least,
                        Variance::Learnt => (share * beta.ln() + (1.0 - share) * least.ln()).exp(),
                    };
                    mean + variance.sqrt() * new
                }
                Rule::Implicit { eta, rederived } => {
                    // Song, Meng and Ermon 2021, equations 12 and 16
                    let sigma = eta * ((1.0 - next) / (1.0 - now)).sqrt() * (1.0 - now / next).sqrt();
                    let noise = if rederived { (x - now.sqrt() * clean) / (1.0 - now).sqrt() } else { noise };
                    next.sqrt() * clean + (1.0 - next - sigma * sigma).max(0.0).sqrt() * noise + sigma * new
                }
            };
        }
        x
    }

    #[test]
    fn chains_follow_the_equations() {
        let (shape, pixels) = ([1, 1, 6, 8], 48);
        let source = SeededNoise { seed: 11, row: 0, column: 0 };
        let network = |x: f64, t: usize| (0.8 * x + 0.3 * (3.0 * x + t as f64).sin(), (2.0 * x).sin());
        for rule in [
            Rule::Ancestral(Variance::Posterior),
            Rule::Ancestral(Variance::Learnt),
            Rule::Implicit { eta: 0.0, rederived: true },
            Rule::Implicit { eta: 0.0, rederived: false },
            Rule::Implicit { eta: 0.6, rederived: true },
        ] {
            let schedule = Schedule::cosine(1000).unwrap();
            let steps = schedule.strided(25).unwrap();
            let sampler = Sampler::new(schedule, steps.clone(), Estimate::Noise, rule).unwrap();
            let estimate = |x: &Tensor, t: usize| {
                let values = x.f32s().unwrap().iter().map(|v| network(f64::from(*v), t));
                let (noise, variance): (Vec<f32>, Vec<f32>) = values.map(|(n, v)| (n as f32, v as f32)).unzip();
                Tensor::from_f32(&[1, 2, 6, 8], [noise, variance].concat())
            };
            let image = sampler.image(&shape, &source, estimate).unwrap();
            let draws: Vec<Tensor> = (0..steps.len()).map(|k| source.draw(k, &shape).unwrap()).collect();
            let left = cosine_in_f64(1000);
            let mut largest = 0.0f64;
            for i in 0..pixels {
                let draws: Vec<f64> = draws.iter().map(|draw| f64::from(draw.f32s().unwrap()[i])).collect();
                let expected = chain_in_f64(rule, &left, &steps, &draws, network);
                largest = largest.max((f64::from(image.f32s().unwrap()[i]) - expected).abs());
            }
            assert!(largest < 1e-3, "{rule:?}: {largest}");
        }
    }

    #[test]
    fn steps_are_chosen_as_the_authors_do() {
        let schedule = Schedule::cosine(100).unwrap();
        assert_eq!(schedule.spread(5).unwrap(), [99, 79, 59, 39, 19]);
        assert_eq!(Schedule::cosine(1000).unwrap().strided(5).unwrap(), [800, 600, 400, 200, 0]);
        let none = Schedule::cosine(1000).unwrap().strided(999).unwrap_err();
        assert!(none.message().contains("999") && none.message().contains("1000"), "{none}");
        assert!(schedule.spread(101).unwrap_err().message().contains("101"));
        assert!(Sampler::new(schedule, vec![3, 3], Estimate::Clean, Rule::Ancestral(Variance::Posterior)).is_err());
    }

    #[test]
    fn an_estimate_of_the_wrong_shape_is_told() {
        let schedule = Schedule::cosine(10).unwrap();
        let steps = schedule.all();
        let sampler = Sampler::new(schedule, steps, Estimate::Noise, Rule::Ancestral(Variance::Learnt)).unwrap();
        let noise = SeededNoise { seed: 3, row: 0, column: 0 };
        let error = sampler.image(&[1, 2, 4, 4], &noise, |x, _| Ok(x.clone())).unwrap_err();
        assert!(error.message().contains("[1, 2, 4, 4]"), "{error}");
    }
}
