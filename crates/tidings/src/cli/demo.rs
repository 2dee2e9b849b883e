use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use server::config::{ConfigFile, LoadOptions, Loaded, Overrides, load};
use server::{Bound, Running};
use tidings::assemble::assemble;

use super::failure::{Failure, Result};
use super::logging::Logging;
use super::output::{self, Output};
use super::remote::block_on;
use super::serve;
use super::setup::{environment, tell};

const EXAMPLES: &str = "\
Examples:
  tidings demo
  tidings demo --listen 127.0.0.1:9080 --admin 127.0.0.1:9081

The address to open in a browser is printed, and commands to try.";

/// The first token of the figures' topics, and the name of their stream.
const ROOT: &str = "host";
/// Topics of figures, which would crowd out all others in the list.
const FIGURES: [&str; 6] = ["cpu", "memory", "disk", "network", "gpu", "system_stats"];
/// Few enough that whoever is away for two minutes sees what a gap is.
const KEPT_EVENTS: u32 = 600;
/// Memory for the newest events, from which clients are served whatever is kept: less than all
/// that is kept, so that what is not kept any more is really gone.
const TAIL: &str = "64KiB";

/// What the page is made of: name, media type, contents.
const FILES: &[(&str, &str, &str)] = &[
    ("page.css", "text/css; charset=utf-8", include_str!("../demo/page.css")),
    ("icon.svg", "image/svg+xml", include_str!("../demo/icon.svg")),
    ("page.js", SCRIPT, include_str!("../demo/page.js")),
    ("figures.js", SCRIPT, include_str!("../demo/figures.js")),
    ("charts.js", SCRIPT, include_str!("../demo/charts.js")),
    ("events.js", SCRIPT, include_str!("../demo/events.js")),
    ("client.js", SCRIPT, include_str!("../demo/client.js")),
    ("connection.js", SCRIPT, include_str!("../demo/connection.js")),
    ("positions.js", SCRIPT, include_str!("../demo/positions.js")),
    ("patterns.js", SCRIPT, include_str!("../demo/patterns.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PAGE: &str = include_str!("../demo/page.html");

/// Run a server that shows what it does
///
/// It publishes this host's figures (processor, memory, disks, network) every second, and serves
/// a page that draws them as they come.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to listen for clients (`listen.public`)
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
    let rendered = |errors: server::config::ConfigErrors| {
        Failure::configuration(errors.render(output::is_colourful()))
    };
    // The page's origin is part of the configuration, and follows from the admin listener's
    // address: known now, or, where its port is any free one, once that is bound.
    let admin = args.load(None).map_err(rendered)?.config.listen.admin;
    let known = (admin.port() != 0).then_some(admin);
    let loaded = args.load(known).map_err(rendered)?;
    let logging = Logging::start(&loaded.config.log);
    tell(&loaded);

    let bound: Arc<OnceLock<Bound>> = Arc::default();
    let for_reread = bound.clone();
    let reread = move || {
        let admin = for_reread.get().map(|bound| bound.admin).or(known);
        let config = args.load(admin).map_err(|errors| errors.to_string())?.config;
        logging.set_level(config.log.level);
        Ok(config)
    };
    let parts = assemble(loaded.config, Box::new(reread), Some(routes(bound.clone())))
        .map_err(serve::not_assembled)?;
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
    if !out.is_json() {
        print(running.bound(), out)?;
    }
    signals.until_drained(running)
}

impl Args {
    fn load(
        &self,
        admin: Option<SocketAddr>,
    ) -> std::result::Result<Loaded, server::config::ConfigErrors> {
        let file = ConfigFile::Text { name: "demo.toml".into(), text: configuration(admin) };
        let overrides = Overrides {
            listen: self.listen.clone(),
            admin: self.admin.clone(),
            log_level: self.log_level.clone(),
            ..Overrides::default()
        };
        let options = LoadOptions { profiles: Vec::new(), file, overrides };
        load(&options, environment())
    }
}

/// The demo's configuration; only the page of the admin listener may connect from a browser.
fn configuration(admin: Option<SocketAddr>) -> String {
    let origins = admin.map_or_else(Vec::new, |admin| {
        vec![format!("http://{admin}"), format!("http://localhost:{}", admin.port())]
    });
    format!(
        "[limits]\ntail_bytes = \"{TAIL}\"\n\n\
         [[stream]]\nname = \"{ROOT}\"\ntopics = [\"{ROOT}.>\"]\n\
         retain = {{ count = {KEPT_EVENTS} }}\n\n\
         [[source]]\nkind = \"host\"\nroot = \"{ROOT}\"\ninterval = \"1s\"\n\n\
         [[endpoint]]\npath = \"/v1/ws\"\nheartbeat = \"10s\"\norigins = {origins:?}\n"
    )
}

/// What to open and what to try.
fn print(bound: Bound, out: &mut Output) -> Result {
    out.line(format!("\nOpen http://{} to see this host's figures, live.\n\nTry:", bound.admin))?;
    for command in commands(bound) {
        out.line(format!("  {command}"))?;
    }
    out.flush()
}

/// Commands that show something on the page, or what the page shows.
fn commands(bound: Bound) -> [String; 3] {
    let option = |name: &str, port: u16, usual: u16, address: SocketAddr| {
        let is_usual = port == usual && address.ip().is_loopback();
        if is_usual { String::new() } else { format!(" {name} http://{address}") }
    };
    let admin = option("--admin-url", bound.admin.port(), 8081, bound.admin);
    let mut public = bound.public;
    if public.ip().is_unspecified() {
        public.set_ip(bound.admin.ip());
    }
    let public = option("--url", public.port(), 8080, public);
    [
        format!("tidings publish{admin} news.local '{{\"headline\":\"hello\"}}'"),
        format!("vmstat -n 1 | tidings publish{admin} {ROOT}.vmstat -"),
        format!("tidings subscribe{public} '{ROOT}.>'"),
    ]
}

/// The page and its parts.
fn routes(bound: Arc<OnceLock<Bound>>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/demo/server.json", get(server_json))
        .route("/demo/{file}", get(file))
        .with_state(bound)
}

type Shown = State<Arc<OnceLock<Bound>>>;

async fn page(State(bound): Shown) -> Response {
    let mut response = part("text/html; charset=utf-8", PAGE);
    let headers = response.headers_mut();
    if let Some(policy) = bound.get().and_then(|bound| policy(bound.public)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, media_type, contents)) => part(media_type, contents),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Where the page finds the server: `host` is `null` where it is the page's own.
async fn server_json(State(bound): Shown) -> Response {
    let Some(bound) = bound.get().copied() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let server = json!({
        "host": host_apart(bound.public),
        "port": bound.public.port(),
        "root": ROOT,
        "stream": ROOT,
        "figures": FIGURES.map(|name| format!("{ROOT}.{name}")),
        "commands": commands(bound),
    });
    ([(header::CONTENT_TYPE, "application/json"), NOT_KEPT], server.to_string()).into_response()
}

/// Where clients cannot be reached under the page's own host name.
fn host_apart(public: SocketAddr) -> Option<String> {
    let ip = public.ip();
    if ip.is_loopback() || ip.is_unspecified() {
        return None;
    }
    Some(if let IpAddr::V6(ip) = ip { format!("[{ip}]") } else { ip.to_string() })
}

/// Scripts, styles and pictures from here, and a WebSocket to the public listener.
fn policy(public: SocketAddr) -> Option<HeaderValue> {
    let port = public.port();
    let sockets = match host_apart(public) {
        Some(host) => format!("ws://{host}:{port}"),
        None => format!("ws://127.0.0.1:{port} ws://localhost:{port}"),
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}

/// A newer version of the binary has newer parts.
const NOT_KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-cache");

fn part(media_type: &'static str, contents: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, media_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff"), NOT_KEPT];
    (headers, contents).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_page_is_served() {
        let texts = FILES.iter().map(|(_, _, text)| *text).chain([PAGE]);
        let mut named = 0;
        for text in texts {
            for quoted in text.split('"') {
                let file = quoted.strip_prefix("/demo/").or_else(|| quoted.strip_prefix("./"));
                let Some(file) = file else { continue };
                let is_served =
                    file == "server.json" || FILES.iter().any(|(known, ..)| *known == file);
                assert!(is_served, "{file}");
                named += 1;
            }
        }
        assert!(named > FILES.len(), "{named}");
    }

    #[test]
    fn only_the_page_itself_may_connect() {
        let text = configuration(Some("127.0.0.1:81".parse().unwrap()));
        let config = server::config::parse(&text).unwrap().config;
        let origins: Vec<_> = config.endpoints.iter().flat_map(|e| &e.origins).collect();
        let origins: Vec<_> = origins.iter().map(|origin| origin.as_str()).collect();
        assert_eq!(origins, ["http://127.0.0.1:81", "http://localhost:81"]);
    }

    #[test]
    fn the_page_may_open_sockets_to_the_public_listener_only() {
        let policy_of = |address: &str| {
            let policy = policy(address.parse().unwrap()).unwrap();
            policy.to_str().unwrap().to_owned()
        };
        let own = "connect-src 'self' ws://127.0.0.1:82 ws://localhost:82;";
        assert!(policy_of("0.0.0.0:82").contains(own));
        assert!(policy_of("10.1.2.3:82").contains("connect-src 'self' ws://10.1.2.3:82;"));
    }
}
