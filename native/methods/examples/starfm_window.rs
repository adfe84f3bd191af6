//! Speed of the window loop.
use std::time::Instant;
use stfusion_core::Cancel;
use stfusion_methods::blocks::aligned::Aligned;
use stfusion_methods::blocks::simd::{peak, Path};
use stfusion_methods::starfm::window::*;
fn al<T: Copy>(v: &[T]) -> Aligned<T> {
    let mut a = Aligned::new();
    if let Some(&x) = v.first() {
        a.set_len(v.len(), x);
        a.copy_from_slice(v);
    }
    a
}
fn main() {
    let half: usize = std::env::args().nth(1).map_or(25, |a| a.parse().unwrap());
    let rows = 12;
    let side = 2 * half + 1;
    let mut h = 12345u32;
    let mut rnd = move || {
        h = h.wrapping_mul(1664525).wrapping_add(1013904223);
        (h >> 8) as f32 / (1 << 24) as f32
    };
    for path in Path::ALL {
        if !path.is_available() {
            continue;
        }
        let lanes = lanes(*path);
        let cols: usize = std::env::args().nth(2).map_or(512, |a| a.parse().unwrap());
        let span_out = cols / lanes;
        let span = span_out + 2 * half;
        let n = (rows + 2 * half) * span * lanes;
        let mut data = vec![0i32; PLANES * n];
        for r in 0..rows + 2 * half {
            for c in 0..span * lanes {
                let f = rnd();
                let s = rnd();
                let t = rnd();
                let at = ((r * span + c / lanes) * PLANES) * lanes + c % lanes;
                data[at] = key(f);
                for (p, v) in
                    [s, t, 1.0 / ((1.0 + s * 100.0) * (1.0 + t * 100.0)), if rnd() < 0.02 { 1.0 } else { 0.0f32 }, f + s]
                        .into_iter()
                        .enumerate()
                {
                    data[at + (p + 1) * lanes] = v.to_bits() as i32;
                }
            }
        }
        let layer = rows * span_out * lanes;
        let (mut low, mut least) = (vec![0; layer], vec![0; layer]);
        for i in 0..layer {
            (low[i], least[i]) = key_range(rnd(), 0.05);
        }
        let samples = Samples { span, planes: PLANES, rows: 0..rows + 2 * half, data: al(&data) };
        let mut gf = 0.0f64;
        let mut x = 0.0;
        for _ in 0..60 {
            let t0 = Instant::now();
            let (ops, y) = peak::multiply_add(*path, 300_000);
            x = y;
            gf = gf.max(ops / t0.elapsed().as_secs_f64() / 1e9);
        }
        for (strict, count) in [(false, false), (true, false), (false, true)] {
            let mut out = Outputs {
                rows,
                span: span_out,
                low: al(&low),
                least: al(&least),
                bound_s: al(&vec![0.5; layer]),
                bound_t: al(&vec![0.5; layer]),
                weight: al(&vec![0.0; layer]),
                value: al(&vec![0.0; layer]),
                count: al(&vec![0.0; layer]),
            };
            let tests = Tests {
                half,
                strict,
                count,
                inverse_distance: (0..side * side)
                    .map(|i| {
                        let (y, x) = ((i / side) as f32 - half as f32, (i % side) as f32 - half as f32);
                        1.0 / (1.0 + (x * x + y * y).sqrt() / 25.5)
                    })
                    .collect(),
            };
            let cancel = Cancel::new();
            let mut best = f64::MAX;
            let mut ratios = Vec::new();
            let peak_now = || {
                let t0 = Instant::now();
                let (ops, y) = peak::multiply_add(*path, 100_000);
                std::hint::black_box(y);
                ops / t0.elapsed().as_secs_f64() / 1e9
            };
            for _ in 0..if *path == Path::Baseline { 20 } else { 150 } {
                let p0 = peak_now();
                let t0 = Instant::now();
                add_pair(*path, &samples, &tests, &mut out, &cancel).unwrap();
                let t = t0.elapsed().as_secs_f64();
                let p1 = peak_now();
                best = best.min(t);
                ratios.push(t * 1e9 / (layer * side * side) as f64 * (p0 + p1) / 200.0);
            }
            ratios.sort_by(f64::total_cmp);
            let ns = best * 1e9 / (layer * side * side) as f64;
            println!("{path} strict={strict} count={count}: best {ns:.4} ns/sample, peak {gf:.1} GF ({x}), at 100 GF: {:.4}, quartiles of simultaneous {:.4} {:.4} {:.4}", ns * gf / 100.0, ratios[ratios.len() / 4], ratios[ratios.len() / 2], ratios[ratios.len() * 3 / 4]);
        }
    }
}
