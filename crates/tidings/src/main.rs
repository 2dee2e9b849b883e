//! The tidings binary.

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let text = std::env::args().nth(1).map(std::fs::read_to_string).transpose()?.unwrap_or_default();
    let loaded = server::config::parse(&text).map_err(|e| anyhow::anyhow!("{e}"))?;
    let parts = tidings::assemble::assemble(loaded.config, Box::new(|| Err("no".into())), None)?;
    let running = server::Running::start(parts)?;
    tracing::info!(bound = ?running.bound(), "running");
    running.wait();
    Ok(())
}
