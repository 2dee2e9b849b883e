use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::http::Admin;
use client::{Client, Item, Options, Publish, Subscribe, Subscription};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use super::PublishAt;
use super::latency::Latencies;
use crate::cli::failure::{Failure, Result};
use crate::cli::remote::{Globals, Side, explain};

/// Connections that are made at a time.
const CONNECTING_MAX: usize = 200;
/// Publishes without an answer at the admin listener; more wait, and their wait counts.
const PUBLISHING_MAX: usize = 64;
/// How long deliveries may still come after the last publish.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is put on a server.
pub(super) struct Load {
    pub(super) connections: u32,
    pub(super) rate: u32,
    pub(super) bytes: usize,
    pub(super) duration: Duration,
    pub(super) publish_at: PublishAt,
    pub(super) topic: String,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Found {
    /// How long it took until all were subscribed.
    pub(super) connect: Duration,
    /// From the first publish to the last delivery.
    pub(super) took: Duration,
    pub(super) published: u64,
    pub(super) refused: u64,
    /// Why the first that was refused was.
    pub(super) refusal: Option<String>,
    pub(super) delivered: u64,
    pub(super) expected: u64,
    pub(super) gaps: u64,
    pub(super) latencies: Latencies,
    /// Cores that this program used.
    pub(super) busy_cores: f64,
}

type Shared = Rc<RefCell<Found>>;

impl Load {
    /// Connects, publishes for a time and waits for what is still to come.
    pub(super) async fn run(self, globals: &Globals) -> Result<Found> {
        LocalSet::new().run_until(self.run_here(globals)).await
    }

    async fn run_here(self, globals: &Globals) -> Result<Found> {
        let begun = Instant::now();
        let subscriptions = self.connect(globals).await?;
        let connect = begun.elapsed();
        let found: Shared = Rc::default();
        let start = Instant::now();
        for subscription in subscriptions {
            tokio::task::spawn_local(receive(subscription, start, found.clone()));
        }
        let cpu = own_cpu();
        let publishes = self.publish(globals, start, &found).await?;
        let expected = publishes * u64::from(self.connections);
        let patience = Instant::now() + PATIENCE;
        while found.borrow().delivered < expected && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let took = start.elapsed();
        let busy_cores = (own_cpu() - cpu).as_secs_f64() / took.as_secs_f64();
        let found = std::mem::take(&mut *found.borrow_mut());
        Ok(Found { connect, took, published: publishes, expected, busy_cores, ..found })
    }

    async fn connect(&self, globals: &Globals) -> Result<Vec<(Client, Subscription)>> {
        let mut connecting = JoinSet::new();
        let mut connected = Vec::new();
        let subscribe =
            Subscribe::to(&[&self.topic]).map_err(|error| explain(error, Side::Public))?;
        for _ in 0..self.connections {
            if connecting.len() >= CONNECTING_MAX
                && let Some(next) = connecting.join_next().await
            {
                connected.push(joined(next)?);
            }
            let (url, options) = (globals.url().to_owned(), options(globals));
            let subscribe = subscribe.clone();
            connecting.spawn_local(async move {
                let client = Client::connect(&url, options).await?;
                let subscription = client.subscribe(subscribe).await?;
                Ok::<_, client::Error>((client, subscription))
            });
        }
        while let Some(next) = connecting.join_next().await {
            connected.push(joined(next)?);
        }
        Ok(connected)
    }

    /// An open loop: when an event is published depends on the clock alone. How many were taken.
    async fn publish(&self, globals: &Globals, start: Instant, found: &Shared) -> Result<u64> {
        let way = Rc::new(self.way(globals).await?);
        let room = Arc::new(Semaphore::new(PUBLISHING_MAX));
        let every = Duration::from_secs(1) / self.rate;
        let count = (self.duration.as_secs_f64() * f64::from(self.rate)).round() as u32;
        let mut publishing = JoinSet::new();
        let mut taken = 0;
        for event in 0..count {
            let due = start + every * event;
            tokio::time::sleep_until(due.into()).await;
            while let Some(done) = publishing.try_join_next() {
                taken += self.note(done, found)?;
            }
            let (way, room) = (way.clone(), room.clone());
            let message = self.message(due.duration_since(start))?;
            publishing.spawn_local(async move {
                let _place = room.acquire().await;
                way.publish(message).await
            });
        }
        while let Some(done) = publishing.join_next().await {
            taken += self.note(done, found)?;
        }
        Ok(taken)
    }

