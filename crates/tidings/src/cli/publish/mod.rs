/// How long a publish is tried.
mod patience;
/// Standard input, line by line.
mod lines;
/// Publishing lines as they come.
mod feed;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use client::{Appended, Audience, Publish};
use protocol::{ClientId, dialects::native::push_appended};
use serde_json::value::RawValue;

use super::failure::{Failure, Result};
use super::output::Output;
use super::remote::{Globals, Side, block_on};
use patience::Patience;

/// Largest data that a server can be configured to take.
const DATA_BYTES_MAX: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  tidings publish news.local '{\"headline\":\"hello\"}'
  tidings publish news.local hello --user ada
  tail -f app.log | tidings publish app.log - --string
  tidings publish camera.front --file front.jpg --content-type image/jpeg

DATA that is valid JSON is published as it stands, anything else as a JSON string. `-` publishes
each line of standard input, in order; empty lines are skipped. The position of the event is
printed as `subscribe --after` takes it; of lines it is that of the last one, or with --json one
object per line. A line that the server refuses is told and the others go on; the exit code is
then 1. Every event carries an id, so that what is sent again after a broken connection is kept
once.";

/// Publish an event
#[derive(clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "tidings publish [OPTIONS] <TOPIC> <DATA | - | --file FILE>",
    group = clap::ArgGroup::new("what").required(true).args(["data", "file"]),
    group = clap::ArgGroup::new("audience").args(["user", "group", "client"])
)]
pub(crate) struct Args {
    /// What the event is about, such as `news.local`
    topic: String,
    /// What it carries; `-` stands for the lines of standard input
    #[arg(allow_negative_numbers = true)]
    data: Option<String>,
    /// Only this user may see it
    #[arg(long)]
    user: Option<String>,
    /// Only members of this group may see it
    #[arg(long)]
    group: Option<String>,
    /// Only this connection may see it
    #[arg(long, value_name = "ID", value_parser = client_id)]
    client: Option<ClientId>,
    /// The idempotency id: what is published again with the same one is kept once
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Publish DATA, or each line, as a string even if it is valid JSON
    #[arg(long, conflicts_with = "file")]
    string: bool,
    /// Publish the bytes of this file; `-` stands for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What the file holds, with --file; `application/json` makes it an event with JSON data
    #[arg(
        long,
        value_name = "TYPE",
        requires = "file",
        conflicts_with = "data",
        default_value = "application/octet-stream"
    )]
    content_type: String,
}

/// Publishes one event, or every line.
pub(crate) fn run(args: Args, globals: &Globals, out: &mut Output) -> Result {
    let remote = globals.remote(Side::Admin)?;
    if args.data.as_deref() == Some("-") {
        if args.id.is_some() {
            return Err(Failure::usage("one id cannot stand for every line")
                .hint("without --id each line gets an id of its own"));
        }
        let template = Template::new(&args)?;
        return block_on(feed::run(&remote, &template, out));
    }
    let message = message(&args)?;
    let mut patience = Patience::new();
    let appended = block_on(async {
        loop {
            match remote.http.publish(&message).await {
                Ok(appended) => return Ok(appended),
                Err(error) if patience::may_be_repeated(&error) => {
                    patience.wait(&error).await.map_err(|()| remote.explain(error))?;
                }
                Err(error) => return Err(remote.explain(error)),
            }
        }
    })?;
    print(&appended, out)
}

fn client_id(text: &str) -> std::result::Result<ClientId, String> {
    ClientId::parse(text).map_err(|error| error.message)
}

/// The one event of a command line.
fn message(args: &Args) -> Result<Publish> {
    let message = match &args.file {
        Some(file) => {
            let bytes = read(file)?;
            Publish::bytes(&args.topic, &args.content_type, bytes)
                .map_err(wrong)?
                .audience(audience(args))
        }
        None => Template::new(args)?.message(args.data.as_deref().unwrap_or_default())?,
    };
    Ok(message.key(args.id.clone().unwrap_or_else(new_id)))
}

/// Who may see the event.
fn audience(args: &Args) -> Audience {
    match (&args.user, &args.group, args.client) {
        (Some(user), ..) => Audience::User(user.as_str().into()),
        (_, Some(group), _) => Audience::Group(group.as_str().into()),
        (_, _, Some(client)) => Audience::Client(client),
        _ => Audience::Everyone,
    }
}

/// What the events of a command line have in common.
struct Template {
    topic: String,
    audience: Audience,
    is_string: bool,
}

impl Template {
    fn new(args: &Args) -> Result<Self> {
        // Before anything is read, so that a wrong topic is told at once.
        protocol::Topic::parse(&args.topic).map_err(|error| wrong(error.into()))?;
        let (topic, is_string) = (args.topic.clone(), args.string);
        Ok(Self { topic, audience: audience(args), is_string })
    }

    /// Valid JSON is JSON, anything else a string.
    fn message(&self, text: &str) -> Result<Publish> {
        let is_json = !self.is_string && serde_json::from_str::<&RawValue>(text).is_ok();
        let message = if is_json {
            Publish::json_text(&self.topic, text.trim().to_owned())
        } else {
            Publish::json(&self.topic, &text)
        };
        Ok(message.map_err(wrong)?.audience(self.audience.clone()))
    }
}

fn wrong(error: client::Error) -> Failure {
    Failure::usage(error.to_string())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let name = file.display();
    let cannot = |error: std::io::Error| Failure::failed(format!("cannot read {name}: {error}"));
    let mut bytes = Vec::new();
    // One byte more than may be shows that there are too many.
    let most = DATA_BYTES_MAX + 1;
    if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        let file = std::fs::File::open(file).map_err(cannot)?;
        file.take(most).read_to_end(&mut bytes).map_err(cannot)?;
    }
    if bytes.len() as u64 >= most {
        return Err(Failure::failed(format!("{name} is larger than the data of any event may be")));
    }
    Ok(bytes)
}

/// An id that nobody else has.
fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Prints where an event stands.
fn print(appended: &Appended, out: &mut Output) -> Result {
    if out.is_json() {
        let mut line = Vec::new();
        push_appended(appended, &mut line);
        return out.line(line);
    }
    let Appended { stream, epoch, seq, duplicate, .. } = appended;
    let known = if *duplicate { "  (the id was known)" } else { "" };
    out.line(format!("{stream}:{epoch}:{seq}{known}"))
}
