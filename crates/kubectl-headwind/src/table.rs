//! Tables with aligned columns.

use headwind_core::request::Phase;

use crate::output::clean;

/// A color of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Red,
    Green,
    Yellow,
    Blue,
    Gray,
}

impl Paint {
    /// Returns the color of a phase.
    pub(crate) fn of(phase: Phase) -> Self {
        match phase {
            Phase::Pending => Paint::Yellow,
            Phase::Approved | Phase::RollingOut => Paint::Blue,
            Phase::Completed => Paint::Green,
            Phase::Failed | Phase::RolledBack => Paint::Red,
            Phase::Rejected | Phase::Expired | Phase::Superseded => Paint::Gray,
        }
    }

    fn code(self) -> u8 {
        match self {
            Paint::Red => 31,
            Paint::Green => 32,
            Paint::Yellow => 33,
            Paint::Blue => 34,
            Paint::Gray => 90,
        }
    }

    /// Returns the text in this color.
    pub(crate) fn on(self, text: &str) -> String {
        format!("\u{1b}[{}m{text}\u{1b}[0m", self.code())
    }
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// Creates a cell; an empty text is shown as `-`.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        let text = clean(text.as_ref());
        Self { text: if text.is_empty() { "-".to_owned() } else { text }, paint: None }
    }

    /// Creates a cell in a color.
    pub(crate) fn painted(text: impl AsRef<str>, paint: Paint) -> Self {
        Self { paint: Some(paint), ..Self::new(text) }
    }
}

/// A table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(header: Vec<&'static str>) -> Self {
        Self { header, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Returns the widths of the columns, at least `least`.
    pub(crate) fn widths(&self, least: &[usize]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|title| title.len()).collect();
        for (width, least) in widths.iter_mut().zip(least) {
            *width = (*width).max(*least);
        }
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        widths
    }

    /// Returns the header and the rows.
    pub(crate) fn render(&self, colors: bool) -> String {
        let widths = self.widths(&[]);
        let header: Vec<Cell> = self.header.iter().map(Cell::new).collect();
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            text.push_str(&render(row, &widths, colors));
            text.push('\n');
        }
        text
    }
}

/// Returns a row. A value that is longer than its column moves the following ones, with a blank between them.
pub(crate) fn render(row: &[Cell], widths: &[usize], colors: bool) -> String {
    let mut text = String::new();
    for (number, (cell, width)) in row.iter().zip(widths).enumerate() {
        let is_last = number + 1 == row.len();
        let padding = if is_last { 0 } else { (width + 3).saturating_sub(cell.text.chars().count()).max(1) };
        match cell.paint.filter(|_| colors) {
            Some(paint) => text.push_str(&paint.on(&cell.text)),
            None => text.push_str(&cell.text),
        }
        text.extend(std::iter::repeat_n(' ', padding));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_does_not_touch_the_next_column() {
        let row = ["a", "longer", "b"].map(Cell::new);
        assert_eq!(render(&row, &[1, 2, 1], false), "a   longer b");
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(vec!["NAME", "PHASE", "NOTE"]);
        table.push(vec![Cell::new("größe"), Cell::painted("Failed", Paint::Red), Cell::new("")]);
        table.push(vec![Cell::new("a\tb"), Cell::new("Pending"), Cell::new("x")]);
        assert_eq!(table.render(false), "NAME    PHASE     NOTE\ngröße   Failed    -\na\u{FFFD}b     Pending   x\n");
        assert!(table.render(true).contains("\u{1b}[31mFailed\u{1b}[0m    -"));
    }
}
