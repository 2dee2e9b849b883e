//! Every broker, tried by the behaviours that all of them share.

use std::sync::Arc;

use brokers::{Embedded, Options};
use protocol::Durability;
use tidings_tests::broker_conformance::{Harness, Setup};

/// The embedded broker with everything in memory.
fn memory(setup: Setup) -> Harness {
    let table = setup.table();
    let options = Options {
        clock: setup.clock,
        tail_bytes_max: setup.tail_bytes_max,
        id_window_ms: setup.id_window_ms,
        id_window_count: setup.id_window_count,
        locate_scan_max: setup.locate_scan_max,
        cursor_age_ms: setup.cursor_age_ms,
        cursor_count: setup.cursor_count,
        ..Options::default()
    };
    Harness::new(Durability::Memory, move || Arc::new(Embedded::new(&table, &options)))
}

macro_rules! memory_tests {
    ($($module:ident { $($name:ident)* })*) => {
        mod memory {
            $(mod $module {
                $(#[test]
                fn $name() {
                    tidings_tests::broker_conformance::$module::$name(&crate::memory);
                })*
            })*
        }
    };
}
tidings_tests::for_each_broker_behaviour!(memory_tests);
