use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidings::Publisher;

/// An event that was published: stream, seq and topic.
pub type Published = (String, u64, String);

/// A thread that publishes to some topics in turn, without end.
pub struct Pour {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Published>>>,
}

impl Pour {
    /// Publishes an event to each of `topics` every `every`.
    pub fn start(publisher: Publisher, topics: &[&str], every: Duration) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, topics) = (is_over.clone(), topics.iter().map(|t| (*t).to_owned()).collect());
        let thread = std::thread::spawn(move || pour(&publisher, &over, topics, every));
        Self { is_over, thread: Some(thread) }
    }

    /// Ends it; everything that was published, in order.
    pub fn stop(mut self) -> Vec<Published> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Pour {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn pour(
    publisher: &Publisher,
    is_over: &AtomicBool,
    topics: Vec<String>,
    every: Duration,
) -> Vec<Published> {
    let mut published = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        for topic in &topics {
            let data = published.len();
            let appended = publisher.publish(topic, &data).unwrap().wait().unwrap();
            published.push((appended.stream.to_string(), appended.seq, topic.clone()));
        }
        std::thread::sleep(every);
    }
    published
}

/// Seqs of a stream between two places, of topics that are wanted.
pub fn seqs(
    published: &[Published],
    stream: &str,
    (after, until): (u64, u64),
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<u64> {
    let found = published.iter().filter(|(of, seq, topic)| {
        of == stream && *seq > after && *seq <= until && is_wanted(topic)
    });
    found.map(|(_, seq, _)| *seq).collect()
}
