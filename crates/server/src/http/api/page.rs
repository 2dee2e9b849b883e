use std::net::SocketAddr;

use axum::response::Html;

use crate::node::Node;

/// `GET /` of a listener for clients: what runs there.
pub(super) fn public(node: &Node, listener: SocketAddr) -> Html<String> {
    let config = node.config();
    let listed: Vec<String> = config
        .endpoints_at(listener)
        .flat_map(|endpoint| endpoint.paths().map(move |path| (path, endpoint.dialect)))
        .map(|(path, dialect)| {
            let (path, dialect) = (path.as_str(), dialect.as_str());
            format!("<li><code>{}</code> WebSocket, {dialect} dialect</li>", escaped(path))
        })
        .collect();
    Html(page(&format!(
        "<p>Tidings delivers events here.</p><ul>{}<li><code>/v1/sse?topics=…</code> \
         server-sent events</li><li><code>/v1/mjpeg/…</code> images</li><li><code>/v1/events?topic=…</code> kept events</li></ul>",
        listed.concat()
    )))
}

/// `GET /` of the admin listener.
pub(super) async fn admin() -> Html<String> {
    Html(page(
        "<p>The admin side.</p><ul><li><a href=\"/v1/health\">health</a></li>\
         <li><a href=\"/v1/streams\">streams</a></li>\
         <li><a href=\"/v1/connections\">connections</a></li>\
         <li><a href=\"/v1/metrics\">metrics</a></li>\
         <li><a href=\"/v1/openapi.json\">the API</a></li></ul>",
    ))
}

fn page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tidings</title>\
         <style>body{{font:16px system-ui;margin:3rem auto;max-width:40rem}}</style>\
         <h1>Tidings {}</h1>{body}</html>",
        env!("CARGO_PKG_VERSION")
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
