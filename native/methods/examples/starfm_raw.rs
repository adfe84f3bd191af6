//! raw driver: out bands rows cols target [fine coarse]... -- id=value...
use ndarray::Array3;
use stfusion_core::memory::{MemoryPair, MemoryScene};
use stfusion_methods::{by_id, cases};
fn read(p: &str, d: (usize, usize, usize)) -> Array3<f32> {
    let b = std::fs::read(p).unwrap();
    Array3::from_shape_vec(d, b.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()).unwrap()
}
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let split = a.iter().position(|s| s == "--").unwrap_or(a.len());
    let (files, settings) = (&a[..split], a.get(split + 1..).unwrap_or(&[]));
    let n = |i: usize| files[i].parse::<usize>().unwrap();
    let d = (n(1), n(2), n(3));
    let target = read(&files[4], d);
    let images: Vec<_> = files[5..].iter().map(|f| read(f, d)).collect();
    let pairs =
        images.chunks(2).map(|p| MemoryPair { date: None, fine: p[0].view(), coarse: p[1].view(), classes: None }).collect();
    let scene = MemoryScene::new(pairs, None, target.view(), None).unwrap();
    let mut id = "starfm";
    let mut set: Vec<(&str, &str)> = vec![];
    for s in settings {
        let (k, v) = s.split_once('=').unwrap();
        if k == "method" {
            id = v
        } else {
            set.push((k, v))
        }
    }
    let method = by_id(id).unwrap();
    let values = cases::values_of(method, &set).unwrap();
    let t0 = std::time::Instant::now();
    let out = cases::predict_scene(method, &values, &scene, (512, 1024), false).unwrap();
    eprintln!("{:.3} s", t0.elapsed().as_secs_f64());
    std::fs::write(&files[0], out.image.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
}
