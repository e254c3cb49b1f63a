//! Plain aligned tables.

/// A table for people: columns two spaces apart, nothing but text.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

/// One column: its title and which side its cells keep to.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    Left(&'static str),
    /// For numbers.
    Right(&'static str),
}

impl Table {
    /// Returns a table without rows.
    pub fn new(columns: &[Column]) -> Self {
        let title = |column: &Column| match *column {
            Column::Left(title) | Column::Right(title) => title.to_owned(),
        };
        Self {
            rows: vec![columns.iter().map(title).collect()],
            right: columns
                .iter()
                .map(|column| matches!(column, Column::Right(_)))
                .collect(),
        }
    }

    /// Adds a row; missing cells are empty, cells beyond the columns are dropped.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let mut cells = Vec::from(cells);
        cells.resize(self.right.len(), String::new());
        self.rows.push(cells);
    }

    /// Returns the lines, titles first, without trailing spaces.
    pub fn lines(&self) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        self.rows
            .iter()
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(widths).zip(&self.right) {
            let gap = " ".repeat(width - cell.chars().count());
            let (before, after) = if *right {
                (gap.as_str(), "")
            } else {
                ("", gap.as_str())
            };
            line.push_str(before);
            line.push_str(cell);
            line.push_str(after);
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_their_widest_cell() {
        let mut table = Table::new(&[
            Column::Right("#"),
            Column::Left("verdict"),
            Column::Right("gain"),
        ]);
        table.row(["1".into(), "keep".into(), "+8.3 %".into()]);
        table.row(["10".into(), "discard(größer)".into(), "-1 %".into()]);
        table.row(["11".into()]);
        assert_eq!(
            table.lines(),
            [
                " #  verdict            gain",
                " 1  keep             +8.3 %",
                "10  discard(größer)    -1 %",
                "11",
            ]
        );
    }
}
