//! Aligned columns for a terminal.

/// Rows of equal length, the first being the head; the first `left` columns are flush left, the others right.
#[must_use]
pub fn text_table<const N: usize>(rows: &[[String; N]], left: usize) -> String {
    let rows: Vec<&[String]> = rows.iter().map(<[String; N]>::as_slice).collect();
    aligned(&rows, left)
}

/// As [`text_table`], for a number of columns that is not known before.
#[must_use]
pub fn aligned(rows: &[&[String]], left: usize) -> String {
    let columns = rows.first().map_or(0, |r| r.len());
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cell = |i: usize| {
            let width = widths[i];
            if i < left { format!("{:width$}", row[i]) } else { format!("{:>width$}", row[i]) }
        };
        let line: Vec<String> = (0..columns).map(cell).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}
