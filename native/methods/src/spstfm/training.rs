//! Learning a pair of dictionaries from patches of the two difference images ("double K-SVD").
//!
//! ```text
//! repeat:
//!     α_i = sparse code of the coarse sample L_i over D_L
//!     keep the pair whose fine samples D_H α_i are nearest to H_i so far
//!     for every atom k with users Ω = {i: α_ik ≠ 0}, one after the other:
//!         E = samples of Ω less all other atoms;  (u, s, v) = largest singular triple of E, fine and coarse
//!         D_L,k = u_L,  D_H,k = ± u_H so that v_H · v_L ≥ 0,  α_Ωk = s_L v_L
//! ```
//!
//! Samples are coded in parallel, each on its own; atoms follow one another, since each sees those before it renewed.

use rayon::prelude::*;
use stfusion_core::{Cancel, Result};

use super::dictionary::{DictionaryPair, Samples};
use super::sparse_code::{Codebook, Coder, Rule};
use super::vectors::{add_scaled, dot, normalise};
use crate::blocks::simd::{widened, Path};

/// How long training goes on, and with which codes.
#[derive(Debug, Clone, Copy)]
pub struct Training {
    /// Rule of the sparse codes.
    pub rule: Rule,
    /// Iterations that are always done.
    pub min_iterations: usize,
    /// Iterations after which it ends.
    pub max_iterations: usize,
    /// Vectors to use.
    pub path: Path,
}

/// Training ends when the objective falls by less than this per sample.
const SETTLED: f64 = 1e-10;

/// What training came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The pair whose coarse codes predict the fine samples best.
    pub pair: DictionaryPair,
    /// Mean absolute error of that prediction, in standard deviations of the fine difference.
    pub error: f64,
    /// Number of updates made.
    pub iterations: usize,
}

/// Sparse code of one sample.
#[derive(Debug, Clone, Default)]
struct Code {
    atoms: Vec<usize>,
    values: Vec<f64>,
}

/// Codes of all samples over the present pair, and what they leave of the samples.
struct Coded {
    codes: Vec<Code>,
    /// Fine and coarse samples less D α.
    fine: Vec<f64>,
    coarse: Vec<f64>,
    /// Mean of `‖L − D_L α‖² + τ ‖α‖₁`.
    objective: f64,
    /// Mean of `|H − D_H α|`.
    error: f64,
}

/// Samples coded by one piece of work.
const CHUNK: usize = 32;

/// Learns from `samples`, starting with `pair`. `tell` hears the finished fraction.
///
/// # Errors
/// [`stfusion_core::ErrorKind::Cancelled`].
pub fn train(
    mut pair: DictionaryPair,
    samples: &Samples,
    how: &Training,
    cancel: &Cancel,
    tell: &(dyn Fn(f64) + Send + Sync),
) -> Result<Trained> {
    let mut best: Option<Trained> = None;
    let mut objective = f64::INFINITY;
    let mut iteration = 0;
    loop {
        let mut coded = code_all(&pair, samples, how, cancel)?;
        if best.as_ref().is_none_or(|b| coded.error < b.error) {
            best = Some(Trained { pair: pair.clone(), error: coded.error, iterations: iteration });
        }
        let settled = iteration >= how.min_iterations && objective - coded.objective < SETTLED;
        if iteration == how.max_iterations || settled {
            break;
        }
        objective = coded.objective;
        update(&mut pair, &mut coded, how.path, cancel)?;
        iteration += 1;
        tell(iteration as f64 / how.max_iterations as f64);
    }
    let best = best.unwrap_or(Trained { pair, error: 0.0, iterations: 0 });
    Ok(Trained { iterations: iteration, ..best })
}

