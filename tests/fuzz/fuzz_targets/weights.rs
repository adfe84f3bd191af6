//! Any bytes as a safetensors file: refused with a message that names the file, or read. What is read is written and read again
//! as the same, and then the crate `safetensors` reads it too, with the same shapes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stfusion_nn::weights::{safetensors::to_bytes, Weights};

fuzz_target!(|bytes: &[u8]| {
    match Weights::from_bytes(bytes, "file") {
        Err(error) => assert!(error.message().starts_with("file: ") && error.hint().is_some(), "{error:?}"),
        Ok(weights) => {
            let written = to_bytes(&weights).expect("what was read can be written");
            let again = Weights::from_bytes(&written, "file").expect("what was written can be read");
            let reference = safetensors::SafeTensors::deserialize(&written).expect("the reference reads it");
            assert_eq!((again.len(), reference.len()), (weights.len(), weights.len()));
            for (name, weight) in weights.iter() {
                let other = again.get(name).expect("every tensor is there");
                assert_eq!(other.tensor, weight.tensor, "{name}");
                assert_eq!(reference.tensor(name).expect("every tensor is there").shape(), weight.tensor.shape(), "{name}");
            }
            assert_eq!(again.metadata(), weights.metadata());
        }
    }
});