    fn note(
        &self,
        done: std::result::Result<std::result::Result<(), client::Error>, tokio::task::JoinError>,
        found: &Shared,
    ) -> Result<u64> {
        match done {
            Ok(Ok(())) => return Ok(1),
            // Where the first is refused, so are all others: a permission, a wrong address.
            Ok(Err(error)) if found.borrow().delivered == 0 => {
                return Err(explain(error, self.publish_at.side()));
            }
            Ok(Err(error)) => {
                let mut found = found.borrow_mut();
                found.refused += 1;
                found.refusal.get_or_insert_with(|| error.to_string());
            }
            Err(error) => return Err(Failure::failed(error.to_string())),
        }
        Ok(0)
    }

    fn message(&self, since_start: Duration) -> Result<Publish> {
        let stamp = format!("{{\"t\":{},\"p\":\"", since_start.as_micros());
        let padding = "x".repeat(self.bytes.saturating_sub(stamp.len() + 2));
        let data = format!("{stamp}{padding}\"}}");
        Publish::json_text(&self.topic, data).map_err(|error| explain(error, Side::Admin))
    }

    async fn way(&self, globals: &Globals) -> Result<Way> {
        Ok(match self.publish_at {
            PublishAt::Admin => Way::Admin(globals.remote(Side::Admin)?.http),
            PublishAt::Endpoint => {
                let client = Client::connect(globals.url(), options(globals)).await;
                Way::Endpoint(client.map_err(|error| explain(error, Side::Public))?)
            }
        })
    }
}

impl PublishAt {
    fn side(self) -> Side {
        match self {
            Self::Admin => Side::Admin,
            Self::Endpoint => Side::Public,
        }
    }
}

/// How events are published.
enum Way {
    Admin(Admin),
    Endpoint(Client),
}

impl Way {
    async fn publish(&self, message: Publish) -> std::result::Result<(), client::Error> {
        match self {
            Self::Admin(admin) => admin.publish(&message).await.map(drop),
            Self::Endpoint(client) => client.publish(message).await.map(drop),
        }
    }
}

fn options(globals: &Globals) -> Options {
    Options { token: globals.token().map(str::to_owned), ..Options::default() }
}

type Connected = std::result::Result<(Client, Subscription), client::Error>;

fn joined(
    next: std::result::Result<Connected, tokio::task::JoinError>,
) -> Result<(Client, Subscription)> {
    let connected = next.map_err(|error| Failure::failed(error.to_string()))?;
    connected.map_err(|error| explain(error, Side::Public))
}

/// Counts what one client receives; it stays connected for as long.
async fn receive(
    (_client, mut subscription): (Client, Subscription),
    start: Instant,
    found: Shared,
) {
    while let Ok(item) = subscription.next().await {
        let now = Instant::now();
        match item {
            Item::Event(event) => {
                let Ok(Stamped { t: micros }) = event.json::<Stamped>() else { continue };
                let intended = start + Duration::from_micros(micros);
                let mut found = found.borrow_mut();
                found.delivered += 1;
                found.latencies.add(now.saturating_duration_since(intended));
            }
            Item::Gap(_) => found.borrow_mut().gaps += 1,
            _ => {}
        }
    }
}

/// What events carry.
#[derive(serde::Deserialize)]
struct Stamped {
    t: u64,
}

/// CPU time of this process so far.
fn own_cpu() -> Duration {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(usage.tv_sec.unsigned_abs(), u32::try_from(usage.tv_nsec).unwrap_or_default())
}