fn code_all(pair: &DictionaryPair, samples: &Samples, how: &Training, cancel: &Cancel) -> Result<Coded> {
    let n = pair.pixels;
    let book = Codebook::new(&pair.coarse, n, cancel)?;
    let (mut fine, mut coarse) = (samples.fine.clone(), samples.coarse.clone());
    let parts: Vec<(Code, f64, f64)> = fine
        .par_chunks_mut(CHUNK * n)
        .zip(coarse.par_chunks_mut(CHUNK * n))
        .map_init(
            || Coder::new(how.path),
            |coder, (fine, coarse)| {
                let each = fine.chunks_exact_mut(n).zip(coarse.chunks_exact_mut(n));
                each.map(|(fine, coarse)| {
                    cancel.check()?;
                    Ok(code_one(coder, &book, pair, how.rule, fine, coarse))
                })
                .collect::<Result<Vec<_>>>()
            },
        )
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let count = parts.len().max(1) as f64;
    let objective = parts.iter().map(|p| p.1).sum::<f64>() / count;
    let error = parts.iter().map(|p| p.2).sum::<f64>() / (count * n as f64);
    Ok(Coded { codes: parts.into_iter().map(|p| p.0).collect(), fine, coarse, objective, error })
}

/// Codes one sample and leaves in `fine` and `coarse` what the code does not explain; returns the code, the objective and the
/// sum of the absolute fine residual.
fn code_one(
    coder: &mut Coder,
    book: &Codebook,
    pair: &DictionaryPair,
    rule: Rule,
    fine: &mut [f64],
    coarse: &mut [f64],
) -> (Code, f64, f64) {
    let n = pair.pixels;
    coder.code(book, coarse, rule);
    let (mut atoms, mut values) = (Vec::new(), Vec::new());
    for (&k, &a) in coder.atoms().iter().zip(coder.coefficients()).filter(|(_, &a)| a != 0.0) {
        add_scaled(fine, -a, &pair.fine[k * n..(k + 1) * n]);
        add_scaled(coarse, -a, &pair.coarse[k * n..(k + 1) * n]);
        atoms.push(k);
        values.push(a);
    }
    let objective = dot(coarse, coarse) + coder.tau() * values.iter().map(|a| a.abs()).sum::<f64>();
    (Code { atoms, values }, objective, fine.iter().map(|v| v.abs()).sum())
}

/// One pass over the atoms.
fn update(pair: &mut DictionaryPair, coded: &mut Coded, path: Path, cancel: &Cancel) -> Result<()> {
    let n = pair.pixels;
    let mut users: Vec<Vec<(usize, usize)>> = vec![Vec::new(); pair.atoms()];
    for (i, code) in coded.codes.iter().enumerate() {
        for (place, &k) in code.atoms.iter().enumerate() {
            users[k].push((i, place));
        }
    }
    let mut buffers = Buffers::default();
    for (k, users) in users.iter().enumerate() {
        cancel.check()?;
        let at = k * n..(k + 1) * n;
        let (fine_atom, coarse_atom) = (&mut pair.fine[at.clone()], &mut pair.coarse[at]);
        buffers.weights.clear();
        buffers.weights.extend(users.iter().map(|&(i, place)| coded.codes[i].values[place]));
        if !buffers.renew(users, coded, coarse_atom, fine_atom, path) {
            continue;
        }
        for (u, &(i, place)) in users.iter().enumerate() {
            let value = buffers.weights[u];
            coded.codes[i].values[place] = value;
            let row = u * n..(u + 1) * n;
            for (residual, errors, atom) in
                [(&mut coded.coarse, &buffers.coarse.errors, &*coarse_atom), (&mut coded.fine, &buffers.fine.errors, &*fine_atom)]
            {
                let residual = &mut residual[i * n..(i + 1) * n];
                residual.copy_from_slice(&errors[row.clone()]);
                add_scaled(residual, -value, atom);
            }
        }
    }
    Ok(())
}

/// Memory of the update of an atom.
#[derive(Debug, Default)]
struct Buffers {
    /// Coefficients of the users.
    weights: Vec<f64>,
    fine: Side,
    coarse: Side,
}

/// Memory of the update of an atom in one of the two dictionaries, which share no work and are renewed side by side.
#[derive(Debug, Default)]
struct Side {
    /// Samples of the users less all other atoms, E.
    errors: Vec<f64>,
    /// Eᵀ E.
    square: Vec<f64>,
    image: Vec<f64>,
    /// The new atom.
    direction: Vec<f64>,
}

