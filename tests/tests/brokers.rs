//! Every broker, tried by the behaviours that all of them share.
// Helpers of tests may panic.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use brokers::embedded::durable::MemoryDisk;
use brokers::{Embedded, Options};
use protocol::Durability;
use tidings_tests::broker_conformance::{Harness, Setup};

fn options(setup: &Setup) -> Options {
    Options {
        clock: setup.clock.clone(),
        tail_bytes_max: setup.tail_bytes_max,
        id_window_ms: setup.id_window_ms,
        id_window_count: setup.id_window_count,
        locate_scan_max: setup.locate_scan_max,
        cursor_age_ms: setup.cursor_age_ms,
        cursor_count: setup.cursor_count,
        ..Options::default()
    }
}

/// The embedded broker with everything in memory.
fn memory(setup: Setup) -> Harness {
    let (table, options) = (setup.table(), options(&setup));
    Harness::new(Durability::Memory, move || Arc::new(Embedded::new(&table, &options)))
}

/// The embedded broker on a disk, which is in memory so that nobody waits for one.
fn durable(mut setup: Setup, durability: Durability) -> Harness {
    setup.durability = durability;
    let (table, options, disk) = (setup.table(), options(&setup), MemoryDisk::default());
    Harness::new(durability, move || {
        Arc::new(Embedded::on_disk(&table, Arc::new(disk.clone()), &options).unwrap())
    })
    .that_skips()
}

fn buffered(setup: Setup) -> Harness {
    durable(setup, Durability::Buffered)
}

fn fsync(setup: Setup) -> Harness {
    durable(setup, Durability::Fsync)
}

macro_rules! tests_of {
    ($broker:ident: $($module:ident { $($name:ident)* })*) => {
        mod $broker {
            $(mod $module {
                $(#[test]
                fn $name() {
                    tidings_tests::broker_conformance::$module::$name(&crate::$broker);
                })*
            })*
        }
    };
}
macro_rules! restart_tests {
    ($($module:ident { $($name:ident)* })*) => {
        $(mod $module {
            $(#[test]
            fn $name() {
                for broker in [crate::buffered, crate::fsync] {
                    tidings_tests::broker_conformance::$module::$name(&broker);
                }
            })*
        })*
    };
}
macro_rules! memory_tests { ($($list:tt)*) => { tests_of!(memory: $($list)*); }; }
macro_rules! buffered_tests { ($($list:tt)*) => { tests_of!(buffered: $($list)*); }; }
macro_rules! fsync_tests { ($($list:tt)*) => { tests_of!(fsync: $($list)*); }; }
tidings_tests::for_each_broker_behaviour!(memory_tests);
tidings_tests::for_each_broker_behaviour!(buffered_tests);
tidings_tests::for_each_broker_behaviour!(fsync_tests);
tidings_tests::for_each_restart_behaviour!(restart_tests);
