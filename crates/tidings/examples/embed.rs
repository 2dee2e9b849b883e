//! A server inside an application: worker threads publish readings without waiting, the
//! application itself watches them, and browsers could too.
//!
//! Run it with `cargo run --example embed`.

use std::thread;
use std::time::Duration;

use serde_json::json;
use tidings::{Item, Server, Subscribe};

const CONFIG: &str = r#"
[listen]
public = "127.0.0.1:0"
admin = "127.0.0.1:0"
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start(CONFIG)?;
    eprintln!("browsers would connect to ws://{}/v1/ws", server.bound().public);

    let client = server.client();
    let mut readings = client.subscribe(Subscribe::to(&["oven.*.temperature"])?).await?;

    let ovens: Vec<_> = (1..=3)
        .map(|oven| {
            let publisher = server.publisher();
            thread::spawn(move || {
                for minute in 0..5_u32 {
                    let celsius = 20 + minute * 30 + oven;
                    let data = json!({ "celsius": celsius });
                    // Never waits. A full queue or a draining server is an error to be counted.
                    if let Err(error) =
                        publisher.publish(&format!("oven.{oven}.temperature"), &data)
                    {
                        eprintln!("a reading was not taken: {error}");
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            })
        })
        .collect();

    for _ in 0..15 {
        if let Item::Event(event) = readings.next().await? {
            let data: serde_json::Value = event.json()?;
            eprintln!("{} {} {data}", event.seq, event.topic);
        }
    }
    for oven in ovens {
        oven.join().map_err(|_| "an oven's thread panicked")?;
    }
    server.shut_down();
    Ok(())
}
