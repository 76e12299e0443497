//! The protocol of `--stdin`: one JSON object per input line, one JSON object per output line, in order.
//!
//! If a line cannot be answered (invalid JSON, invalid UTF-8, too long), the output is an object with the field `error`,
//! and the next line follows. An empty line counts as a line.

use std::io::{self, BufRead, Read as _, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Maximum length of a line in bytes: a webhook body of 1 MiB, escaped.
const LINE: u64 = 4 * 1024 * 1024;

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Output {
    /// Text for a person
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Answers every line until the input ends.
///
/// # Errors
/// If the input cannot be read or the output cannot be written.
pub(crate) fn answer_each<Q: DeserializeOwned, A: Serialize>(
    mut input: impl BufRead,
    out: &mut impl Write,
    answer: impl Fn(Q) -> Result<A, String>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return out.flush();
        }
        let whole = line.ends_with(b"\n");
        if !whole && read as u64 == LINE {
            skip_line(&mut input)?;
            write(out, &json!({"error": format!("the line is longer than {LINE} bytes")}))?;
            continue;
        }
        match serde_json::from_slice::<Q>(&line).map_err(|error| format!("invalid line: {error}")).and_then(&answer) {
            Ok(answer) => write(out, &answer)?,
            Err(error) => write(out, &json!({"error": error}))?,
        }
    }
}

/// Writes a value as one line.
///
/// # Errors
/// If the output cannot be written.
pub(crate) fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        let ended = end.is_some() || buffer.is_empty();
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Question {
        n: u32,
    }

    fn ask(input: &[u8]) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        answer_each(
            input,
            &mut out,
            |question: Question| if question.n == 0 { Err("zero".to_owned()) } else { Ok(json!({"twice": question.n * 2})) },
        )
        .unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_a_line_whatever_comes() {
        let answers = ask(b"{\"n\":1}\n\nnonsense\n\xff\xfe\n{\"n\":0}\n{\"n\":3}");
        assert_eq!(answers.len(), 6);
        assert_eq!((&answers[0], &answers[5]), (&json!({"twice": 2}), &json!({"twice": 6})));
        assert!(answers[1..5].iter().all(|answer| answer.get("error").is_some()));
        assert_eq!(answers[4], json!({"error": "zero"}));
    }

    #[test]
    fn a_line_without_end_is_skipped() {
        let mut input = vec![b'x'; usize::try_from(LINE).unwrap() + 10];
        input.extend(b"\n{\"n\":1}\n");
        let answers = ask(&input);
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[1], json!({"twice": 2}));
    }
}
