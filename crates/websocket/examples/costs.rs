//! What encoding and decoding cost: `cargo run --release -p tidings-websocket --example costs`.
//!
//! Nanoseconds per message on one thread, of 21 batches the median and, for noisy machines, the
//! fastest.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use websocket::{
    Decoder, Deflater, Encoder, Frame, Inflater, Limits, Message, Opcode, Role, apply_mask,
};

const BATCHES: usize = 21;
const BATCH_NS: u128 = 5_000_000;
/// Messages that lie in one read together, as in a burst.
const JOINED: usize = 16;
const CLIENT: Encoder = Encoder::client([0x12, 0x34, 0x56, 0x78]);
const SERVER: Encoder = Encoder::server();

fn main() -> std::io::Result<()> {
    let mut report = format!("{:<52} {:>9} {:>9}\n", "per message", "median ns", "fastest");
    for bytes in [16, 128, 1024, 16 * 1024] {
        let text = json(bytes);
        writing(&mut report, &text);
        reading(&mut report, &text);
        if bytes >= 1024 {
            compression(&mut report, &text);
        }
    }
    std::io::stdout().write_all(report.as_bytes())
}

fn json(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 64);
    let mut step = 0;
    while text.len() < bytes {
        let _ = write!(text, "{{\"topic\":\"run.{step}\",\"loss\":0.{}}}", step * 7919 % 1000);
        step += 1;
    }
    text.truncate(bytes);
    text
}

fn writing(report: &mut String, text: &str) {
    let mut out = Vec::new();
    line(report, &format!("encode, server, {} B", text.len()), || {
        out.clear();
        SERVER.text(&mut out, black_box(text));
        black_box(&out);
    });
    let mut out = Vec::new();
    line(report, &format!("encode, server, length unknown, {} B", text.len()), || {
        out.clear();
        let frame = SERVER.begin(&mut out, text.len());
        out.extend_from_slice(black_box(text).as_bytes());
        frame.finish(&mut out, Frame::whole(Opcode::Text));
        black_box(&out);
    });
    let mut out = Vec::new();
    line(report, &format!("encode, client, {} B", text.len()), || {
        out.clear();
        CLIENT.text(&mut out, black_box(text));
        black_box(&out);
    });
}

fn reading(report: &mut String, text: &str) {
    let mut inflater = Inflater::new();
    for (name, role, encoder) in
        [("server", Role::Server, CLIENT), ("client", Role::Client, SERVER)]
    {
        let mut wire = Vec::new();
        (0..JOINED).for_each(|_| encoder.text(&mut wire, text));
        let mut decoder = Decoder::new(role, Limits::default(), false);
        let mut scratch = wire.clone();
        // Decoding unmasks in place, so the bytes are copied afresh, as a read would.
        joined(report, &format!("decode, {name}, {} B (copy included)", text.len()), || {
            scratch.copy_from_slice(&wire);
            let mut input = &mut scratch[..];
            while let Ok(Some(message)) = decoder.decode(&mut input, &mut inflater) {
                black_box(&message);
            }
        });
    }
    let mut scratch = text.as_bytes().to_vec();
    line(report, &format!("unmask alone, {} B", text.len()), || {
        apply_mask(black_box(&mut scratch), [1, 2, 3, 4]);
    });
}

fn compression(report: &mut String, text: &str) {
    let mut inflater = Inflater::new();
    for level in [1, 6] {
        let mut deflater = Deflater::new(level);
        let mut wire = Vec::new();
        deflater.message(SERVER, &mut wire, Opcode::Text, text.as_bytes());
        let name = format!("level {level}, {} B to {} B", text.len(), wire.len());
        let mut out = Vec::new();
        line(report, &format!("compress, {name}"), || {
            out.clear();
            deflater.message(SERVER, &mut out, Opcode::Text, black_box(text).as_bytes());
            black_box(&out);
        });
        let mut decoder = Decoder::new(Role::Client, Limits::default(), true);
        let mut scratch = wire.clone();
        line(report, &format!("decode compressed, {name}"), || {
            scratch.copy_from_slice(&wire);
            let mut input = &mut scratch[..];
            let message = decoder.decode(&mut input, &mut inflater);
            assert!(matches!(message, Ok(Some(Message::Text(_)))));
        });
    }
}

fn line(report: &mut String, name: &str, work: impl FnMut()) {
    measure(report, name, 1, work);
}

fn joined(report: &mut String, name: &str, work: impl FnMut()) {
    measure(report, name, JOINED, work);
}

fn measure(report: &mut String, name: &str, messages: usize, mut work: impl FnMut()) {
    let mut rounds = 1u32;
    loop {
        let began = Instant::now();
        (0..rounds).for_each(|_| work());
        if began.elapsed().as_nanos() >= BATCH_NS {
            break;
        }
        rounds *= 2;
    }
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let began = Instant::now();
            (0..rounds).for_each(|_| work());
            began.elapsed().as_nanos() as f64 / f64::from(rounds) / messages as f64
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    let median = batches.get(BATCHES / 2).copied().unwrap_or_default();
    let fastest = batches.first().copied().unwrap_or_default();
    let _ = writeln!(report, "{name:<52} {median:>9.1} {fastest:>9.1}");
}
