use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{Client, Error, Item, Options, Position, Subscribe, Subscription, WebSocketConnector};
use protocol::{CloseReason, Start};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::progress::Progress;
use crate::cli::failure::{Failure, Result};
use crate::cli::output::note;
use crate::cli::remote::{Side, block_on, explain};

/// Items that wait to be printed.
const WAITING_MAX: usize = 1_024;
/// How long leave is taken, and how long printing may take to end.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// Wait before a connection that the server closed for good is made anew; it doubles where that
/// happens again soon.
const RETURN_MIN: Duration = Duration::from_millis(500);
const RETURN_MAX: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// What to subscribe to, where.
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) options: Options,
    pub(super) subscribe: Subscribe,
    pub(super) start: Start,
}

/// What there is to print.
pub(super) enum News {
    /// What the subscription brought.
    Item(Item),
    /// What happened to it.
    Note(String),
    /// There is no more.
    End(Result),
}

/// Where it comes in.
pub(super) struct Inbox {
    pub(super) items: mpsc::Receiver<News>,
    printed: watch::Sender<Vec<Position>>,
    is_ended: Arc<AtomicBool>,
}

impl Inbox {
    /// Everything up to these positions was printed.
    pub(super) fn printed(&self, positions: Vec<Position>) {
        self.printed.send_if_modified(|printed| {
            let is_new = *printed != positions;
            *printed = positions;
            is_new
        });
    }

    /// Whether nothing more should be printed.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }
}

/// Talks to the server on a thread of its own: heartbeats are answered while a slow reader of
/// standard output holds up printing.
pub(super) fn start(plan: Plan) -> (Inbox, std::thread::JoinHandle<()>) {
    let (news, items) = mpsc::channel(WAITING_MAX);
    let is_ended = Arc::new(AtomicBool::new(false));
    let (printed, was_printed) = watch::channel(Vec::new());
    let inbox = Inbox { items, printed, is_ended: is_ended.clone() };
    let thread = std::thread::spawn(move || {
        let ended = block_on(async {
            tokio::select! {
                // Failures to take signals are told like others.
                signalled = signalled() => {
                    is_ended.store(true, Ordering::Relaxed);
                    // With no room there is enough to wake the printer.
                    let _ = news.try_send(News::End(Ok(())));
                    if timeout(LEAVE_MAX, news.closed()).await.is_err() {
                        // It is stuck in a pipe that nobody reads.
                        std::process::exit(0);
                    }
                    signalled
                }
                ended = Talk::new(plan, news.clone(), was_printed).run() => ended,
            }
        });
        if ended.is_err() {
            // Whoever does not listen any more does not want to know.
            let _ = news.blocking_send(News::End(ended));
        }
    });
    (inbox, thread)
}

