//! The ratios as a picture: a bar for each figure, and a mark where its target is.

use std::fmt::Write;

use super::report::Line;

const ROW: usize = 28;
const LABELS: usize = 430;
const WIDTH: usize = 900;
/// Ratios beyond this are cut, and say so by their number.
const RATIO_MAX: f64 = 4.0;

/// The picture, as SVG.
pub fn draw(lines: &[Line]) -> String {
    let height = (lines.len() + 2) * ROW;
    let x = |ratio: f64| LABELS as f64 + ratio.min(RATIO_MAX) / RATIO_MAX * (WIDTH - LABELS - 80) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-weight=\"bold\">Ours as a multiple of the baseline; the line is the target</text>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = (row + 1) * ROW;
        let (end, mark, text) = (x(line.ratio), x(line.target), y + 17);
        let fill = if line.ratio <= line.target { "#2f7d5b" } else { "#b5532f" };
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{text}\">{}</text>\n\
             <rect x=\"{LABELS}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{fill}\"/>\n\
             <line x1=\"{mark:.1}\" x2=\"{mark:.1}\" y1=\"{y}\" y2=\"{}\" stroke=\"black\" stroke-width=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{text}\">{:.2}</text>",
            line.what.replace('&', "&amp;").replace('<', "&lt;"),
            y + 4,
            end - LABELS as f64,
            ROW - 8,
            y + ROW - 2,
            end.max(mark) + 6.0,
            line.ratio,
        );
    }
    svg.push_str("</svg>\n");
    svg
}
