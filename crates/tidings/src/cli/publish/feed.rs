use std::time::{Duration, Instant};

use client::{Appended, Error, Publish};
use serde_json::json;

use super::lines::{Line, read_stdin};
use super::patience::{Patience, may_be_repeated};
use super::{Template, new_id, print};
use crate::cli::failure::{Failure, Result};
use crate::cli::output::{self, Output};
use crate::cli::remote::Remote;

/// How often the rate is shown.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// An event on its way, with its line's number.
type Message = (u64, Publish);
/// What became of the events of one request.
type Answers = Vec<std::result::Result<Appended, Error>>;

/// Publishes lines of standard input as they come, in order: one request at a time, with as many
/// lines as there are meanwhile.
pub(super) async fn run(remote: &Remote, template: &Template, out: &mut Output) -> Result {
    let mut feed = Feed {
        remote,
        out,
        patience: Patience::new(),
        batch_max: usize::MAX,
        counts: Counts::new(),
        last: None,
    };
    let mut lines = read_stdin();
    // One id for this run; lines are told apart by their number.
    let id = new_id();
    let ended = loop {
        match lines.recv().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(Failure::failed(error)),
            Some(Ok(batch)) => {
                let messages: Result<Vec<Message>> =
                    batch.iter().map(|line| message(template, &id, line)).collect();
                if let Err(failure) = feed.publish(&messages?).await {
                    break Err(failure);
                }
            }
        }
    };
    feed.finish(ended)
}

fn message(template: &Template, id: &str, line: &Line) -> Result<Message> {
    let message = template.message(&line.text)?;
    Ok((line.number, message.key(format!("{id}-{}", line.number))))
}

struct Feed<'a> {
    remote: &'a Remote,
    out: &'a mut Output,
    patience: Patience,
    /// Most events of the next request: fewer where the server has just refused more.
    batch_max: usize,
    counts: Counts,
    last: Option<Appended>,
}

impl Feed<'_> {
    /// Publishes all of them, or fails where that cannot work.
    async fn publish(&mut self, mut rest: &[Message]) -> Result {
        while !rest.is_empty() {
            let (now, _) = rest.split_at(self.batch_max.min(rest.len()));
            let messages: Vec<Publish> = now.iter().map(|(_, message)| message.clone()).collect();
            let done = match self.remote.http.publish_all(&messages).await {
                Ok(answers) => self.take(now, answers).await?,
                Err(error) if may_be_repeated(&error) => {
                    self.wait(error).await?;
                    0
                }
                // One of them spoils the request: it is found by asking for fewer.
                Err(error) if is_about_content(&error) && now.len() > 1 => {
                    self.batch_max = now.len() / 2;
                    0
                }
                Err(error) if is_about_content(&error) => {
                    now.iter().try_for_each(|(line, _)| self.refuse(*line, &error))?;
                    now.len()
                }
                Err(error) => return Err(self.remote.explain(error)),
            };
            if done > 0 {
                self.batch_max = self.batch_max.saturating_mul(2);
            }
            rest = rest.get(done..).unwrap_or_default();
        }
        self.out.flush()?;
        self.counts.show_now_and_then();
        Ok(())
    }

    /// Tells what became of events; returns how many are settled. Those from which on all may work
    /// later are tried again, in their order.
    async fn take(&mut self, sent: &[Message], mut answers: Answers) -> Result<usize> {
        let is_later =
            |answer: &std::result::Result<_, Error>| answer.as_ref().is_err_and(may_be_repeated);
        let later = answers.iter().rev().take_while(|answer| is_later(answer)).count();
        let settled = answers.len() - later;
        let postponed = answers.drain(settled..).find_map(std::result::Result::err);
        for ((line, _), answer) in sent.iter().zip(answers) {
            match answer {
                Ok(appended) => {
                    if self.out.is_json() {
                        print(&appended, self.out)?;
                    }
                    self.counts.published += 1;
                    self.last = Some(appended);
                }
                Err(error) => self.refuse(*line, &error)?,
            }
        }
        if settled > 0 {
            self.patience.renew();
        }
        if let Some(error) = postponed {
            self.wait(error).await?;
        }
        Ok(settled)
    }

    async fn wait(&mut self, error: Error) -> Result {
        if self.patience.is_surprised() {
            output::note(&format!("{error}; trying again"));
        }
        self.patience.wait(&error).await.map_err(|()| self.remote.explain(error))
    }

    /// Tells that a line was not taken.
    fn refuse(&mut self, line: u64, error: &Error) -> Result {
        self.counts.refused += 1;
        output::note(&format!("line {line}: {error}"));
        if let (Error::Refused(refusal), true) = (error, self.out.is_json()) {
            let error = json!({ "code": refusal.code, "message": refusal.message });
            self.out.line(json!({ "error": error, "line": line }).to_string())?;
        }
        Ok(())
    }

    fn finish(self, ended: Result) -> Result {
        self.counts.show_last();
        if let (Some(last), false) = (&self.last, self.out.is_json()) {
            print(last, self.out)?;
        }
        ended?;
        match self.counts.refused {
            0 => Ok(()),
            refused => Err(Failure::failed(format!(
                "{refused} of {} lines were not published",
                refused + self.counts.published
            ))),
        }
    }
}

/// Whether the server refuses the events and not whoever sends them.
fn is_about_content(error: &Error) -> bool {
    let Error::Refused(refusal) = error else { return false };
    matches!(refusal.code.as_str(), "too_large" | "bad_request" | "invalid_data")
}

/// How many events were published, and how fast.
struct Counts {
    published: u64,
    refused: u64,
    since: Instant,
    shown: Option<Instant>,
}

impl Counts {
    fn new() -> Self {
        Self { published: 0, refused: 0, since: Instant::now(), shown: None }
    }

    fn show_now_and_then(&mut self) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= SHOW_EVERY);
        if is_due && output::is_watched() {
            self.shown = Some(Instant::now());
            output::progress(&self.text());
        }
    }

    fn show_last(&self) {
        if output::is_watched() {
            output::progress("");
            output::note(&self.text());
        }
    }

    fn text(&self) -> String {
        let rate = self.published as f64 / self.since.elapsed().as_secs_f64().max(0.001);
        format!("{} events, {rate:.0}/s", self.published)
    }
}
