//! What is measured: each workload runs one server and gives its figures by name.

/// Every client gets every event, at a rate.
pub(crate) mod fanout;
/// As many events as may be outstanding.
pub(crate) mod saturate;
/// Subscribed and quiet.
pub(crate) mod idle;
/// Everyone drops and comes back.
pub(crate) mod reconnect;
/// Many topics, few clients each.
pub(crate) mod routing;
/// Synced before it is acknowledged.
pub(crate) mod durable;
/// Some clients stop reading.
pub(crate) mod stalled;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::load::clients::{Clients, Wave};
use crate::load::publisher::Publisher;
use crate::process::own_cpu;
use crate::targets::Running;

/// Figures by name, their unit in it.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// The topic of workloads that have one.
pub(crate) const TOPIC: &str = "bench.t0";

/// Connects `count` clients to one topic.
pub(crate) fn connect(clients: &mut Clients<'_>, server: &Running<'_>, count: usize) -> Result<()> {
    let wave = Wave {
        count,
        topics: &|_| vec![TOPIC.to_owned()],
        places: &[],
        deflate: server.setup.deflate,
    };
    clients.connect(server.setup.clients, &wave)?;
    Ok(())
}

/// Events at a rate, whatever becomes of them: an open loop.
pub(crate) struct Paced<'a> {
    pub(crate) topics: &'a [String],
    /// Events per second.
    pub(crate) rate: u32,
    /// Clients that each event goes to.
    pub(crate) each: u64,
}

impl Paced<'_> {
    /// Publishes for a time, and waits until all of it has come. One thread publishes and listens:
    /// two would wait for each other's turn on the load's core.
    pub(crate) fn stretch(
        &self,
        clients: &mut Clients<'_>,
        publisher: &mut Publisher,
        time: Duration,
    ) -> Result<()> {
        let count = (time.as_secs_f64() * f64::from(self.rate)) as u32;
        let expected = clients.counts.received + u64::from(count) * self.each;
        self.publish(clients, publisher, time)?;
        let deadline = Instant::now() + time * 2 + Duration::from_secs(10);
        while clients.counts.received < expected {
            publisher.flush()?;
            clients.turn(Duration::from_millis(10))?;
            if Instant::now() > deadline {
                bail!("{} of {expected} events came in time", clients.counts.received);
            }
        }
        Ok(())
    }

    /// Publishes for a time, whatever becomes of it.
    pub(crate) fn publish(
        &self,
        clients: &mut Clients<'_>,
        publisher: &mut Publisher,
        time: Duration,
    ) -> Result<()> {
        let every = Duration::from_secs(1) / self.rate;
        let count = (time.as_secs_f64() * f64::from(self.rate)) as u32;
        let begin = Instant::now();
        let mut topics = self.topics.iter().cycle();
        let mut event = 0;
        while event < count {
            let now = Instant::now();
            // All that is due by now goes at once.
            while event < count && begin + every * event <= now {
                publisher.add(topics.next().context("no topic")?, begin + every * event);
                event += 1;
            }
            publisher.flush()?;
            clients.turn((begin + every * event).saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }
}

/// CPU time and clock of a stretch of load.
pub(crate) struct Meter {
    begun: Instant,
    server: Duration,
    own: Duration,
    idle: Duration,
}

impl Meter {
    pub(crate) fn start(server: &Running<'_>, clients: &Clients<'_>) -> Self {
        let (own, idle) = (own_cpu(), clients.idle);
        Self { begun: Instant::now(), server: server.process.cpu(), own, idle }
    }

    /// What `deliveries` cost, and whether the load itself was what held them up.
    pub(crate) fn stop(
        &self,
        server: &Running<'_>,
        clients: &Clients<'_>,
        deliveries: u64,
        figures: &mut Figures,
    ) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let cpu = (server.process.cpu() - self.server).as_secs_f64();
        let idle = clients.idle - self.idle;
        let own = (own_cpu() - self.own).saturating_sub(idle).as_secs_f64();
        let deliveries = deliveries as f64;
        figures.insert("deliveries_per_s", deliveries / seconds);
        figures.insert("cpu_us_per_delivery", cpu * 1e6 / deliveries);
        figures.insert("server_busy_cores", cpu / seconds);
        figures.insert("load_busy_cores", own / seconds);
    }
}

/// Nothing was lost or came in another order.
pub(crate) fn check(clients: &Clients<'_>, expected: u64) -> Result<()> {
    let counts = clients.counts;
    if counts.received != expected || counts.disordered > 0 {
        bail!(
            "{} of {expected} events came, {} of them out of order",
            counts.received,
            counts.disordered
        );
    }
    Ok(())
}

/// Adds percentiles of how late events were.
pub(crate) fn add_latencies(clients: &Clients<'_>, figures: &mut Figures) {
    for (name, part) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("p99.9_ms", 0.999)] {
        figures.insert(name, clients.latencies.percentile_ms(part));
    }
}
