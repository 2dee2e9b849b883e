//! The figures of this host as events: `<root>.cpu`, `.memory`, `.disk`, `.network`, `.gpu` where
//! there is one, and `.system_stats`, which has the most wanted in one flat object.
//!
//! They are read on a thread of their own, since reading may block for as long as a disk does.

/// What is read of the processor, memory, disks and network.
mod figures;
/// What is read of graphics processors.
mod gpu;
/// A part of the host that may fail alone.
mod part;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use protocol::{Draft, Payload, Topic};
use serde::Serialize;

use crate::config::Source;
use crate::node::Node;
use figures::{Cpu, CpuFigures, Disk, Memory, MemoryFigures, Network};
use gpu::{Gpu, GpuFigures};
use part::Part;

/// The first token of topics where the source has no root.
const ROOT: &str = "host";
/// Events that the broker has not answered yet; while there are so many, figures are left out:
/// newer ones come soon.
const UNANSWERED_MAX: u32 = 64;
const GIB: f64 = (1_u64 << 30) as f64;

/// A thread that reads this host's figures; it ends when this is dropped.
pub(super) struct Host {
    _stop: mpsc::Sender<()>,
}

impl Host {
    /// Starts the thread; `None` where the system gives none.
    pub(super) fn start(node: &Arc<Node>, source: &Source) -> Option<Self> {
        let root = source.root.as_ref().map_or(ROOT, Topic::as_str);
        let topics = Topics::new(root)?;
        let interval = Duration::from_millis(source.interval.as_ms());
        let outlet = Outlet { node: node.clone(), unanswered: Arc::default() };
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("tidings-host".into());
        // It is not waited for at the end: it may hang in a read of a disk.
        match thread.spawn(move || run(&outlet, &topics, interval, &stopped)) {
            Ok(_) => Some(Self { _stop: stop }),
            Err(error) => {
                tracing::error!(%error, "no thread for the host's figures");
                None
            }
        }
    }
}

/// The topics of the figures.
struct Topics {
    cpu: Topic,
    memory: Topic,
    disk: Topic,
    network: Topic,
    gpu: Topic,
    system_stats: Topic,
}

impl Topics {
    /// `None`, and said, where the root leaves no room for another token.
    fn new(root: &str) -> Option<Self> {
        let topic = |name: &str| {
            let topic = Topic::parse(&format!("{root}.{name}"));
            topic.inspect_err(|error| tracing::error!(%error, "the root of a host source")).ok()
        };
        Some(Self {
            cpu: topic("cpu")?,
            memory: topic("memory")?,
            disk: topic("disk")?,
            network: topic("network")?,
            gpu: topic("gpu")?,
            system_stats: topic("system_stats")?,
        })
    }
}

/// The most wanted figures in one flat object; a GPU's are `null` where there is none.
#[derive(Serialize)]
struct SystemStats {
    cpu_percent: f64,
    ram_used_gb: f64,
    ram_total_gb: f64,
    gpu_utilization_percent: Option<f64>,
    gpu_memory_used_gb: Option<f64>,
    gpu_memory_total_gb: Option<f64>,
}

impl SystemStats {
    fn of(cpu: &CpuFigures, memory: &MemoryFigures, gpu: Option<&GpuFigures>) -> Self {
        let gib = |bytes: u64| (bytes as f64 / GIB * 100.0).round() / 100.0;
        Self {
            cpu_percent: cpu.percent,
            ram_used_gb: gib(memory.used_bytes),
            ram_total_gb: gib(memory.total_bytes),
            gpu_utilization_percent: gpu.and_then(GpuFigures::percent),
            gpu_memory_used_gb: gpu.map(|gpu| gib(gpu.memory_used_bytes())),
            gpu_memory_total_gb: gpu.map(|gpu| gib(gpu.memory_total_bytes())),
        }
    }
}

/// Reads and publishes until `stopped` or the server drains.
fn run(outlet: &Outlet, topics: &Topics, interval: Duration, stopped: &mpsc::Receiver<()>) {
    let mut cpu = Part::open("cpu", Cpu::open());
    let mut memory = Part::open("memory", Memory::open());
    let mut disk = Part::open("disk", Disk::open());
    let mut network = Part::open("network", Network::open());
    let mut gpu = Part::open("gpu", Gpu::open());
    let mut due = Instant::now() + interval;
    loop {
        // Rates need two readings, so the first are of the first interval.
        let wait = due.saturating_duration_since(Instant::now());
        match stopped.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        if outlet.node.is_draining() {
            return;
        }
        // What a slow reading missed is left out, not caught up with.
        let now = Instant::now();
        due = (due + interval).max(now + interval / 2);
        let cpu = cpu.read(Cpu::read);
        let memory = memory.read(Memory::read);
        let gpu = gpu.read(Gpu::read);
        if let Some((cpu, memory)) = cpu.as_ref().zip(memory.as_ref()) {
            outlet.publish(&topics.system_stats, &SystemStats::of(cpu, memory, gpu.as_ref()));
        }
        outlet.publish_some(&topics.cpu, cpu);
        outlet.publish_some(&topics.memory, memory);
        outlet.publish_some(&topics.gpu, gpu);
        outlet.publish_some(&topics.network, network.read(Network::read));
        // Last, since it is what may hang.
        outlet.publish_some(&topics.disk, disk.read(Disk::read));
    }
}

/// The way into the broker.
struct Outlet {
    node: Arc<Node>,
    unanswered: Arc<AtomicU32>,
}

impl Outlet {
    fn publish_some(&self, topic: &Topic, figures: Option<impl Serialize>) {
        if let Some(figures) = figures {
            self.publish(topic, &figures);
        }
    }

    fn publish(&self, topic: &Topic, figures: &impl Serialize) {
        let text = match serde_json::to_vec(figures) {
            Ok(text) => text,
            Err(error) => return tracing::debug!(%topic, %error, "figures without a JSON form"),
        };
        let draft = Draft::new(topic.clone(), Payload::Json(text.into()));
        if let Err(error) = self.node.check_draft(&draft) {
            return tracing::debug!(%topic, code = error.code.as_str(), "figures are left out");
        }
        let Some(stream) = self.node.table.stream_of(topic) else { return };
        if self.node.check_consumers(stream).is_err() {
            return tracing::debug!(%topic, "figures are left out: a consumer is behind");
        }
        if self.unanswered.load(Ordering::Relaxed) >= UNANSWERED_MAX {
            return tracing::debug!(%topic, "figures are left out: the broker is behind");
        }
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.node.metrics.published(1);
        let unanswered = self.unanswered.clone();
        let answer = Box::new(move |results: Vec<Result<_, protocol::Error>>| {
            unanswered.fetch_sub(1, Ordering::Relaxed);
            for error in results.into_iter().filter_map(Result::err) {
                tracing::debug!(message = %error.message, "the broker refused figures");
            }
        });
        self.node.append(stream, vec![draft], answer);
    }
}
