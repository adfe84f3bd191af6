//! The real host code over the mock driver of `tests/cuda`.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use stfusion_core::device::{Arg, Buffer, Device, Kernel, Launch, Queue};
use stfusion_core::{Error, ErrorKind};
use stfusion_gpu::modules::{KernelFacts, Module, Target};
use stfusion_gpu::{discover_with, Discovery, Missing};
use stfusion_mock_cuda::install;

const PTX: &str = "
.version 8.0
.target sm_75
.address_size 64
.visible .entry mock_scale(
    .param .u64 mock_scale_param_0,
    .param .u32 mock_scale_param_1,
    .param .f32 mock_scale_param_2
)
{ ret; }
.visible .entry mock_line(
    .param .u64 mock_line_param_0,
    .param .u64 mock_line_param_1,
    .param .align 8 .b8 mock_line_param_2[16]
)
{ ret; }
";

static MODULES: &[Module] = &[Module {
    name: "tests/mock",
    ptx: &[(Target::Compute75, PTX)],
    kernels: &[
        KernelFacts { name: "mock_scale", parameter_bytes: &[8, 4, 4], shared_bytes: 1024 },
        KernelFacts { name: "mock_line", parameter_bytes: &[8, 8, 16], shared_bytes: 0 },
    ],
}];

const SCALE: Kernel = Kernel { module: "tests/mock", function: "mock_scale" };
const LINE: Kernel = Kernel { module: "tests/mock", function: "mock_line" };

fn devices() -> Vec<Arc<dyn Device>> {
    match discover_with(MODULES) {
        Discovery::Devices(devices) => devices,
        Discovery::None(missing) => panic!("{missing}"),
    }
}

fn missing() -> Missing {
    match discover_with(MODULES) {
        Discovery::Devices(devices) => panic!("{} devices", devices.len()),
        Discovery::None(missing) => missing,
    }
}

fn threads(count: usize) -> Launch {
    Launch { blocks: [count.div_ceil(64) as u32, 1, 1], threads: [64, 1, 1], shared_bytes: 0 }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

fn read(queue: &mut dyn Queue, from: &Buffer, count: usize) -> Vec<f32> {
    let mut out = vec![0u8; 4 * count];
    queue.read(from, 0, &mut out).unwrap();
    out.chunks(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect()
}

fn scale(queue: &mut dyn Queue, data: &Buffer, count: usize, factor: f32) -> Result<(), Error> {
    queue.launch(SCALE, threads(count), &[Arg::Buffer(data), Arg::Int(count as i32), Arg::Float(factor)])
}

fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32).collect()
}

#[test]
fn a_machine_without_a_gpu_is_told_why() {
    let mock = install("devices=0");
    assert_eq!(missing(), Missing::Device);
    mock.set("devices=1 version=11080");
    assert_eq!(missing(), Missing::NewDriver((11, 8)));
    assert_eq!(missing().to_string(), "NVIDIA's driver is too old: it knows CUDA 11.8, and 12.0 is needed");
    assert!(missing().remedy().contains("525"));
    mock.set("version=12000 init=803");
    let text = missing().to_string();
    assert!(text.contains("does not start") && text.contains("unsupported display driver"), "{text}");
    mock.set("init=0");
    assert_eq!(devices().len(), 1);
}

#[test]
fn devices_present_themselves() {
    let _mock = install("devices=2 name=NVIDIA+H100+80GB memory=85899345920 capability=90 shared=232448 version=12040");
    let devices = devices();
    let info = devices[1].info();
    assert_eq!(info.to_string(), "cuda:1 NVIDIA H100 80GB");
    assert_eq!((info.compute_capability, info.memory_bytes, info.driver), ((9, 0), 80 << 30, (12, 4)));
    assert_eq!((info.multiprocessors, info.shared_bytes_per_block), (4, 232_448));
}

#[test]
fn a_device_that_is_too_old_is_listed_and_refuses_work() {
    let mock = install("capability=70");
    let devices = devices();
    assert!(stfusion_gpu::too_old(devices[0].info()).unwrap().contains("capability 7.0, and 7.5 is needed"));
    let Err(error) = devices[0].queue() else { panic!("it gave a queue") };
    assert_eq!(error.kind(), ErrorKind::Device);
    assert_eq!(mock.count("contexts"), 0);
}

#[test]
fn copies_and_kernels_run_in_their_order() {
    let mock = install("");
    for deferred in ["deferred=0", "deferred=1"] {
        mock.set(deferred);
        let device = &devices()[0];
        let mut queue = device.queue().unwrap();
        // several pieces of pinned memory, the last not full
        let count = (9 << 20) / 4 + 5;
        let buffer = queue.buffer(4 * count).unwrap();
        let mut values = bytes(&ramp(count));
        queue.write(&buffer, 0, &values).unwrap();
        // what was written may change at once
        values.fill(0);
        scale(queue.as_mut(), &buffer, count, 2.0).unwrap();
        queue.write(&buffer, 4, &bytes(&[-7.0])).unwrap();
        scale(queue.as_mut(), &buffer, 3, 10.0).unwrap();
        let out = read(queue.as_mut(), &buffer, count);
        assert_eq!(out[..5], [0.0, -70.0, 40.0, 6.0, 8.0]);
        assert!((3..count).all(|i| out[i] == 2.0 * i as f32));
        queue.fill(&buffer, 0).unwrap();
        assert_eq!(read(queue.as_mut(), &buffer, 3), [0.0; 3]);
    }
}

