//! The shim sees what it is there to see.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its problem has failed")]

use std::process::Command;

use stfusion_core::device::{Arg, Device, Kernel, Launch, Queue};
use stfusion_cuda_on_cpu::{device, sanitized, Order};

fn probe(function: &'static str) -> Kernel {
    Kernel { module: "probes", function }
}

fn launch(blocks: u32, threads: u32, shared_bytes: usize) -> Launch {
    Launch { blocks: [blocks, 1, 1], threads: [threads, 1, 1], shared_bytes }
}

fn ints(queue: &mut dyn Queue, kernel: &'static str, launch: Launch, count: usize) -> Vec<i32> {
    let to = queue.buffer(4 * count).unwrap();
    let next = queue.buffer(4).unwrap();
    queue.fill(&next, 0).unwrap();
    queue.launch(probe(kernel), launch, &[Arg::Buffer(&next), Arg::Buffer(&to)]).unwrap();
    let mut bytes = vec![0; 4 * count];
    queue.read(&to, 0, &mut bytes).unwrap();
    bytes.chunks_exact(4).map(|b| i32::from_ne_bytes(b.try_into().unwrap())).collect()
}

/// What `probe_shared` gives with a thread left out.
fn neighbours(device: &dyn Device, left_out: i32) -> Vec<f32> {
    let mut queue = device.queue().unwrap();
    let to = queue.buffer(2 * 40 * 4).unwrap();
    queue.launch(probe("probe_shared"), launch(2, 40, 160), &[Arg::Buffer(&to), Arg::Int(left_out)]).unwrap();
    let mut bytes = vec![0; 2 * 40 * 4];
    queue.read(&to, 0, &mut bytes).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn threads_meet_at_barriers_and_run_in_either_order() {
    for order in [Order::Forward, Order::Reversed] {
        let device = device(order);
        let expected: Vec<f32> = (0..80).map(|i| ((i % 40 + 1) % 40) as f32 * 101.0).collect();
        assert_eq!(neighbours(device.as_ref(), -1), expected);
        let mut seen = ints(device.queue().unwrap().as_mut(), "probe_order", launch(2, 3, 0), 6);
        if order == Order::Reversed {
            seen.reverse();
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn shared_memory_that_nobody_wrote_is_nan_in_every_block() {
    let values = neighbours(device(Order::Forward).as_ref(), 7);
    let nan: Vec<usize> = values.iter().enumerate().filter(|(_, v)| v.is_nan()).map(|(i, _)| i).collect();
    assert_eq!(nan, [6, 46]);
}

#[test]
fn fresh_memory_is_nan() {
    let device = device(Order::Forward);
    let mut queue = device.queue().unwrap();
    let buffer = queue.buffer(4).unwrap();
    let mut bytes = [0; 4];
    queue.read(&buffer, 0, &mut bytes).unwrap();
    assert!(f32::from_ne_bytes(bytes).is_nan());
}

#[test]
fn warps_shuffle_and_vote() {
    for order in [Order::Forward, Order::Reversed] {
        let device = device(order);
        let mut queue = device.queue().unwrap();
        let (sums, votes) = (queue.buffer(64 * 4).unwrap(), queue.buffer(64 * 4).unwrap());
        queue.launch(probe("probe_warp"), launch(1, 64, 0), &[Arg::Buffer(&sums), Arg::Buffer(&votes)]).unwrap();
        let mut words = |buffer| {
            let mut bytes = vec![0; 64 * 4];
            queue.read(buffer, 0, &mut bytes).unwrap();
            bytes.chunks_exact(4).map(|b| u32::from_ne_bytes(b.try_into().unwrap())).collect::<Vec<_>>()
        };
        let expected: Vec<u32> = (0..64).map(|i| if i < 32 { 31 * 16 } else { 31 * 16 + 32 * 32 }).collect();
        assert_eq!(words(&sums), expected);
        assert_eq!(words(&votes), [0xaaaa_aaaa; 64]);
    }
}

#[test]
fn arguments_of_every_kind_arrive_and_are_checked() {
    #[repr(C)]
    struct Parameters {
        wide: f64,
        whole: i32,
        rest: i32,
    }
    let p = Parameters { wide: 0.1, whole: -7, rest: 0 };
    let mut bytes = p.wide.to_ne_bytes().to_vec();
    bytes.extend(p.whole.to_ne_bytes());
    bytes.extend(p.rest.to_ne_bytes());
    let mut devices = vec![device(Order::Forward)];
    devices.extend(sanitized(Order::Forward).unwrap());
    for device in devices {
        let mut queue = device.queue().unwrap();
        let to = queue.buffer(32).unwrap();
        let arguments = [Arg::Buffer(&to), Arg::Bytes(&bytes), Arg::Long(1 << 40), Arg::Float(0.5)];
        queue.launch(probe("probe_parameters"), launch(1, 32, 0), &arguments).unwrap();
        let mut got = [0; 32];
        queue.read(&to, 0, &mut got).unwrap();
        let got: Vec<f64> = got.chunks_exact(8).map(|b| f64::from_ne_bytes(b.try_into().unwrap())).collect();
        assert_eq!(got, [0.1, -7.0, (1u64 << 40) as f64, 0.5]);

        let error = queue.launch(probe("probe_parameters"), launch(1, 32, 0), &arguments[..3]).unwrap_err();
        assert_eq!(error.message(), "kernel probe_parameters takes arguments of [8, 16, 8, 4] bytes, not [8, 16, 8]");
        let error = queue.launch(probe("probe_nothing"), launch(1, 32, 0), &[]).unwrap_err();
        assert_eq!(error.message(), "no kernel probe_nothing in probes");
        let error = queue.launch(probe("probe_shared_overrun"), launch(1, 2048, 0), &[Arg::Int(0)]).unwrap_err();
        assert!(error.message().starts_with("kernel probe_shared_overrun cannot be launched as"), "{}", error.message());
    }
}

/// Runs the test `name` of this file alone in a process of its own, where it does wrong, and returns what the process wrote on
/// standard error.
fn ended(name: &str) -> String {
    let output =
        Command::new(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture", "--ignored"]).output().unwrap();
    assert!(!output.status.success(), "{name} was not seen");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
#[ignore = "ends its process; run by the test beside it"]
fn wrong_divergent_barrier() {
    let device = device(Order::Forward);
    let mut queue = device.queue().unwrap();
    let to = queue.buffer(256).unwrap();
    let _ = queue.launch(probe("probe_divergence"), launch(1, 64, 0), &[Arg::Buffer(&to)]);
}

#[test]
#[ignore = "ends its process; run by the test beside it"]
fn wrong_shared_overrun() {
    let device = device(Order::Forward);
    let _ = device.queue().unwrap().launch(probe("probe_shared_overrun"), launch(3, 64, 16), &[Arg::Int(16)]);
}

#[test]
fn wrongs_end_the_process_with_kernel_and_block() {
    let text = ended("wrong_divergent_barrier");
    let expected = "kernel probe_divergence, block (0, 0, 0): some threads ended while others wait at a barrier at line";
    assert!(text.contains(expected), "{text}");
    let text = ended("wrong_shared_overrun");
    assert!(text.contains("kernel probe_shared_overrun, block (0, 0, 0): written behind its shared memory"), "{text}");
}

#[test]
fn a_write_behind_a_buffer_is_seen() {
    let outcome = std::panic::catch_unwind(|| {
        let device = device(Order::Forward);
        let mut queue = device.queue().unwrap();
        let to = queue.buffer(400).unwrap();
        queue.launch(probe("probe_write"), launch(2, 64, 0), &[Arg::Buffer(&to), Arg::Int(100), Arg::Int(1)]).unwrap();
    });
    let text = outcome.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*text, "a kernel wrote outside a buffer of 400 bytes");
}

#[test]
fn the_sanitizer_names_the_line_that_leaves_its_memory() {
    let Some(device) = sanitized(Order::Forward).unwrap() else {
        println!("SKIP sanitizer: the C++ compiler has none");
        return;
    };
    let mut queue = device.queue().unwrap();
    let to = queue.buffer(400).unwrap();
    let arguments = |beyond| [Arg::Buffer(&to), Arg::Int(100), Arg::Int(beyond)];
    queue.launch(probe("probe_write"), launch(2, 64, 0), &arguments(0)).unwrap();
    let error = queue.launch(probe("probe_write"), launch(2, 64, 0), &arguments(1)).unwrap_err();
    assert!(error.message().contains("heap-buffer-overflow") && error.message().contains("probes.cu:"), "{}", error.message());
    assert!(queue.fill(&to, 0).is_err(), "a lost device answers");

    let device = sanitized(Order::Forward).unwrap().unwrap();
    let error = device.queue().unwrap().launch(probe("probe_shared_overrun"), launch(1, 32, 16), &[Arg::Int(16)]).unwrap_err();
    assert!(error.message().contains("heap-buffer-overflow"), "{}", error.message());
}
