use std::fs;
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Setup, Target, Tools, printed_version};
use crate::install::libraries;
use crate::load::dialogue::{Dialogue, Heard, Subscription};
use crate::load::frames;
use crate::load::publisher::{OverTcp, Telling, converse};

/// Nchan: a module of nginx that keeps messages in shared memory; published to over HTTP.
pub(crate) struct Nchan;

const OWN_FOLDER: &str = "mount -t tmpfs none /var/lib && mkdir /var/lib/nginx && exec \"$@\"";

impl Target for Nchan {
    fn name(&self) -> &'static str {
        "Nchan"
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        let nginx = printed_version(debian(tools, "usr/sbin/nginx")?.arg("-v"))?;
        let copyright = tools.peers.join("debian/versions.txt");
        let versions = fs::read_to_string(copyright).unwrap_or_default();
        let module = versions.lines().find_map(|line| line.strip_prefix("libnginx-mod-nchan "));
        Ok(format!("{} (nginx {nginx})", module.unwrap_or("unknown")))
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let root = setup.tools.peers.join("debian");
        let directory = setup.directory.display();
        let workers = if setup.core.is_some() { "1" } else { "auto" };
        let config = format!(
            "load_module {}/usr/lib/nginx/modules/ngx_nchan_module.so;\n\
             user root;\ndaemon off;\nworker_processes {workers};\nworker_rlimit_nofile 60000;\n\
             pid {directory}/nginx.pid;\nerror_log {directory}/error.log crit;\n\
             events {{ worker_connections 50000; multi_accept on; }}\n\
             http {{ access_log off; tcp_nodelay on; keepalive_requests 100000000;\n\
             client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;\n\
             fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u;\n\
             scgi_temp_path {directory}/s;\n\
             nchan_shared_memory_size 512M;\n\
             server {{ listen {} backlog=4096;\n\
             location ~ ^/sub/(.+)$ {{ nchan_subscriber websocket; nchan_channel_id $1;\n\
             nchan_subscriber_first_message newest; nchan_websocket_ping_interval 0; }}\n\
             location ~ ^/pub/(.+)$ {{ nchan_publisher http; nchan_channel_id $1;\n\
             nchan_message_buffer_length 100; }} }} }}\n",
            root.display(),
            setup.clients
        );
        let file = setup.directory.join("nginx.conf");
        fs::write(&file, config)?;
        let nginx = debian(setup.tools, "usr/sbin/nginx")?;
        // The module wants the folder that the package would have made, whatever the configuration
        // says; a file system of its own has one.
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", OWN_FOLDER, "sh"]).arg(nginx.get_program());
        for (name, value) in nginx.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.arg("-p").arg(setup.directory).arg("-c").arg(file);
        command.arg("-e").arg(setup.directory.join("start.log"));
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let socket = converse(setup.clients, b"", b"")?;
        let telling = OverTcp(|topic: &str, data: &[u8], out: &mut Vec<u8>| {
            let head = format!(
                "POST /pub/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                data.len()
            );
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(data);
        });
        Ok((socket, Box::new(telling)))
    }
}

impl Dialogue for Nchan {
    fn opening(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        let topic = subscription.topics.first().map_or("", |topic| topic);
        frames::request(&format!("/sub/{topic}"), "")
    }

    fn heard(&self, _: &Subscription<'_>, _: &[u8]) -> Heard {
        Heard::Nothing
    }

    fn is_subscribed_at_once(&self) -> bool {
        true
    }
}

/// A program of an unpacked Debian package, with the libraries that were unpacked beside it.
pub(super) fn debian(tools: &Tools, program: &str) -> Result<Command> {
    let root = tools.peers.join("debian");
    let path = root.join(program);
    let mut command = Command::new(path.exists().then_some(path).context("not installed")?);
    command.env("LD_LIBRARY_PATH", libraries(&tools.peers));
    Ok(command)
}
