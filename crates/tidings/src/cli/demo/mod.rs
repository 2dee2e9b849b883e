use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use server::config::ConfigErrors;
use server::{Bound, Running};
use tidings::assemble::assemble;

use super::failure::{Failure, Result};
use super::logging::Logging;
use super::output::{self, Output};
use super::remote::block_on;
use super::serve;
use super::setup::tell;

use examples::Example;
use settings::Settings;
use shown::{Places, Shown};

/// The examples' pages, and what brings them to life.
mod examples;
/// The configuration: all profiles, each at a port that is free.
mod settings;
/// What is shown and told about the demo, once it is known where it listens.
mod shown;
/// The routes of the pages.
mod pages;

const EXAMPLES: &str = "\
Examples:
  tidings demo
  tidings demo --listen 127.0.0.1:9080 --admin 127.0.0.1:9081

The address to open in a browser is printed, and commands to try. Each profile listens at its usual
port, or, where that is taken, at any free one; with --listen ADDR:0 all take free ones.";

/// The first token of the figures' topics, and the name of their stream.
const ROOT: &str = "host";

/// Run a server that shows what it does
///
/// It publishes this host's figures (processor, memory, disks, network) every second, and serves
/// a page that draws them as they come. All profiles run, each with the page of its example.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to listen for clients (`listen.public`); profiles listen at the same address
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where to listen for publishers and operators, and serve the page (`listen.admin`)
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// The least important level that is logged (`log.level`)
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// Runs it until it is drained.
pub(crate) fn run(args: Args, out: &mut Output) -> Result {
    serve::raise_descriptor_limit();
    let rendered =
        |errors: ConfigErrors| Failure::configuration(errors.render(output::is_colourful()));
    let settings = Arc::new(Settings::find(args).map_err(rendered)?);
    // The page's origin is part of the configuration, and follows from the admin listener's
    // address: known now, or, where its port is any free one, once that is bound.
    let known = settings.known_admin();
    let loaded = settings.load(known).map_err(rendered)?;
    let logging = Logging::start(&loaded.config.log);
    tell(&loaded);
    for moved in settings.moved() {
        output::note(&moved);
    }

    let bound: Arc<OnceLock<Bound>> = Arc::default();
    let reread = {
        let (bound, settings) = (bound.clone(), settings.clone());
        move || {
            let admin = bound.get().map(|bound| bound.admin).or(known);
            let config = settings.load(admin).map_err(|errors| errors.to_string())?.config;
            logging.set_level(config.log.level);
            Ok(config)
        }
    };
    let auth = loaded.config.auth.clone();
    let shown = Shown { bound: bound.clone(), settings, auth: Arc::new(auth) };
    let routes = pages::routes(shown.clone());
    let parts =
        assemble(loaded.config, Box::new(reread), Some(routes)).map_err(serve::not_assembled)?;
    // Before anybody is told that it runs, and may want to end it.
    let signals = serve::Signals::take()?;
    let running = Running::start(parts).map_err(serve::not_started)?;
    // Nothing else sets it.
    let _ = bound.set(running.bound());
    if known.is_none() {
        let reloaded = async { Ok(server::reload::reload(running.node()).await) };
        block_on(reloaded)?.map_err(Failure::failed)?;
    }
    serve::print(&running, out)?;
    if let Some(places) = shown.places().filter(|_| !out.is_json()) {
        print(&places, out)?;
    }
    signals.until_drained(running)
}

/// What to open and what to try.
fn print(places: &Places, out: &mut Output) -> Result {
    out.line(format!("\nOpen http://{} to see this host's figures, live.\n", places.admin))?;
    out.line("There are pages of examples, too; what they show comes from:")?;
    for Example { name, .. } in examples::ALL {
        out.line(format!("  {name:8} {}", places.start(name)))?;
    }
    out.line("\nTry:")?;
    for command in places.commands() {
        out.line(format!("  {command}"))?;
    }
    out.flush()
}

/// An address that other programs of this machine can use.
fn reachable(mut address: SocketAddr, like: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(like.ip());
    }
    address
}
