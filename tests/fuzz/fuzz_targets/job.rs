//! Any text as a job: refused with a message and a hint, or read, and then it survives being written and read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use stfusion_engine::Job;

fuzz_target!(|text: &str| {
    match Job::from_json(text, Some(Path::new("/folder"))) {
        Err(error) => assert!(!error.message().is_empty()),
        Ok(job) => {
            assert!(job.values().is_ok() && job.method().is_ok());
            let written = job.to_json();
            match Job::from_json(&written, None) {
                Ok(again) => assert_eq!(again, job, "{written}"),
                Err(error) => panic!("{error}: {written}"),
            }
            let _ = job.input_names();
        }
    }
});
