use serde_json::json;
use server::auth::mint::{TTL_MS_MAX, TokenRequest, mint};
use server::config::Timespan;

use super::failure::{Failure, Result};
use super::output::Output;
use super::setup::Setup;

const EXAMPLES: &str = "\
Examples:
  tidings token --user ann
  tidings token --user ann --device phone --role editor --ttl 12h
  tidings subscribe 'news.>' --token \"$(tidings token --user me)\"

Prints the token. With --json one object: {\"token\",\"expires_at\"}, the time in ms since 1970.";

/// Make a token with the key of the configuration that is a secret
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The user
    #[arg(long, value_name = "USER")]
    user: String,
    /// The user's device
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// A role besides `default`; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A group that the bearer is a member of; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// For how long it is good
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: Timespan,
    #[command(flatten)]
    setup: Setup,
}

/// Makes a token. No server is asked: whoever can read the key can make one.
pub(crate) fn run(args: Args, out: &mut Output) -> Result {
    let Args { user, device, roles, groups, ttl, setup } = args;
    let ttl_ms = ttl.as_ms();
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        return Err(Failure::usage("--ttl must be from 1ms to 366 days".to_owned()));
    }
    let loaded = setup.load()?;
    let request = TokenRequest { user, device, roles, groups, ttl_ms };
    let minted = mint(&loaded.config.auth, &request, server::clock::wall_ms())
        .map_err(|error| Failure::usage(error.message))?;
    if out.is_json() {
        let answer = json!({ "token": minted.token, "expires_at": minted.expires_at_ms });
        return out.line(answer.to_string());
    }
    out.line(minted.token)
}