impl Side {
    /// Takes the residuals of the users plus what the atom explains of them as errors, and finds their largest direction; false
    /// where they have none.
    fn renew(&mut self, users: &[(usize, usize)], weights: &[f64], residual: &[f64], atom: &[f64], path: Path) -> bool {
        let n = atom.len();
        self.errors.clear();
        for (&(i, _), &weight) in users.iter().zip(weights) {
            let begin = self.errors.len();
            self.errors.extend_from_slice(&residual[i * n..(i + 1) * n]);
            add_scaled(&mut self.errors[begin..], weight, atom);
        }
        self.direction.clear();
        self.direction.extend_from_slice(atom);
        largest_direction(path, &self.errors, &mut self.direction, &mut self.square, &mut self.image)
    }
}

impl Buffers {
    /// Replaces both atoms and the coefficients of the users; false, and nothing changed, where the users leave nothing.
    fn renew(
        &mut self,
        users: &[(usize, usize)],
        coded: &Coded,
        coarse_atom: &mut [f64],
        fine_atom: &mut [f64],
        path: Path,
    ) -> bool {
        let n = coarse_atom.len();
        let Buffers { weights, fine, coarse } = self;
        let (found, fine_found) = rayon::join(
            || coarse.renew(users, weights, &coded.coarse, coarse_atom, path),
            || fine.renew(users, weights, &coded.fine, fine_atom, path),
        );
        if !found {
            return false;
        }
        if !fine_found {
            fine.direction.fill(0.0);
        }
        let mut agreement = 0.0;
        for (u, weight) in weights.iter_mut().enumerate() {
            let row = u * n..(u + 1) * n;
            *weight = dot(&coarse.errors[row.clone()], &coarse.direction);
            agreement += *weight * dot(&fine.errors[row], &fine.direction);
        }
        if agreement < 0.0 {
            fine.direction.iter_mut().for_each(|v| *v = -*v);
        }
        coarse_atom.copy_from_slice(&coarse.direction);
        fine_atom.copy_from_slice(&fine.direction);
        true
    }
}

/// Power iterations after which a direction is taken as it is.
const MAX_POWER: usize = 200;

/// A direction has converged when it moves by less than this (squared).
const POWER_TOLERANCE: f64 = 1e-18;

/// Turns `direction` into the right singular vector of the largest singular value of `rows`, by power iteration from where it
/// is, so that its sign stays; false, and any direction, where all rows are zero.
fn largest_direction(path: Path, rows: &[f64], direction: &mut [f64], square: &mut Vec<f64>, image: &mut Vec<f64>) -> bool {
    widened(
        path,
        #[inline(always)]
        || power_iteration(rows, direction, square, image),
    )
}

