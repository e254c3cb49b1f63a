//! Named rows of text that wrap, for people.

/// Where lines end; a word or item that is longer stands alone.
const WIDTH: usize = 100;

/// Lines, each row of which has a name before its text.
#[derive(Debug)]
pub struct Sheet {
    text: String,
    /// Where the text of every row begins.
    indent: usize,
}

impl Sheet {
    /// Returns one in which the text of every row begins after `indent` characters.
    pub fn with_indent(indent: usize) -> Self {
        Self {
            text: String::new(),
            indent,
        }
    }

    /// Adds a line of its own, after an empty one unless it is the first.
    pub fn heading(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds prose, broken between words.
    pub fn prose(&mut self, name: &str, text: &str) {
        let words = text.split(' ').map(str::to_owned);
        self.row(name, words, " ");
    }

    /// Adds a list, broken between its items; of many, the first and how many more.
    pub fn list(&mut self, name: &str, items: &[String]) {
        const SHOWN: usize = 40;
        let mut shown: Vec<String> = items.iter().take(SHOWN).cloned().collect();
        match items.len() {
            0 => shown.push("nothing".to_owned()),
            count if count > SHOWN => shown.push(format!("and {} more", count - SHOWN)),
            _ => {}
        }
        self.row(name, shown.into_iter(), ", ");
    }

    fn row(&mut self, name: &str, parts: impl Iterator<Item = String>, between: &str) {
        let mut line = format!("  {name:<width$}", width = self.indent - 2);
        let mut is_fresh = true;
        for part in parts {
            let is_full = line.chars().count() + between.len() + part.chars().count() > WIDTH;
            if !is_fresh {
                line.push_str(between.trim_end());
                if is_full {
                    self.end(&line);
                    line = " ".repeat(self.indent);
                } else {
                    line.push(' ');
                }
            }
            line.push_str(&part);
            is_fresh = false;
        }
        self.end(&line);
    }

    fn end(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Returns all lines.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_wrap_at_words_and_items_and_long_lists_say_how_much_they_leave_out() {
        let mut sheet = Sheet::with_indent(13);
        sheet.heading("plan");
        sheet.prose("level", &["word"; 25].join(" "));
        sheet.list("files", &vec!["a file".to_owned(); 45]);
        sheet.list("none", &[]);
        let text = sheet.into_text();
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(!text.contains(" \n"), "{text}");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("plan"));
        assert!(lines.next().unwrap().starts_with("  level      word word"));
        assert!(lines.next().unwrap().starts_with("             word"));
        assert!(
            text.contains("a file, and 5 more\n  none       nothing\n"),
            "{text}"
        );
    }
}
