//! The real program with a directory of its own, and what may happen to both: each test is a row
//! of the table of faults.
//!
//! `TIDINGS_FAULT_ROUNDS` says how often faults that strike at random are tried.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod data;
mod publishers;
mod killed;
mod acknowledged;
mod disk;
mod damage;
mod clock;
mod stopped;

/// How often a fault is tried that strikes at random.
fn rounds() -> u32 {
    std::env::var("TIDINGS_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// Tells `cargo xtask faults` of a fault that was tried.
#[expect(clippy::print_stdout, reason = "a command reads it")]
fn tried(row: &str, times: u32, outcome: &str) {
    println!("fault\t{row}\t{times}\t{outcome}");
}

/// Held by every test while it runs: each has the machine to itself.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}
