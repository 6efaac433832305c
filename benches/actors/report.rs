//! What was measured, printed as it comes: our figure, its baseline, their ratio, the target.

/// A figure beside its baseline.
pub struct Line {
    /// What was measured.
    pub what: String,
    /// Ours divided by the baseline.
    pub ratio: f64,
    /// The ratio aimed at.
    pub target: f64,
}

/// Everything measured.
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Tells which part comes.
    pub fn begin(&self, part: &str) {
        println!("\n{part}");
    }

    /// A figure with its unit, and no baseline.
    pub fn figure(&self, what: &str, value: f64, unit: &str, note: &str) {
        println!("  {what:<58} {:>12} {unit:<18} {note}", shown(value));
    }

    /// A figure beside its baseline; the lower the ratio, the better.
    pub fn ratio(&mut self, what: &str, ours: f64, baseline: f64, unit: &str, target: f64) {
        let ratio = ours / baseline;
        let note = format!("{} of the baseline, aimed at {target}x or less", format_args!("{ratio:.2}x"));
        self.figure(what, ours, unit, &note);
        self.lines.push(Line { what: what.to_owned(), ratio, target });
    }

    /// The figures that have a baseline.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// Three digits that count.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The middle one; of an even number, the upper of the two.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which the share `at` of them lies.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position in a list")]
pub fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[((values.len() as f64 * at) as usize).min(values.len() - 1)]
}
