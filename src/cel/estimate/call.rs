//! What the work of a function costs, and how large its result is, from how large its arguments are.

use super::{Checked, CheckedKind, Size, of_items};
use crate::{
    cel::{
        cost,
        library::{search_estimate, searches_estimate},
        types::Type,
        value::Value,
    },
    config::limits::EVALUATION_MEMORY_BYTES_MAX,
};

/// Bytes of a whole number as a text.
const WHOLE_NUMBER_BYTES: u64 = 20;
/// Bytes of a number, a time or an address as a text.
const SCALAR_TEXT_BYTES: u64 = 400;
/// Bytes of a number as the clause of a format shows it: its digits, and 1,000 behind the point.
const CLAUSE_BYTES: u64 = 1_400;

/// A call whose arguments are this large.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: &'a [Checked],
    pub(super) sizes: Vec<Size>,
}

/// The product of three numbers.
fn times(first: u64, second: u64, third: u64) -> u64 {
    first.saturating_mul(second).saturating_mul(third)
}

/// What comparing each element of one list with each of another costs, and a unit for each pair.
fn of_pairs(left: &Size, right: &Size) -> u64 {
    let compared = left.count.saturating_mul(among(&left.item(), right));
    let compared = compared.min(right.count.saturating_mul(among(&right.item(), left)));
    left.count.saturating_mul(right.count).saturating_add(compared)
}

/// What comparing each element of a list with those before it costs: no more for a pair than the mean of their weights.
fn of_each_with_the_others(list: &Size) -> u64 {
    list.count.saturating_mul(list.weight) / 2
}

/// What comparing a value with each element of a list costs: with none more than the element weighs.
fn among(value: &Size, list: &Size) -> u64 {
    let (item, count) = (list.item(), list.count);
    count.saturating_mul(value.comparing(&item).max(item.comparing(value))).min(list.weight)
}