#[test]
fn null_pointers_and_structures_reach_the_kernel() {
    let _mock = install("deferred=1");
    let mut queue = devices()[0].queue().unwrap();
    let (a, b) = (queue.buffer(400).unwrap(), queue.buffer(400).unwrap());
    let line = |slope: f32, offset: f32| {
        let mut line = bytes(&[slope, offset]);
        line.extend(100i64.to_ne_bytes());
        line
    };
    queue.launch(LINE, threads(100), &[Arg::NoBuffer, Arg::Buffer(&a), Arg::Bytes(&line(0.5, 1.0))]).unwrap();
    queue.launch(LINE, threads(100), &[Arg::Buffer(&a), Arg::Buffer(&b), Arg::Bytes(&line(2.0, 0.0))]).unwrap();
    queue.wait().unwrap();
    let out = read(queue.as_mut(), &b, 100);
    assert!((0..100).all(|i| out[i] == i as f32 + 2.0), "{out:?}");
}

#[test]
fn buffers_come_from_the_pool_again_and_go_with_their_queue() {
    let mock = install("");
    let device = devices().remove(0);
    let mut queue = device.queue().unwrap();
    let first = queue.buffer(100_000).unwrap();
    let address = first.address();
    drop(first);
    let second = queue.buffer(101_000).unwrap();
    assert_eq!((second.address(), mock.count("allocations")), (address, 1));
    let third = queue.buffer(100_000).unwrap();
    assert_ne!(third.address(), address);
    // a buffer may outlive its queue
    drop((second, queue));
    assert_eq!((mock.count("live_blocks"), mock.count("streams"), mock.count("pinned_blocks")), (1, 0, 0));
    drop(third);
    assert_eq!((mock.count("live_blocks"), mock.count("live_bytes")), (0, 0));
    assert_eq!(mock.count("contexts"), 1);
    drop(device);
    assert_eq!(mock.count("contexts"), 0);
}

#[test]
fn what_lies_in_the_pool_makes_room_before_memory_is_missing() {
    let mock = install("memory=1048576");
    let device = &devices()[0];
    let (mut one, mut other) = (device.queue().unwrap(), device.queue().unwrap());
    drop(one.buffer(600_000).unwrap());
    assert!(mock.count("live_bytes") > 600_000);
    assert!(device.free_bytes().unwrap() < 450_000);
    let kept = other.buffer(700_000).unwrap();
    assert_eq!((mock.count("allocations"), mock.count("frees")), (3, 1));

    let error = one.buffer(600_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    assert_eq!(error.message(), "cuda:0 Mock GPU has no memory left for 1 MiB: 0 MiB of 1 MiB are free");
    drop(kept);
    // memory that is missing does not lose the device
    assert!(one.buffer(600_000).is_ok());
}

#[test]
fn an_allocation_that_fails_once_is_tried_again() {
    let mock = install("fail_alloc=1");
    let mut queue = devices()[0].queue().unwrap();
    assert!(queue.buffer(1000).is_ok());
    assert_eq!(mock.count("allocations"), 2);
}

#[test]
fn a_lost_device_says_so_whatever_is_asked_of_it() {
    let mock = install("devices=2 lose=2");
    for deferred in ["deferred=0", "deferred=1"] {
        mock.set("reset");
        mock.set(&format!("devices=2 lose=2 {deferred}"));
        let devices = devices();
        let mut queue = devices[0].queue().unwrap();
        let mut second = devices[0].queue().unwrap();
        let buffer = queue.buffer(4000).unwrap();
        queue.write(&buffer, 0, &bytes(&ramp(1000))).unwrap();
        scale(queue.as_mut(), &buffer, 1000, 2.0).unwrap();
        let failed = scale(queue.as_mut(), &buffer, 1000, 2.0).and_then(|()| queue.wait()).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Device);
        let text = failed.message();
        assert!(text.starts_with("cuda:0 Mock GPU is lost: an illegal memory access was encountered"), "{text}");
        assert!(text.contains("after kernel tests/mock:mock_scale was launched"), "{text}");
        let later = [
            queue.wait(),
            queue.write(&buffer, 0, &[0]),
            queue.read(&buffer, 0, &mut [0]),
            queue.fill(&buffer, 0),
            second.buffer(10).map(drop),
            scale(second.as_mut(), &buffer, 1000, 2.0),
            devices[0].free_bytes().map(drop),
            devices[0].queue().map(drop),
        ];
        later.into_iter().for_each(|outcome| assert_eq!(outcome.unwrap_err(), failed));
        // the other one works
        let mut other = devices[1].queue().unwrap();
        assert!(other.buffer(10).is_ok());
    }
}

