use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::ended::{Ended, Next};
use crate::error::Error;
use crate::handle::{Command, Parting, Status};
use crate::heartbeat::{Due, Heartbeat};
use crate::link::{Connector, Link, Received};
use crate::options::Options;
use crate::state::State;

/// A connection that lasted so long has proved itself: the next failure begins a new back-off.
const PROVED: Duration = Duration::from_secs(10);
/// How long a server may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The task that owns the connection.
pub(crate) struct Driver<C> {
    connector: C,
    options: Options,
    inputs: Inputs,
    status: watch::Sender<Status>,
    state: State,
    backoff: Backoff,
}

/// What handles want.
struct Inputs {
    commands: mpsc::Receiver<Command>,
    partings: mpsc::UnboundedReceiver<Parting>,
    /// Who waits for the end.
    closing: Option<oneshot::Sender<()>>,
}

/// What a handle wants.
enum Input {
    Command(Command),
    Parting(Parting),
    /// No handle is left.
    Abandoned,
}

impl Inputs {
    /// The next wish. May be dropped at any time.
    async fn next(&mut self, takes_commands: bool) -> Input {
        tokio::select! {
            biased;
            Some(parting) = self.partings.recv() => Input::Parting(parting),
            command = self.commands.recv(), if takes_commands => {
                command.map_or(Input::Abandoned, Input::Command)
            }
            // Commands are not taken, and nobody is left who could give anything up.
            else => Input::Abandoned,
        }
    }

    /// Does what a handle wants; whether it wants the end.
    fn apply(&mut self, input: Input, state: &mut State) -> bool {
        match input {
            Input::Command(command) => state.command(command),
            Input::Parting(Parting::Membership(key)) => state.unwanted(key),
            Input::Parting(Parting::Result { connection, call_id, result }) => {
                state.answered_call(connection, call_id, result);
            }
            Input::Parting(Parting::Request) => state.request_given_up(),
            Input::Parting(Parting::Client(closed)) => {
                self.closing = Some(closed);
                return true;
            }
            Input::Abandoned => return true,
        }
        false
    }
}

/// What a link does.
enum Step {
    /// It has room for a frame.
    Room,
    /// Something came.
    Received(Received),
    /// It broke.
    Broke(Error),
}

impl<C: Connector> Driver<C> {
    pub(crate) fn new(
        connector: C,
        options: Options,
        commands: mpsc::Receiver<Command>,
        (answers, partings): (mpsc::WeakUnboundedSender<Parting>, mpsc::UnboundedReceiver<Parting>),
        status: watch::Sender<Status>,
    ) -> Self {
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        let state = State::new(options.clone(), answers);
        let inputs = Inputs { commands, partings, closing: None };
        Self { connector, options, inputs, status, state, backoff }
    }

    /// Connects, and again, until that is over.
    pub(crate) async fn run(mut self) {
        let error = loop {
            let Ended { error, next } = self.connection().await;
            let Next::Reconnect(after) = next else { break error };
            self.state.connection_lost(&error);
            // Without randomness there is no jitter, but still a back-off.
            let random = getrandom::u64().unwrap_or(u64::MAX);
            let wait = after.unwrap_or_else(|| self.backoff.next(random));
            tracing::debug!(%error, ?wait, "will reconnect");
            self.status.send_replace(Status::Waiting { error, wait });
            if self.wait(wait).await {
                break Error::Stopped;
            }
        };
        self.finish(error).await;
    }