impl Case<'_> {
    /// What the work costs, and how large the result is.
    pub(super) fn estimate(&self) -> (u64, Size) {
        let (work, size) = self
            .of_operator()
            .or_else(|| self.of_elements())
            .or_else(|| self.of_text())
            .unwrap_or_else(|| self.of_list());
        (work, size.made())
    }

    fn size(&self, index: usize) -> Size {
        self.sizes.get(index).cloned().unwrap_or_else(Size::scalar)
    }

    fn constant(&self, index: usize) -> Option<&Value> {
        match self.arguments.get(index).map(|argument| &argument.kind) {
            Some(CheckedKind::Constant(value)) => Some(value),
            _ => None,
        }
    }

    fn all_bytes(&self) -> u64 {
        self.sizes.iter().fold(0, |total, size| total.saturating_add(size.bytes))
    }

    fn all_items(&self) -> u64 {
        self.sizes.iter().fold(0, |total, size| total.saturating_add(size.count))
    }

    fn of_operator(&self) -> Option<(u64, Size)> {
        let (first, second) = (self.size(0), self.size(1));
        Some(match self.name {
            "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => (first.comparing(&second), Size::scalar()),
            "@in" if matches!(self.arguments.get(1).map(|list| &list.value_type), Some(Type::Map(..))) => {
                (0, Size::scalar())
            }
            "@in" => (second.count.saturating_add(among(&first, &second)), Size::scalar()),
            "_+_" => {
                let (bytes, count) = (self.all_bytes(), self.all_items());
                let sum = if first.has_items() || second.has_items() {
                    let list = Size::list(count, first.item().or(&second.item()));
                    Size { bytes, ..list }
                } else {
                    Size::bytes(bytes)
                };
                (cost::of_bytes(bytes).saturating_add(of_items(count)), sum)
            }
            "optional.none" => (0, Size::scalar().optional()),
            "or" | "orValue" => (0, first.or(&second)),
            "optional.of" | "optional.ofNonZeroValue" => (0, first.optional()),
            "value" | "dyn" => (0, first),
            _ => return None,
        })
    }

    fn of_text(&self) -> Option<(u64, Size)> {
        let (first, second) = (self.size(0), self.size(1));
        let bytes = first.bytes;
        // One that is written in the source is compiled with the expression.
        let pattern = match self.constant(1) {
            Some(_) => 0,
            None => second.bytes.saturating_mul(cost::PATTERN_BYTE_UNITS).saturating_add(cost::PATTERN_UNITS),
        };
        let written = match self.constant(1) {
            Some(Value::String(pattern)) => Some(&**pattern),
            _ => None,
        };
        Some(match self.name {
            "matches" => (pattern.saturating_add(search_estimate(written, bytes)), Size::scalar()),
            "regex.extract" => {
                let work = search_estimate(written, bytes).saturating_add(cost::of_bytes(bytes));
                (pattern.saturating_add(work), Size::bytes(bytes).optional())
            }
            "find" => {
                let work = search_estimate(written, bytes).saturating_add(cost::of_bytes(bytes));
                (pattern.saturating_add(work), Size::bytes(bytes))
            }
            "regex.extractAll" | "findAll" => {
                let matches = bytes.saturating_add(1);
                let made = cost::of_bytes(bytes).saturating_add(matches.saturating_mul(4));
                let work = searches_estimate(written, bytes).saturating_add(made);
                (pattern.saturating_add(work), Size::list(matches, Size::bytes(bytes)))
            }
            "regex.replace" => self.of_replacing_matches(pattern.saturating_add(searches_estimate(written, bytes))),
            "replace" => self.of_replacing(),
            "split" => {
                let parts = self.occurrences().saturating_add(1);
                let work = cost::of_bytes(bytes).saturating_add(of_items(parts.saturating_mul(2)));
                (work, Size::list(parts, Size::bytes(bytes)))
            }
            "join" => {
                let each = first.item().bytes.saturating_add(second.bytes);
                let bytes = first.count.saturating_mul(each);
                (cost::of_bytes(bytes), Size::bytes(bytes))
            }
            "format" => self.of_formatting(),
            "strings.quote" => (cost::of_bytes(bytes), Size::bytes(bytes.saturating_mul(2).saturating_add(2))),
            "base64.encode" => {
                let bytes = bytes.saturating_mul(2).saturating_add(4);
                (cost::of_bytes(bytes), Size::bytes(bytes))
            }
            "string" => {
                let bytes = bytes.max(SCALAR_TEXT_BYTES);
                (cost::of_bytes(bytes).saturating_add(2), Size::bytes(bytes))
            }
            // No more of the text is looked at than the other one has.
            "startsWith" | "endsWith" => (cost::of_bytes(bytes.min(second.bytes)), Size::scalar()),
            _ => return None,
        })
    }

    /// How often the second argument can occur in the first.
    fn occurrences(&self) -> u64 {
        let length = match self.constant(1) {
            Some(Value::String(text)) => text.len().max(1) as u64,
            _ => 1,
        };
        (self.size(0).bytes / length).saturating_add(1)
    }

    fn of_replacing(&self) -> (u64, Size) {
        let bytes = self.size(0).bytes;
        let result = bytes.saturating_add(self.occurrences().saturating_mul(self.size(2).bytes));
        (cost::of_bytes(bytes).saturating_add(cost::of_bytes(result)), Size::bytes(result))
    }

    fn of_replacing_matches(&self, search: u64) -> (u64, Size) {
        let (bytes, replacement) = (self.size(0).bytes, self.size(2).bytes);
        let matches = bytes.saturating_add(1);
        // Each match makes room for the replacement, and each group that is named there for a part of the match.
        let room = matches.saturating_mul(replacement.saturating_add(16));
        let groups = bytes.saturating_mul(replacement / 2);
        let result = matches.saturating_mul(replacement).saturating_add(groups).saturating_add(bytes);
        let made = cost::of_bytes(room).saturating_add(cost::of_bytes(groups)).saturating_add(cost::of_bytes(bytes));
        (search.saturating_add(made), Size::bytes(result))
    }

    fn of_formatting(&self) -> (u64, Size) {
        let (template, values) = (self.size(0).bytes, self.size(1));
        let value = values.item();
        let clauses = values.count.min(template / 2);
        // What is not UTF-8 becomes a character of three bytes.
        let content = value.weight.saturating_mul(cost::BYTES_PER_UNIT).saturating_mul(3);
        let text = CLAUSE_BYTES.saturating_add(times(value.values, SCALAR_TEXT_BYTES, 1)).saturating_add(content);
        let copies = if value.has_keys() { value.values.saturating_add(2) } else { 2 };
        let clause = value.values.saturating_add(cost::of_bytes(text).saturating_mul(copies));
        let work = cost::of_bytes(template).saturating_add(clauses.saturating_mul(clause));
        (work, Size::bytes(template.saturating_add(clauses.saturating_mul(text))))
    }

    /// Functions of lists that look at each element, or at each with each of another list.
    fn of_elements(&self) -> Option<(u64, Size)> {
        let (first, second) = (self.size(0), self.size(1));
        let (item, items) = (first.item(), of_items(first.count));
        Some(match self.name {
            "indexOf" | "lastIndexOf" if first.has_items() => {
                let texts = cost::of_bytes(self.all_bytes());
                let compared = first.count.saturating_add(among(&second, &first));
                (compared.saturating_add(texts), Size::scalar())
            }
            "min" | "max" | "isSorted" => {
                let each = item.comparing(&item).saturating_add(1);
                (first.count.saturating_mul(each), item)
            }
            "sum" | "@sumOfUints" | "@sumOfDoubles" | "@sumOfDurations" | "@sumOfOthers" | "avg" => {
                (first.count, Size::scalar())
            }
            "unique" => {
                let pairs = first.count.saturating_mul(first.count.saturating_sub(1)) / 2;
                let compared = pairs.saturating_mul(item.comparing(&item)).min(of_each_with_the_others(&first));
                (pairs.saturating_add(compared), Size::scalar())
            }
            "hasIntersection" | "isSubset" => (of_pairs(&first, &second).saturating_add(2), Size::scalar()),
            "intersect" | "except" => {
                (of_pairs(&first, &second).saturating_add(items.saturating_mul(2)).saturating_add(2), first)
            }
            "url" | "isURL" => (cost::of_bytes(first.bytes.saturating_mul(4)), Size::bytes(first.bytes)),
            // What cannot stand in a path becomes three bytes.
            "getEscapedPath" => {
                let bytes = first.bytes.saturating_mul(3);
                (cost::of_bytes(bytes), Size::bytes(bytes))
            }
            // A name and a value for every second byte, and each of them three times as long where it is no UTF-8.
            "getQuery" => {
                let names = (first.bytes / 2).saturating_add(1);
                let made = cost::of_bytes(first.bytes.saturating_mul(6));
                let work = made.saturating_add(of_items(names.saturating_mul(8))).saturating_add(first.bytes);
                let text = Size::bytes(first.bytes.saturating_mul(3));
                (work, Size::map(names, text.clone(), Size::list(names, text)))
            }
            "getField" => (0, first.item().optional()),
            "hash" => {
                let bytes = first.bytes.max(WHOLE_NUMBER_BYTES);
                (cost::HASH_UNITS.saturating_add(bytes / cost::HASH_BYTES_PER_UNIT), Size::scalar())
            }
            _ => return None,
        })
    }

    fn of_list(&self) -> (u64, Size) {
        let (first, second) = (self.size(0), self.size(1));
        let items = of_items(first.count);
        match self.name {
            "lists.range" => {
                let count = self.count_of_range();
                (of_items(count), Size::list(count, Size::scalar()))
            }
            "distinct" => {
                let each = first.item().comparing(&first.item());
                let pairs = first.count.saturating_mul(first.count.saturating_sub(1)) / 2;
                let compared = pairs.saturating_mul(each).min(of_each_with_the_others(&first));
                (items.saturating_add(pairs).saturating_add(compared), first)
            }
            "sets.contains" | "sets.equivalent" | "sets.intersects" => {
                let ways = if self.name == "sets.equivalent" { 2 } else { 1 };
                (of_pairs(&first, &second).saturating_mul(ways), Size::scalar())
            }
            "sort" | "@sortByKeys" => {
                let keys = if self.name == "sort" { first.item() } else { second.item() };
                let rounds = u64::from(first.count.max(1).ilog2()) + 1;
                let each = keys.comparing(&keys).saturating_add(1);
                (items.saturating_mul(2).saturating_add(1).saturating_add(times(first.count, rounds, each)), first)
            }
            "flatten" => self.of_flattening(),
            "first" | "last" => (0, first.item().optional()),
            "optional.unwrap" | "unwrapOpt" | "slice" => (items, first),
            // A text or a list: what `flatten` gives may have the size of either.
            "reverse" if first.has_items() => (items.saturating_add(cost::of_bytes(first.bytes)), first),
            // Work in proportion to the texts, and to the numbers of a list.
            _ => {
                let count = self.all_items().saturating_add(self.sizes.len() as u64);
                let work = cost::of_bytes(self.all_bytes()).saturating_add(count);
                let bytes = self.all_bytes().max(SCALAR_TEXT_BYTES);
                (work, Size { count: self.all_items(), ..Size::bytes(bytes).or(&first) })
            }
        }
    }

    fn count_of_range(&self) -> u64 {
        let most = EVALUATION_MEMORY_BYTES_MAX / size_of::<Value>() as u64;
        match self.arguments.first().map(|argument| &argument.kind) {
            Some(CheckedKind::Constant(Value::Int(count))) => u64::try_from(*count).unwrap_or(0),
            // The positions of a list.
            Some(CheckedKind::Call { function, arguments }) if function.name == "size" => {
                match arguments.first().map(|list| &list.kind) {
                    Some(CheckedKind::Slot(_, size)) => size.count.max(size.bytes),
                    _ => most,
                }
            }
            _ => most,
        }
    }

    fn of_flattening(&self) -> (u64, Size) {
        let first = self.size(0);
        let (mut item, mut level) = (first.item(), first.item());
        if self.arguments.len() > 1 {
            while level.has_items() && level.count > 0 && level.item() != level {
                level = level.item();
                item = item.or(&level);
            }
        } else {
            item = item.or(&level.item());
        }
        let count =
            if self.arguments.len() > 1 { first.values } else { first.count.saturating_mul(level.count.max(1)) };
        // Each item is paid for twice: see the function.
        (first.values.saturating_mul(cost::of_bytes(2 * size_of::<Value>() as u64)), Size::list(count, item))
    }
}
