//! Functions that another library of the field gives another name: both work, and an author is told which one is the
//! function.

use super::{
    check::{Checked, CheckedKind},
    parse::Range,
};

/// The other name, and what it is called here.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("hasIntersection", "sets.intersects(a, b)"),
    ("isSubset", "sets.contains(b, a)"),
    ("isNaN", "math.isNaN(x)"),
    ("isInf", "math.isInf(x)"),
    ("inIPAddrRange", "cidr(range).containsIP(address)"),
];

/// The calls by another name: where they stand, the name, and what it is called here.
pub(super) fn other_names(node: &Checked) -> Vec<(Range, &'static str, &'static str)> {
    let mut found = Vec::new();
    collect(node, &mut found);
    found.sort_by_key(|(range, ..)| (range.start, range.end));
    found.dedup();
    found
}

fn collect(node: &Checked, found: &mut Vec<(Range, &'static str, &'static str)>) {
    if let CheckedKind::Call { function, arguments } = &node.kind
        // That of a sign has one name only.
        && !(function.name == "isInf" && arguments.len() > 1)
    {
        let names = OTHER_NAMES.iter().filter(|(name, _)| *name == function.name);
        found.extend(names.map(|(name, here)| (node.range, *name, *here)));
    }
    node.children(&mut |child| collect(child, found));
}
