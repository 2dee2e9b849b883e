use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};

use super::examples;
use super::shown::Shown;

/// What the demo's own page is made of: name, media type, contents.
const FILES: &[(&str, &str, &str)] = &[
    ("page.css", "text/css; charset=utf-8", include_str!("../../demo/page.css")),
    ("icon.svg", "image/svg+xml", include_str!("../../demo/icon.svg")),
    ("page.js", SCRIPT, include_str!("../../demo/page.js")),
    ("examples.js", SCRIPT, include_str!("../../demo/examples.js")),
    ("figures.js", SCRIPT, include_str!("../../demo/figures.js")),
    ("charts.js", SCRIPT, include_str!("../../demo/charts.js")),
    ("events.js", SCRIPT, include_str!("../../demo/events.js")),
    ("client.js", SCRIPT, include_str!("../../demo/client.js")),
    ("connection.js", SCRIPT, include_str!("../../demo/connection.js")),
    ("positions.js", SCRIPT, include_str!("../../demo/positions.js")),
    ("patterns.js", SCRIPT, include_str!("../../demo/patterns.js")),
];
const DEMO: &str = include_str!("../../demo/page.html");
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const PAGE: &str = "text/html; charset=utf-8";

/// The demo's page and those of the examples.
pub(super) fn routes(shown: Shown) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/demo/server.json", get(server_json))
        .route("/demo/{file}", get(file))
        .route("/examples/{*path}", get(example))
        .with_state(shown)
}

async fn page(State(shown): State<Shown>) -> Response {
    guarded(part(PAGE, DEMO), shown.places().and_then(|places| places.policy()))
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, media_type, contents)) => part(media_type, contents),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The same paths as in the repository; a folder is its page.
async fn example(State(shown): State<Shown>, Path(path): Path<String>) -> Response {
    let is_it = |known: &str| {
        known == path || known.strip_suffix("index.html").is_some_and(|folder| folder == path)
    };
    let Some((_, media_type, contents)) = examples::FILES.iter().find(|file| is_it(file.0)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let response = part(media_type, contents);
    if *media_type != PAGE {
        return response;
    }
    let name = path.split('/').next().unwrap_or_default();
    guarded(response, shown.places().and_then(|places| places.policy_of(name)))
}

async fn server_json(State(shown): State<Shown>) -> Response {
    let Some(places) = shown.places() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let server = places.json().to_string();
    ([(header::CONTENT_TYPE, "application/json"), NOT_KEPT], server).into_response()
}

/// A newer version of the binary has newer parts.
const NOT_KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-cache");

fn part(media_type: &'static str, contents: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, media_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff"), NOT_KEPT];
    (headers, contents).into_response()
}

/// A page may reach what it needs, and nothing else.
fn guarded(mut response: Response, policy: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    if let Some(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_page_is_served() {
        let texts = FILES.iter().map(|(_, _, text)| *text).chain([DEMO]);
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
}
