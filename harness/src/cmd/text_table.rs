//! Aligned columns for a terminal.

/// Rows of equal length, the first being the head; the first `left` columns are flush left, the others right.
#[must_use]
pub fn text_table<const N: usize>(rows: &[[String; N]], left: usize) -> String {
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cell = |i: usize| {
            let width = widths[i];
            if i < left { format!("{:width$}", row[i]) } else { format!("{:>width$}", row[i]) }
        };
        let line: Vec<String> = (0..N).map(cell).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}
