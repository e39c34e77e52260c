//! Text that comes from outside: systems, manifests, file names. It reaches terminals, tables and pages through here.

/// Longest text that is kept of anybody's words, characters.
const LONGEST: usize = 4000;

/// `text` on one line, without anything that a terminal would obey: control characters (escape codes), line breaks,
/// and the marks that turn the direction of writing become blanks. At most 4000 characters.
#[must_use]
pub fn line(text: &str) -> String {
    cleaned(text, false)
}

/// The same, with its line breaks and tabs.
#[must_use]
pub fn lines(text: &str) -> String {
    cleaned(text, true)
}

fn cleaned(text: &str, breaks: bool) -> String {
    let mut characters = text.trim().chars();
    let kept: String = characters
        .by_ref()
        .take(LONGEST)
        .map(|c| if obeyed(c) && !(breaks && matches!(c, '\n' | '\t')) { ' ' } else { c })
        .collect();
    // What was taken out at the ends leaves no blanks there.
    let mut kept = kept.trim().to_owned();
    if characters.next().is_some() {
        kept.push_str(" ...");
    }
    kept
}

/// Characters that change how what follows is shown, rather than being shown.
fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A cell of a CSV file: what a spreadsheet would take for a formula gets an apostrophe in front, as spreadsheets themselves
/// write text that begins so. Numbers stay.
#[must_use]
pub fn cell(text: &str) -> String {
    let text = line(text);
    let formula = text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err();
    if formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(line("\u{1b}[31mRED\u{1b}[0m\r\n\u{202e}txt"), "[31mRED [0m   txt");
        assert_eq!(lines("a\nb\tc\u{7}\u{9b}2J"), "a\nb\tc  2J");
        assert_eq!(line(&"x".repeat(5000)).len(), 4004);
        assert_eq!(line("grün 5 µs"), "grün 5 µs");
    }

    #[test]
    fn a_cell_is_never_a_formula() {
        assert_eq!(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        for text in ["+1+cmd", "@SUM(A1)", "-2+3"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
        for number in ["-3.5", "+7", "1e-9", "plain", "a=b"] {
            assert_eq!(cell(number), number);
        }
    }
}
