#![no_main]

#[path = "shared/dialect.rs"]
mod dialect;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: dialect::Input| dialect::check("trainer", input));
