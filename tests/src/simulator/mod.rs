//! Whole nodes in virtual time, driven by one seed: workers with unequal lag, a model broker,
//! people who connect, stall and drop, and what goes wrong; then checkers look at what was said.
// A simulation fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

/// Numbers of a seed.
pub mod random;
/// Virtual time.
pub mod clock;
/// What a world is made of.
pub mod topology;
/// The broker of a world.
pub mod store;
/// Streams in a model of a broker.
pub mod model;
/// Streams in the broker of this repository, on a disk that fails.
pub mod machine;
/// What streams ever were.
pub mod ledger;
/// Frames that clients can read.
pub mod wire;
/// A client's connection.
pub mod connection;
/// What a client remembers.
pub mod person;
/// Time passes.
pub mod world;
/// What surrounds workers.
mod nodes;
/// Bytes between workers and clients.
mod transport;
/// What people do.
mod people;
/// What the server remembers of people.
mod remembering;
/// What goes wrong.
mod faults;
/// Bugs that checkers have to find.
pub mod plant;
/// What was said.
pub mod record;
/// What has to hold.
pub mod checkers;

use checkers::Violation;
use plant::Planted;
use world::World;

/// How a world went.
pub struct Outcome {
    /// Events that clients received.
    pub events: u64,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// What happened last, where that was followed.
    pub trace: Vec<String>,
}

/// From this seed on, the worlds' streams are durable, on a machine that loses power, whose disk
/// fills up and breaks, and whose processes are killed.
pub const ON_DISK: u64 = 1 << 32;

/// From this seed on, some of the worlds' people cannot say where they were: the server remembers it.
pub const REMEMBERING: u64 = 1 << 33;

/// Lets the world of a seed happen and checks it.
pub fn simulate(seed: u64, planted: Planted, is_traced: bool) -> Outcome {
    let mut world = World::new(seed, planted, is_traced);
    let healed = world.run();
    let (history, trace) = world.into_history(healed);
    let (events, violation) = match checkers::check(&history) {
        Ok(events) => (events, None),
        Err(violation) => (0, Some(violation)),
    };
    Outcome { events, violation, trace: trace.into_iter().flatten().collect() }
}
