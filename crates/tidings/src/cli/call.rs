use std::io::Read as _;
use std::time::Duration;

use client::{Call, Error};
use serde_json::value::RawValue;

use super::failure::{Failure, Result};
use super::output::Output;
use super::remote::{Globals, Remote, Side, block_on};

/// Largest data that a server can be configured to take.
const DATA_BYTES_MAX: u64 = 64 << 20;
/// How long a server may take beyond the time that the command has.
const MARGIN: Duration = Duration::from_secs(5);
/// The longest time that a command can have.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

const EXAMPLES: &str = "\
Examples:
  tidings call trainer.pause
  tidings call studio.create_blob '{\"name\":\"draft\"}' --user ada
  tidings call trainer.stop --timeout 2s

DATA that is valid JSON is sent as it stands, anything else as a JSON string; `-` reads it from
standard input. The result is printed as the handler wrote it, or with --json as the member `data`
of one object. An error of the handler makes the exit code 1.";

/// Send a command to what handles it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command, such as `trainer.pause`
    command: String,
    /// What it is given; `-` stands for standard input, and without it that is `null`
    #[arg(allow_negative_numbers = true)]
    data: Option<String>,
    /// In the name of this user
    #[arg(long)]
    user: Option<String>,
    /// Wait no longer than this; the command's route may allow less
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
}

/// A time such as `500ms`, `5s` or `2m`.
pub(super) fn time(text: &str) -> std::result::Result<Duration, String> {
    let form = || "write a time such as 500ms, 5s or 2m, up to an hour".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
    let (number, unit) = text.split_at(digits);
    let factor_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(form()),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor_ms));
    let time = ms.filter(|ms| *ms > 0).map(Duration::from_millis).ok_or_else(form)?;
    if time > TIMEOUT_MAX { Err(form()) } else { Ok(time) }
}

/// Sends the command and prints its result.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let mut remote = globals.remote(Side::Admin)?;
    let call = call_of(&args)?;
    // Without a time the server knows the route's.
    remote.http = remote.http.timeout(args.timeout.unwrap_or(TIMEOUT_MAX) + MARGIN);
    let result =
        block_on(async { remote.http.call(&call).await.map_err(|error| explain(&remote, error)) })?;
    let result = String::from_utf8_lossy(&result);
    if out.is_json() {
        out.json_line(&format!("{{\"data\":{result}}}"))
    } else {
        out.line(&*result)
    }
}

fn call_of(args: &Args) -> Result<Call> {
    let wrong = |error: Error| Failure::usage(error.to_string());
    let mut call = Call::new(&args.command).map_err(wrong)?;
    let data = match args.data.as_deref() {
        Some("-") => Some(read()?),
        data => data.map(str::to_owned),
    };
    if let Some(data) = data {
        let is_json = serde_json::from_str::<&RawValue>(&data).is_ok();
        call = match is_json {
            true => call.json_text(data.trim().to_owned()),
            false => call.json(&data),
        }
        .map_err(wrong)?;
    }
    if let Some(user) = &args.user {
        call = call.user(user);
    }
    Ok(match args.timeout {
        Some(timeout) => call.timeout(timeout),
        None => call,
    })
}

fn read() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(DATA_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

/// Shows what the handler added, too.
fn explain(remote: &Remote, error: Error) -> Failure {
    let details = match &error {
        Error::Refused(refusal) => refusal.details.clone(),
        _ => None,
    };
    let failure = remote.explain(error);
    match details {
        Some(details) => failure.hint(format!("details: {}", super::text::escaped(&details))),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let ms = |text| time(text).map(|time| time.as_millis());
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("5s"), Ok(5_000));
        assert_eq!(ms("2m"), Ok(120_000));
        assert_eq!(ms("1h"), Ok(3_600_000));
        for wrong in ["", "5", "s", "0s", "61m", "-1s", "1d", "99999999999999999999s"] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
    }
}
