/// A program that answers a command.
mod program;

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Error, HandlerCall, Options};
use protocol::Pattern;
use tokio::sync::mpsc;

use super::call::time;
use super::failure::{Failure, Result};
use super::output::{Output, note};
use super::remote::{Globals, Side, block_on, explain};
use super::text::{escaped, span};
use program::Program;

/// Lines that wait to be printed; more are left out.
const LINES_MAX: usize = 1_024;

const EXAMPLES: &str = "\
Examples:
  tidings handle 'trainer.*' -- ./trainer-command
  tidings handle echo -- cat
  tidings handle studio.create_blob --at-once 4 --timeout 30s -- python3 create_blob.py

For each command the program is run: its standard input is the command's data as JSON, its standard
output the result as JSON (nothing is `null`). TIDINGS_COMMAND and TIDINGS_USER are the command and
who sent it. Another exit code than 0 makes the answer an error with the last line of its standard
error. Lost connections are made again. What is answered is told line by line.

The server must allow it: a role's `handle` names the patterns.";

/// Handle commands with a program
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which commands: names, or patterns such as `trainer.*`
    #[arg(required = true, value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Run so many programs at a time; other commands wait
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=512)
    )]
    at_once: u16,
    /// Kill a program that takes longer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    timeout: Duration,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// What was answered.
struct Line {
    call: HandlerCall,
    took: Duration,
    failure: Option<String>,
}

/// Handles commands until the connection is over for good.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    for pattern in &args.patterns {
        Pattern::parse(pattern).map_err(|error| Failure::usage(error.message))?;
    }
    let program = Program::new(&args.program, args.timeout)?;
    let options = Options { token: globals.token().map(str::to_owned), ..Options::default() };
    block_on(serve(&args, program, globals.url(), options, out))
}

async fn serve(
    args: &Args,
    program: Program,
    url: &str,
    options: Options,
    out: &mut Output,
) -> Result {
    let client = Client::connect(url, options).await.map_err(failure)?;
    let handling = client.handle(&args.patterns).await.map_err(failure)?;
    note(&format!("handling {}", args.patterns.join(", ")));
    let (lines, mut printed) = mpsc::channel(LINES_MAX);
    let program = Arc::new(program);
    let serving = handling.serve(args.at_once.into(), move |call| {
        let (program, lines) = (program.clone(), lines.clone());
        async move {
            let (began, for_program) = (Instant::now(), call.clone());
            let run = tokio::task::spawn_blocking(move || program.run(&for_program));
            let result = run.await.unwrap_or_else(|_| Err(program::failed("it cannot be run")));
            let failure = result.as_ref().err().map(|error| error.message.clone());
            // Who does not take the lines does without some.
            let _ = lines.try_send(Line { call, took: began.elapsed(), failure });
            result
        }
    });
    tokio::pin!(serving);
    loop {
        tokio::select! {
            error = &mut serving => return Err(failure(error)),
            Some(line) = printed.recv() => {
                print(&line, out)?;
                out.flush()?;
            }
        }
    }
}

fn failure(error: Error) -> Failure {
    let is_forbidden = matches!(&error, Error::Refused(refusal) if refusal.code == "forbidden");
    let failure = explain(error, Side::Public);
    if is_forbidden {
        failure.hint("a role's `handle` names the commands that its clients may handle")
    } else {
        failure
    }
}

fn print(line: &Line, out: &mut Output) -> Result {
    let Line { call, took, failure } = line;
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if out.is_json() {
        let object = serde_json::json!({
            "command": call.command.as_str(),
            "user": call.user.as_deref(),
            "ok": failure.is_none(),
            "error": failure,
            "took_ms": ms,
        });
        return out.json_line(&object.to_string());
    }
    let user = call.user.as_deref().map(|user| format!(" for {user}")).unwrap_or_default();
    let how = failure.as_ref().map_or_else(|| "ok".to_owned(), |why| format!("failed: {why}"));
    let text = format!("{}{user}: {how} ({})", call.command, span(ms));
    out.line(&*escaped(&text))
}