    /// Takes wishes for so long; whether one was the end.
    async fn wait(&mut self, wait: Duration) -> bool {
        let Self { inputs, state, .. } = self;
        let due = sleep(wait);
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                input = inputs.next(state.takes_commands()) => {
                    if inputs.apply(input, state) {
                        return true;
                    }
                }
                () = state.deliveries.deliver(), if !state.deliveries.is_empty() => {}
                () = &mut due => return false,
            }
        }
    }

    /// One connection, from the attempt to its end.
    async fn connection(&mut self) -> Ended {
        self.status.send_replace(Status::Connecting);
        let begin = Instant::now();
        let mut link = match self.connect().await {
            Ok(link) => link,
            Err(ended) => return ended,
        };
        self.state.connected();
        let ended = self.converse(&mut link, begin).await;
        if ended.next == Next::Stop {
            close(&mut link).await;
        }
        ended
    }

    async fn connect(&mut self) -> Result<C::Link, Ended> {
        let Self { connector, options, inputs, state, .. } = self;
        let connecting = timeout(options.connect_timeout, connector.connect());
        tokio::pin!(connecting);
        loop {
            tokio::select! {
                biased;
                input = inputs.next(state.takes_commands()) => {
                    if inputs.apply(input, state) {
                        return Err(Ended::stop(Error::Stopped));
                    }
                }
                () = state.deliveries.deliver(), if !state.deliveries.is_empty() => {}
                link = &mut connecting => {
                    let late = |_| Err(Error::Unreachable("no connection in time".into()));
                    return link.unwrap_or_else(late).map_err(Ended::refused);
                }
            }
        }
    }

    /// Talks to the server until the connection ends.
    async fn converse(&mut self, link: &mut C::Link, begin: Instant) -> Ended {
        let Self { options, inputs, status, state, backoff, .. } = self;
        let mut heartbeat = Heartbeat::new(begin, options.connect_timeout);
        let mut opened: Option<Instant> = None;
        // Set anew only when it fires: a message must not cost a timer.
        let timer = sleep_until(heartbeat.look_at(begin));
        tokio::pin!(timer);
        let ended = loop {
            let (is_reading, has_outgoing) = (state.wants_input(), state.has_outgoing());
            tokio::select! {
                biased;
                input = inputs.next(state.takes_commands()) => {
                    if inputs.apply(input, state) {
                        break Ended::stop(Error::Stopped);
                    }
                }
                () = state.deliveries.deliver(), if !state.deliveries.is_empty() => {}
                step = next_step(link, is_reading, has_outgoing) => {
                    if matches!(step, Step::Received(_)) {
                        heartbeat.heard(Instant::now());
                    }
                    if let Err(ended) = apply_step(step, link, state) {
                        break ended;
                    }
                }
                // What was not read cannot have been heard: the silence is not the server's.
                () = &mut timer, if is_reading => {
                    match heartbeat.fire(Instant::now()) {
                        Due::Later => {}
                        Due::Ping => state.heartbeat(),
                        Due::Silent => {
                            let error = Error::Unreachable("the server is silent".into());
                            break Ended::reconnect(error);
                        }
                    }
                    timer.as_mut().reset(heartbeat.look_at(Instant::now()));
                }
            }
            if opened.is_none()
                && let Some(welcome) = state.open()
            {
                opened = Some(Instant::now());
                heartbeat.greeted(Instant::now(), Duration::from_millis(welcome.heartbeat_ms));
                timer.as_mut().reset(heartbeat.look_at(Instant::now()));
                status.send_replace(Status::Connected(welcome.clone()));
            }
            if !is_reading {
                heartbeat.heard(Instant::now());
            }
        };
        if opened.is_some_and(|opened| opened.elapsed() >= PROVED) {
            backoff.reset();
        }
        ended
    }

    /// It is over. What came before that is still delivered, unless the application itself has
    /// closed the client.
    async fn finish(mut self, error: Error) {
        let is_closed = error == Error::Stopped;
        // First: who finds its queue or answer closed looks here for the reason.
        self.status.send_replace(Status::Closed(error.clone()));
        self.state.fail(&error);
        drop((self.inputs.commands, self.inputs.partings));
        if let Some(closing) = self.inputs.closing {
            // Who closed it may not wait any more.
            let _ = closing.send(());
        }
        while !is_closed && !self.state.deliveries.is_empty() {
            self.state.deliveries.deliver().await;
        }
    }
}

/// What the link does next. May be dropped at any time.
async fn next_step<L: Link>(link: &mut L, is_reading: bool, has_outgoing: bool) -> Step {
    let step = |context: &mut Context<'_>| {
        match link.poll_ready(context) {
            Poll::Ready(Err(error)) => return Poll::Ready(Step::Broke(error)),
            Poll::Ready(Ok(())) if has_outgoing => return Poll::Ready(Step::Room),
            _ => {}
        }
        if !is_reading {
            return Poll::Pending;
        }
        link.poll_receive(context).map(|received| match received {
            Ok(received) => Step::Received(received),
            Err(error) => Step::Broke(error),
        })
    };
    poll_fn(step).await
}

fn apply_step<L: Link>(step: Step, link: &mut L, state: &mut State) -> Result<(), Ended> {
    match step {
        Step::Room => {
            if let Some(frame) = state.next_outgoing() {
                link.send(frame);
            }
            Ok(())
        }
        Step::Received(Received::Frame(frame)) => state.receive(&frame),
        Step::Received(Received::Alive) => Ok(()),
        Step::Received(Received::Closed { code, reason }) => Err(state.closed(code, reason)),
        Step::Broke(error) => Err(state.broke(error)),
    }
}

/// Closes a link as politely as a second allows.
async fn close<L: Link>(link: &mut L) {
    link.close();
    let closed = async {
        loop {
            let end = next_step(link, true, false).await;
            if let Step::Broke(_) | Step::Received(Received::Closed { .. }) = end {
                return;
            }
        }
    };
    // A server that does not answer in time is left alone.
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
}