#[test]
fn kernels_are_compiled_once_for_all_queues() {
    let mock = install("");
    let device = &devices()[0];
    let (mut one, mut other) = (device.queue().unwrap(), device.queue().unwrap());
    for queue in [&mut one, &mut other] {
        let buffer = queue.buffer(400).unwrap();
        scale(queue.as_mut(), &buffer, 100, 2.0).unwrap();
        queue.wait().unwrap();
    }
    assert_eq!((mock.count("module_loads"), mock.count("launches")), (1, 2));
}

#[test]
fn what_the_compiler_of_the_driver_says_is_passed_on() {
    let _mock = install("jit=1");
    let mut queue = devices()[0].queue().unwrap();
    let buffer = queue.buffer(400).unwrap();
    let error = scale(queue.as_mut(), &buffer, 100, 2.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    let text = error.message();
    assert!(text.contains("cuda:0 Mock GPU cannot compile tests/mock: a PTX JIT compilation failed"), "{text}");
    assert!(text.contains("line 9; fatal"), "{text}");
    assert!(error.hint().unwrap().contains("driver"));
}

#[test]
fn arguments_that_do_not_fit_the_kernel_are_refused() {
    let mock = install("shared=65536");
    let mut queue = devices()[0].queue().unwrap();
    let data = queue.buffer(400).unwrap();
    let mut refused = |kernel: Kernel, launch: Launch, arguments: &[Arg<'_>], words: &str| {
        let error = queue.launch(kernel, launch, arguments).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains(words), "{error}");
    };
    let good = [Arg::Buffer(&data), Arg::Int(100), Arg::Float(2.0)];
    refused(SCALE, threads(100), &good[..2], "has 3 parameters and was given 2 arguments");
    refused(SCALE, threads(100), &[good[0], Arg::Long(100), good[2]], "was given 8 bytes as argument 2, which has 4");
    refused(LINE, threads(100), &[good[0], good[0], Arg::Bytes(&[0; 12])], "12 bytes as argument 3, which has 16");
    refused(SCALE, Launch { blocks: [0, 1, 1], ..threads(1) }, &good, "without threads");
    // 1024 bytes are the kernel's own
    refused(SCALE, Launch { shared_bytes: 65_000, ..threads(100) }, &good, "asks for 66024 bytes of shared memory");
    refused(Kernel { module: "tests/other", ..SCALE }, threads(100), &good, "no module tests/other");
    refused(Kernel { function: "mock_other", ..SCALE }, threads(100), &good, "no kernel mock_other");
    assert_eq!(mock.count("launches"), 0);
    // more than 48 KiB must be allowed to a kernel before it is launched
    queue.launch(SCALE, Launch { shared_bytes: 64_000, ..threads(100) }, &good).unwrap();
}

#[test]
fn kernels_are_timed_by_the_clock_of_the_device() {
    let mock = install("deferred=1");
    let devices = devices();
    let limits = devices[0].limits().unwrap();
    assert_eq!((limits.clock_hz, limits.issues_per_second, limits.memory_bytes_per_second), (1e9, 16e9, 128e9));
    let mut queue = devices[0].queue().unwrap();
    let buffer = queue.buffer(400).unwrap();
    queue.write(&buffer, 0, &bytes(&[1.0; 100])).unwrap();
    let arguments = [Arg::Buffer(&buffer), Arg::Int(100), Arg::Float(3.0)];
    let seconds = queue.timed_launch(SCALE, threads(100), &arguments).unwrap();
    assert!(seconds > 0.0, "{seconds}");
    assert_eq!(mock.count("launches"), 1, "a timed kernel has run when the call returns");
    assert_eq!(read(queue.as_mut(), &buffer, 100), vec![3.0; 100]);
}

#[test]
fn ranges_outside_of_a_buffer_are_refused() {
    let mock = install("");
    let mut queue = devices()[0].queue().unwrap();
    let buffer = queue.buffer(100).unwrap();
    assert!(queue.write(&buffer, 98, &[0; 3]).unwrap_err().message().contains("3 bytes were written at 98 of a buffer of 100"));
    assert!(queue.read(&buffer, usize::MAX, &mut [0; 3]).unwrap_err().message().contains("of a buffer of 100"));
    assert_eq!(mock.count("copies"), 0);
}

#[test]
fn several_threads_work_on_two_devices() {
    let mock = install("devices=2 deferred=1");
    let devices = devices();
    std::thread::scope(|scope| {
        for worker in 0..6usize {
            let device = &devices[worker % 2];
            scope.spawn(move || {
                let mut queue = device.queue().unwrap();
                for round in 0..20usize {
                    let count = 1000 + 37 * round;
                    let buffer = queue.buffer(4 * count).unwrap();
                    queue.write(&buffer, 0, &bytes(&vec![1.0; count])).unwrap();
                    scale(queue.as_mut(), &buffer, count, worker as f32 + 1.0).unwrap();
                    assert_eq!(read(queue.as_mut(), &buffer, count), vec![worker as f32 + 1.0; count]);
                }
            });
        }
    });
    assert_eq!((mock.count("module_loads"), mock.count("launches")), (2, 120));
    assert_eq!((mock.count("live_blocks"), mock.count("streams"), mock.count("pinned_blocks")), (0, 0, 0));
}
