//! A device in another process; `server.cpp` tells the protocol.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use stfusion_core::device::{Home, Launch};
use stfusion_core::Result;

use crate::fault;

/// The process. Every request is answered before the next.
#[derive(Debug)]
pub struct Server {
    talk: Mutex<Talk>,
}

#[derive(Debug)]
struct Talk {
    child: Child,
    to: Option<ChildStdin>,
    from: ChildStdout,
}

impl Server {
    /// Starts `program`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &str) -> Result<Server> {
        let failed = |e: std::io::Error| fault(format!("{program} does not start: {e}"));
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // fibers have their own stacks; what is not given back when the process ends is no fault of a kernel
            .env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0:max_malloc_fill_size=0")
            .spawn()
            .map_err(failed)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(fault(format!("{program} has no streams")));
        };
        Ok(Server { talk: Mutex::new(Talk { child, to: Some(to), from }) })
    }

    /// Sends `request` and waits for `answer` bytes.
    fn ask(&self, request: &[u8], answer: &mut [u8]) -> Result<()> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(to) = &mut talk.to else { return Err(fault("the device was lost")) };
        let sent = to.write_all(request).and_then(|()| to.flush());
        if sent.and_then(|()| talk.from.read_exact(answer)).is_ok() {
            return Ok(());
        }
        // the process has ended; what it said last is the report
        talk.to = None;
        let mut report = Vec::new();
        if let Some(stream) = &mut talk.child.stderr {
            let _ = stream.read_to_end(&mut report);
        }
        let _ = talk.child.wait();
        Err(fault(String::from_utf8_lossy(&report).into_owned()))
    }

    /// Address of new memory.
    pub fn take(&self, bytes: usize) -> Result<u64> {
        let mut address = [0; 8];
        self.ask(&request(b'a', &[bytes as u64], &[]), &mut address)?;
        Ok(u64::from_ne_bytes(address))
    }

    /// Writes to memory.
    pub fn write(&self, address: u64, at: usize, from: &[u8]) -> Result<()> {
        self.ask(&request(b'w', &[address, at as u64, from.len() as u64], from), &mut [])
    }

    /// Reads from memory.
    pub fn read(&self, address: u64, at: usize, to: &mut [u8]) -> Result<()> {
        self.ask(&request(b'r', &[address, at as u64, to.len() as u64], &[]), to)
    }

    /// Runs a kernel and returns the shim's status.
    pub fn launch(&self, kernel: &str, launch: Launch, reversed: bool, arguments: &[Vec<u8>]) -> Result<i32> {
        let mut text = request(b'l', &[kernel.len() as u64], kernel.as_bytes());
        let mut add = |number: u64| text.extend(number.to_ne_bytes());
        launch.blocks.iter().chain(&launch.threads).for_each(|&n| add(u64::from(n)));
        add(launch.shared_bytes as u64);
        add(u64::from(reversed));
        add(arguments.len() as u64);
        for argument in arguments {
            text.extend((argument.len() as u64).to_ne_bytes());
            text.extend(argument);
        }
        let mut status = [0; 8];
        self.ask(&text, &mut status)?;
        Ok(i64::from_ne_bytes(status) as i32)
    }
}

fn request(what: u8, numbers: &[u64], bytes: &[u8]) -> Vec<u8> {
    let mut text = vec![what];
    text.extend(numbers.iter().flat_map(|n| n.to_ne_bytes()));
    text.extend(bytes);
    text
}

impl Home for Server {
    fn take_back(&self, address: u64, _bytes: usize) {
        // a process that has ended has given everything back
        let _ = self.ask(&request(b'f', &[address], &[]), &mut []);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let talk = self.talk.get_mut().unwrap_or_else(PoisonError::into_inner);
        // the end of its input ends the process
        talk.to = None;
        let _ = talk.child.wait();
    }
}
