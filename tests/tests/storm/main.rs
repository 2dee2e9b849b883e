//! The real program under much load, or with too little of something: each test has the machine
//! to itself.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod slow_clients;
mod reconnecting;
mod exhausted;
mod drain;

/// Held by every test while it runs.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}
