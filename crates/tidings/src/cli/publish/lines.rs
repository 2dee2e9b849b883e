use std::io::{self, BufRead, BufReader, Read};

use tokio::sync::mpsc;

/// Most lines that are handed over together, and so published in one request.
const LINES_MAX: usize = 500;
/// Most bytes of lines that are handed over together, unless a single one is longer: with its
/// envelope a request stays far below what a server takes by default.
const BYTES_MAX: usize = 1 << 20;
/// Most bytes of a line: as much as the data of any event may have.
const LINE_BYTES_MAX: usize = super::DATA_BYTES_MAX as usize;
/// Lines that wait are counted in what is handed over together. Where publishing is slower than
/// reading, the pipe itself holds the rest.
const WAITING_MAX: usize = 2;
const READ_BYTES: usize = 256 << 10;

/// A line, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) text: String,
}

/// Lines that were there at the same time, or why there are no more.
pub(super) type Lines = Result<Vec<Line>, String>;

/// Reads standard input on a thread of its own, for it cannot be waited for otherwise.
pub(super) fn read_stdin() -> mpsc::Receiver<Lines> {
    let (lines, taken) = mpsc::channel(WAITING_MAX);
    std::thread::spawn(move || read(io::stdin(), |batch| lines.blocking_send(batch).is_ok()));
    taken
}

/// Reads all lines, those together that are there already; ends early where nobody takes them.
fn read(input: impl Read, mut take: impl FnMut(Lines) -> bool) {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let mut number = 0;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    loop {
        let line = next(&mut input, &mut number);
        let is_end = !matches!(line, Ok(Some(_)));
        if let Ok(Some(line)) = &line {
            bytes += line.text.len();
        }
        let error = match line {
            Ok(Some(line)) => {
                if !line.text.is_empty() {
                    batch.push(line);
                }
                None
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let is_full = batch.len() >= LINES_MAX || bytes >= BYTES_MAX;
        let must_wait = !input.buffer().contains(&b'\n');
        if !batch.is_empty() && (is_end || is_full || must_wait) {
            bytes = 0;
            if !take(Ok(std::mem::take(&mut batch))) {
                return;
            }
        }
        if let Some(error) = error {
            take(Err(error));
        }
        if is_end {
            return;
        }
    }
}

/// The next line without its end; `None` at the end of the input.
fn next(input: &mut BufReader<impl Read>, number: &mut u64) -> Result<Option<Line>, String> {
    let mut line = Vec::new();
    // Two bytes for the line's end.
    let most = (LINE_BYTES_MAX + 2) as u64;
    let read = input.by_ref().take(most).read_until(b'\n', &mut line);
    read.map_err(|error| format!("cannot read standard input: {error}"))?;
    if line.is_empty() {
        return Ok(None);
    }
    *number += 1;
    let number = *number;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("line {number} is longer than {LINE_BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(line).map_err(|_| format!("line {number} is not UTF-8"))?;
    Ok(Some(Line { number, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(input: &[u8]) -> Vec<Result<Vec<(u64, String)>, String>> {
        let mut batches = Vec::new();
        read(input, |batch| {
            let plain = |line: Line| (line.number, line.text);
            batches.push(batch.map(|lines| lines.into_iter().map(plain).collect()));
            true
        });
        batches
    }

    #[test]
    fn lines_that_are_there_come_together() {
        let line = |number, text: &str| (number, text.to_owned());
        assert_eq!(
            batches(b"a\r\n\n{\"b\":1}\nc"),
            [Ok(vec![line(1, "a"), line(3, "{\"b\":1}")]), Ok(vec![line(4, "c")])]
        );
        assert!(batches(b"\n\n").is_empty());
        assert!(batches(b"").is_empty());
    }

    #[test]
    fn many_lines_come_in_parts() {
        let parts: Vec<usize> =
            batches(&b"x\n".repeat(1_200)).into_iter().map(|batch| batch.unwrap().len()).collect();
        assert_eq!(parts, [500, 500, 200]);
    }

    #[test]
    fn what_stands_before_a_broken_line_is_there() {
        let batches = batches(b"a\n\xff\nb\n");
        assert_eq!(batches[0], Ok(vec![(1, "a".to_owned())]));
        assert_eq!(batches[1], Err("line 2 is not UTF-8".to_owned()));
        assert_eq!(batches.len(), 2);
    }

    #[test]
    fn nothing_is_read_for_nobody() {
        let mut calls = 0;
        read(&b"x\n".repeat(2_000)[..], |_| {
            calls += 1;
            false
        });
        assert_eq!(calls, 1);
    }
}