#[inline(always)]
fn power_iteration(rows: &[f64], direction: &mut [f64], square: &mut Vec<f64>, image: &mut Vec<f64>) -> bool {
    let n = direction.len();
    square.clear();
    square.resize(n * n, 0.0);
    for row in rows.chunks_exact(n) {
        for (i, &v) in row.iter().enumerate() {
            add_scaled(&mut square[i * n..(i + 1) * n], v, row);
        }
    }
    let multiply = |direction: &[f64], image: &mut Vec<f64>| {
        image.clear();
        image.resize(n, 0.0);
        for (line, &v) in square.chunks_exact(n).zip(direction) {
            add_scaled(image, v, line);
        }
        normalise(image)
    };
    if multiply(direction, image) <= 0.0 {
        // the rows are orthogonal to the start; the pixel that varies most is not orthogonal to them
        let widest = (0..n).fold(0, |best, i| if square[i * n + i] > square[best * n + best] { i } else { best });
        if square[widest * n + widest] <= 0.0 {
            return false;
        }
        direction.copy_from_slice(&square[widest * n..(widest + 1) * n]);
        normalise(direction);
    }
    for _ in 0..MAX_POWER {
        multiply(direction, image);
        let moved: f64 = direction.iter().zip(image.iter()).map(|(a, b)| (a - b) * (a - b)).sum();
        direction.copy_from_slice(image);
        if moved <= POWER_TOLERANCE {
            break;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spstfm::reference;
    use crate::spstfm::sparse_code::Debias;

    const HOW: Training = Training {
        rule: Rule { sparsity: 0.1, debias: Debias::Off },
        min_iterations: 3,
        max_iterations: 6,
        path: Path::Baseline,
    };

    fn samples() -> impl Strategy<Value = Samples> {
        (2usize..7, 3usize..30, prop::collection::vec(-1.0f64..1.0, 7 * 30 * 2)).prop_map(|(pixels, count, values)| {
            let (fine, coarse) = values[..2 * pixels * count].split_at(pixels * count);
            Samples { pixels, fine: fine.to_vec(), coarse: coarse.to_vec() }
        })
    }

    fn run(samples: &Samples, atoms: usize, how: &Training) -> Trained {
        train(DictionaryPair::from_samples(samples, atoms), samples, how, &Cancel::new(), &|_| {}).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn power_iteration_finds_the_largest_direction(
            pixels in 2usize..8, strength in 3.0f64..9.0, noise in prop::collection::vec(-0.3f64..0.3, 8 * 12),
        ) {
            // one direction dominates, so that both converge
            let rows: Vec<f64> = noise.chunks_exact(8).take(12).enumerate().flat_map(|(i, line)| {
                let along = strength * (0.5 + (i % 3) as f64);
                (0..pixels).map(move |p| line[p] + along * if p % 2 == 0 { 1.0 } else { -0.5 })
            }).collect();
            let mut start = vec![0.0; pixels];
            start[0] = -1.0;
            prop_assert!(largest_direction(Path::widest(), &rows, &mut start, &mut Vec::new(), &mut Vec::new()));
            prop_assert!(start[0] < 0.0, "the sign of the start stays");
            let expected = reference::largest_direction(&rows.chunks_exact(pixels).map(<[f64]>::to_vec).collect::<Vec<_>>()).unwrap();
            prop_assert!((dot(&start, &expected).abs() - 1.0).abs() < 1e-9);
        }

        #[test]
        fn an_update_never_raises_the_coarse_residual(samples in samples(), atoms in 1usize..6) {
            let mut pair = DictionaryPair::from_samples(&samples, atoms);
            let cancel = Cancel::new();
            let mut coded = code_all(&pair, &samples, &HOW, &cancel).unwrap();
            let before = dot(&coded.coarse, &coded.coarse);
            update(&mut pair, &mut coded, HOW.path, &cancel).unwrap();
            prop_assert!(dot(&coded.coarse, &coded.coarse) <= before * (1.0 + 1e-9));
            for (i, code) in coded.codes.iter().enumerate() {
                let at = i * samples.pixels..(i + 1) * samples.pixels;
                let mut left = samples.coarse[at.clone()].to_vec();
                for (&k, &a) in code.atoms.iter().zip(&code.values) {
                    add_scaled(&mut left, -a, &pair.coarse[k * samples.pixels..(k + 1) * samples.pixels]);
                }
                prop_assert!(left.iter().zip(&coded.coarse[at]).all(|(a, b)| (a - b).abs() < 1e-9), "residuals are kept up to date");
            }
            for atom in pair.coarse.chunks_exact(samples.pixels) {
                prop_assert!((dot(atom, atom) - 1.0).abs() < 1e-9, "atoms have unit length");
            }
        }

        #[test]
        fn training_is_never_worse_than_its_start(samples in samples(), atoms in 1usize..6) {
            let none = run(&samples, atoms, &Training { min_iterations: 0, max_iterations: 0, ..HOW });
            let trained = run(&samples, atoms, &HOW);
            prop_assert!(trained.error <= none.error);
            prop_assert!(trained.iterations >= HOW.min_iterations && trained.iterations <= HOW.max_iterations);
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let values: Vec<f64> = (0..2 * 4 * 300).map(|i| ((i * 7919 % 1009) as f64 / 1009.0) - 0.5).collect();
        let (fine, coarse) = values.split_at(4 * 300);
        let samples = Samples { pixels: 4, fine: fine.to_vec(), coarse: coarse.to_vec() };
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&samples, 20, &HOW))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn rows_orthogonal_to_the_start_are_found_all_the_same() {
        let mut direction = vec![1.0, 0.0];
        assert!(largest_direction(Path::widest(), &[0.0, 2.0, 0.0, -1.0], &mut direction, &mut Vec::new(), &mut Vec::new()));
        assert_eq!(direction, [0.0, 1.0]);
        assert!(!largest_direction(Path::widest(), &[0.0; 4], &mut direction, &mut Vec::new(), &mut Vec::new()));
    }
}
