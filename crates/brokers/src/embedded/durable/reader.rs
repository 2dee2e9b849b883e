use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// Threads that read for all streams.
const THREADS: usize = 2;
/// Most reads that wait.
const WAITING_MAX: usize = 1024;

type Job = Box<dyn FnOnce() + Send>;

/// The threads that read files, so that nobody who asks waits for a disk.
pub(crate) struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    is_closed: bool,
}

impl Readers {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let threads = (0..THREADS).map(|n| {
            let shared = shared.clone();
            let name = format!("tidings-reader-{n}");
            std::thread::Builder::new().name(name).spawn(move || shared.work())
        });
        let threads = threads.collect::<Result<_, _>>()?;
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Has a job done soon, or gives it back where too many wait.
    pub(crate) fn run(&self, job: Job) -> Result<(), Job> {
        let mut jobs = self.shared.jobs.lock();
        if jobs.is_closed || jobs.waiting.len() >= WAITING_MAX {
            return Err(job);
        }
        jobs.waiting.push_back(job);
        drop(jobs);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Ends when what waits is done.
    pub(crate) fn close(&self) {
        self.shared.jobs.lock().is_closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A reader that panicked has nothing that others need.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let job = {
                let mut jobs = self.jobs.lock();
                loop {
                    match jobs.waiting.pop_front() {
                        Some(job) => break job,
                        None if jobs.is_closed => return,
                        None => self.changed.wait(&mut jobs),
                    }
                }
            };
            // What is damaged in a way that nobody foresaw must not end reading for everybody.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }
}
