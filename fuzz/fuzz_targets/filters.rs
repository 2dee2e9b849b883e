//! Any text is a filter or an error that names what is wrong; a filter's own text says the same, and
//! it judges any data, alone and in a set alike.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use protocol::dialects::native::read_filter;
use protocol::{FilterSet, Payload};

fuzz_target!(|input: (&str, Vec<u8>)| {
    let (text, data) = input;
    let filter = match read_filter(text) {
        Ok(filter) => filter,
        Err(wrong) => return assert!(wrong.message.starts_with("filter")),
    };
    let again = read_filter(filter.as_str()).expect("its own text is a filter");
    assert_eq!(again, filter);
    let payload = Payload::Json(data.into());
    let verdict = filter.accepts(&payload);
    let set = FilterSet::new([Arc::new(again)]);
    set.judge(&payload, |_, of_set| assert_eq!(of_set, verdict));
});