/// Waits until the process is told to end.
async fn signalled() -> Result {
    let cannot = |error| Failure::failed(format!("cannot take signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

struct Talk {
    plan: Plan,
    news: mpsc::Sender<News>,
    progress: Progress,
    printed: watch::Receiver<Vec<Position>>,
    /// Whether it was told that the server refuses acknowledgements.
    is_refusal_told: Arc<AtomicBool>,
    wait: Duration,
}

impl Talk {
    fn new(plan: Plan, news: mpsc::Sender<News>, printed: watch::Receiver<Vec<Position>>) -> Self {
        let (progress, is_refusal_told) = (Progress::default(), Arc::default());
        Self { plan, news, progress, printed, is_refusal_told, wait: RETURN_MIN }
    }

    /// Passes on what comes, until nobody wants it or it is over.
    async fn run(mut self) -> Result {
        let client = Client::connect(&self.plan.url, self.plan.options.clone()).await;
        let mut client = client.map_err(not_connected)?;
        let mut start = self.plan.start.clone();
        loop {
            let began = Instant::now();
            let error = match self.subscribe(&client, start.clone()).await {
                Ok(subscription) => match self.pass_on(&client, subscription).await {
                    Some(error) => error,
                    None => {
                        // The server would find out by itself.
                        let _ = timeout(LEAVE_MAX, client.close()).await;
                        return Ok(());
                    }
                },
                Err(error) => error,
            };
            // No answer means that it is away; closed by an operator, that it can be asked anew.
            // Who may not come back is refused then.
            if !was_dismissed(&error) && error != Error::Timeout {
                return Err(failure(error));
            }
            self.wait = if began.elapsed() >= GOOD { RETURN_MIN } else { self.wait };
            let wait = self.wait;
            self.tell(format!("{error}; connecting again in {wait:?}")).await;
            sleep(wait).await;
            self.wait = (wait * 2).min(RETURN_MAX);
            client = self.connect_anew()?;
            let positions = self.progress.positions();
            if !positions.is_empty() {
                start = Start::Positions(positions);
            }
        }
    }

    async fn subscribe(&mut self, client: &Client, start: Start) -> Result<Subscription, Error> {
        let is_return = !self.progress.positions().is_empty();
        let named = match &start {
            // Where it was, it may go on whatever became of its streams.
            Start::Positions(positions) if !is_return => positions.clone(),
            _ => Vec::new(),
        };
        let subscription = client.subscribe(self.plan.subscribe.clone().from(start)).await?;
        check_streams(&named, subscription.positions())?;
        self.progress.begin(subscription.positions());
        if is_return {
            self.tell("connected again".into()).await;
        }
        if subscription.is_truncated() {
            let why = "the search ended at its bound, with fewer events than asked for";
            self.tell(why.into()).await;
        }
        Ok(subscription)
    }

    /// A client that comes back by itself from the start.
    fn connect_anew(&self) -> Result<Client> {
        let url = self.plan.url.parse().map_err(failure)?;
        let connector = WebSocketConnector::new(url, &self.plan.options);
        Ok(Client::over(connector, self.plan.options.clone()))
    }

    /// Passes items on; returns what ended them, or nothing where nobody listens any more.
    async fn pass_on(&mut self, client: &Client, mut subscription: Subscription) -> Option<Error> {
        let mut acknowledging = self.acknowledge(client);
        loop {
            let item = tokio::select! {
                item = subscription.next() => item,
                () = self.news.closed() => break,
            };
            let item = match item {
                Ok(item) => item,
                Err(error) => return Some(error),
            };
            self.progress.note(&item);
            if self.news.send(News::Item(item)).await.is_err() {
                break;
            }
        }
        // Nobody listens any more; what was printed before is still said.
        let _ = timeout(LEAVE_MAX, acknowledging.end(&mut subscription)).await;
        None
    }

    /// Says what was printed, as it is, where the device's place is kept. Apart from what comes:
    /// answers wait behind events that are still to be taken. That the server refuses it is told once:
    /// what is printed next is acknowledged with what was not.
    fn acknowledge(&self, client: &Client) -> Acknowledging {
        let (client, news, mut printed) = (client.clone(), self.news.clone(), self.printed.clone());
        let is_wanted = self.plan.start == Start::Stored;
        let is_refusal_told = self.is_refusal_told.clone();
        Acknowledging(tokio::spawn(async move {
            while is_wanted && printed.changed().await.is_ok() {
                let positions = printed.borrow_and_update().clone();
                let Err(error) = client.acknowledge(positions).await else { continue };
                let text = format!("what was printed could not be acknowledged: {error}");
                if !matches!(error, Error::Refused(_)) {
                    // Whoever does not listen any more does not want to know.
                    let _ = news.send(News::Note(text)).await;
                } else if !is_refusal_told.swap(true, Ordering::Relaxed) {
                    // Here, as the last one comes when nothing more is printed.
                    note(&format!("{text}; it goes on, and may print this again the next time"));
                }
            }
        }))
    }

    async fn tell(&self, text: String) {
        // Whoever does not listen any more does not want to know.
        let _ = self.news.send(News::Note(text)).await;
    }
}

/// The task that acknowledges, which ends with what it belongs to.
struct Acknowledging(JoinHandle<()>);

impl Acknowledging {
    /// Waits until all that was printed is acknowledged; answers come behind what is let go here.
    async fn end(&mut self, subscription: &mut Subscription) {
        loop {
            tokio::select! {
                _ = &mut self.0 => return,
                item = subscription.next() => if item.is_err() { return },
            }
        }
    }
}

impl Drop for Acknowledging {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether the subscription reaches every stream whose position was named: the server passes over
/// others.
fn check_streams(named: &[Position], reached: &[Position]) -> Result<(), Error> {
    let is_reached = |at: &&Position| reached.iter().any(|other| other.stream == at.stream);
    let Some(Position { stream, .. }) = named.iter().find(|at| !is_reached(at)) else {
        return Ok(());
    };
    let reached: Vec<&str> = reached.iter().map(|at| at.stream.as_str()).collect();
    Err(Error::Invalid(format!(
        "--after names the stream {stream}; the patterns reach only {}",
        reached.join(", ")
    )))
}

/// Why there is no connection at all.
fn not_connected(error: Error) -> Failure {
    match &error {
        Error::Refused(refusal) if refusal.code == "not_found" => failure(error)
            .hint("is that where the server listens for clients? another is named with --url"),
        _ => failure(error),
    }
}

fn failure(error: Error) -> Failure {
    explain(error, Side::Public)
}

/// Whether the server closed the connection on purpose: an operator did it, or a permission ended.
fn was_dismissed(error: &Error) -> bool {
    matches!(error, Error::Closed { code, .. } if *code == CloseReason::Forbidden.code())
}
