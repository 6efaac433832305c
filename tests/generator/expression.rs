//! Well-typed expressions: for a type that is wanted, something of that type.

use std::collections::HashMap;

use super::{
    Coverage, Dialect, Random,
    facts::{self, Schema},
    library::{OVERLOADS, Overload, unify},
};
use crate::cel::{ObjectType, Type};

/// An overload, and what its result binds.
type Way<'a> = (&'a Overload, HashMap<String, Type>);

/// Makes one expression.
pub struct Generator<'a> {
    random: &'a mut Random,
    dialect: Dialect,
    coverage: &'a mut Coverage,
    /// The paths that can be read, the variables of loops and bindings behind the facts.
    paths: Vec<(String, Type)>,
    /// Variables of the loops and bindings around, the innermost last.
    locals: Vec<String>,
    /// Whether anything was made whose type is known at run time only.
    pub has_dyn: bool,
    /// Whether a loop goes over the entries of a map, whose order is not the same everywhere.
    pub loops_over_map: bool,
}

impl<'a> Generator<'a> {
    pub fn new(random: &'a mut Random, schema: &Schema, dialect: Dialect, coverage: &'a mut Coverage) -> Self {
        let mut paths = Vec::new();
        add_paths("facts", &schema.object, &mut paths);
        Self { random, dialect, coverage, paths, locals: Vec::new(), has_dyn: false, loops_over_map: false }
    }

    /// An expression of type `wanted`.
    pub fn expression(&mut self, wanted: &Type, depth: usize) -> String {
        if depth == 0 || self.random.once_in(6) {
            return self.leaf(wanted);
        }
        if self.random.once_in(50) && !matches!(wanted, Type::Abstract(..) | Type::Type(_)) {
            return self.dynamic(wanted, depth - 1);
        }
        if self.random.once_in(2)
            && let Some(made) = self.special(wanted, depth - 1)
        {
            return made;
        }
        self.call(wanted, depth - 1).unwrap_or_else(|| self.leaf(wanted))
    }

    /// A value of the type that is wanted, or now and then of another, whose type is not known before it runs.
    fn dynamic(&mut self, wanted: &Type, depth: usize) -> String {
        self.has_dyn = true;
        let declared: Vec<_> = self.visible().filter(|(_, found)| *found == Type::Dyn).map(|(path, _)| path).collect();
        if !declared.is_empty() && self.random.once_in(2) {
            return declared[self.random.below(declared.len())].clone();
        }
        self.coverage.count("dyn");
        let inner = if self.random.once_in(4) { facts::comparable(self.random, 1) } else { wanted.clone() };
        format!("dyn({})", self.expression(&inner, depth))
    }

    fn leaf(&mut self, wanted: &Type) -> String {
        let known: Vec<_> = self.visible().filter(|(_, found)| found == wanted).map(|(path, _)| path).collect();
        if !known.is_empty() && !self.random.once_in(4) {
            return known[self.random.below(known.len())].clone();
        }
        self.literal(wanted)
    }

    /// What can be read: of variables of one name the innermost.
    fn visible(&self) -> impl Iterator<Item = (String, Type)> {
        let mut found: HashMap<&str, (usize, &Type)> = HashMap::new();
        for (position, (path, value_type)) in self.paths.iter().enumerate() {
            found.insert(path, (position, value_type));
        }
        // A path below a variable that an inner one hides is hidden too.
        let is_hidden = |path: &str, position: usize| {
            let root = path.split('.').next().unwrap_or(path);
            found.get(root).is_some_and(|(inner, _)| *inner > position)
        };
        let mut visible: Vec<_> = found
            .iter()
            .filter(|(path, (position, _))| !is_hidden(path, *position))
            .map(|(path, (position, value_type))| (*position, (*path).to_owned(), (*value_type).clone()))
            .collect();
        visible.sort_by_key(|(position, ..)| *position);
        visible.into_iter().map(|(_, path, value_type)| (path, value_type))
    }

    fn literal(&mut self, wanted: &Type) -> String {
        let choices: &[&str] = match wanted {
            Type::Bool => &["true", "false"],
            Type::Int => &["0", "1", "-1", "2", "3", "17", "18", "0x10", "9223372036854775807", "-9223372036854775808"],
            Type::Uint => &["0u", "1u", "2u", "18u", "18446744073709551615u"],
            Type::Double => &["0.0", "1.0", "-1.5", "18.0", "0.1", "1e300", "100.25", "2.5", "-0.0"],
            Type::String => &["''", "'US'", "'CA'", "'a'", "'ab'", "\"é1\"", "'x@y.com'", "r'\\d'", "'one two'", "','"],
            Type::Bytes => &["b''", "b'a'", "b'\\xff\\x00'", "b'é'"],
            Type::Timestamp => &[
                "timestamp('2020-01-01T00:00:00Z')",
                "timestamp('2026-06-30T23:59:59.5Z')",
                "timestamp('1969-12-31T00:00:00Z')",
                "timestamp(1616893200)",
            ],
            Type::Duration => &["duration('0s')", "duration('1h30m')", "duration('-2.5s')", "duration('1000000s')"],
            Type::Null => &["null"],
            Type::Abstract(name, _) => named_literal(name),
            Type::List(element) => return self.list_literal(element, 0),
            Type::Map(key, value) => return self.map_literal(key, value, 0),
            Type::Optional(_) if self.random.once_in(3) => {
                self.coverage.count("optional.none");
                return self.empty("optional.none()", |generator| generator.some(wanted));
            }
            Type::Optional(_) => return self.some(wanted),
            Type::Type(inner) => return format!("type({})", self.leaf(inner)),
            Type::Dyn => return self.dynamic(&Type::Int, 0),
            other => panic!("there is no literal of type {other}"),
        };
        (*self.random.pick(choices)).to_owned()
    }

    fn some(&mut self, wanted: &Type) -> String {
        let Type::Optional(inner) = wanted else { panic!("{wanted} is no optional") };
        format!("optional.of({})", self.leaf(inner))
    }

    /// What is empty, with nothing that tells its type, or beside something that does.
    fn empty(&mut self, text: &str, full: impl FnOnce(&mut Self) -> String) -> String {
        if self.random.once_in(2) { text.to_owned() } else { format!("(true ? {text} : {})", full(self)) }
    }

    fn list_literal(&mut self, element: &Type, depth: usize) -> String {
        let elements: Vec<_> = (0..self.random.below(4))
            .map(|_| {
                if depth > 0 && self.random.once_in(5) {
                    self.coverage.count("optional element");
                    return format!("?{}", self.expression(&Type::optional(element.clone()), depth));
                }
                self.expression(element, depth)
            })
            .collect();
        if elements.is_empty() {
            return self.empty("[]", |generator| format!("[{}]", generator.leaf(element)));
        }
        format!("[{}]", elements.join(", "))
    }

    fn map_literal(&mut self, key: &Type, value: &Type, depth: usize) -> String {
        let entries: Vec<_> = (0..self.random.below(4))
            .map(|_| {
                let key = self.expression(key, depth.min(1));
                if depth > 0 && self.random.once_in(5) {
                    self.coverage.count("optional entry");
                    return format!("?{key}: {}", self.expression(&Type::optional(value.clone()), depth));
                }
                format!("{key}: {}", self.expression(value, depth))
            })
            .collect();
        if entries.is_empty() {
            return self.empty("{}", |generator| format!("{{{}: {}}}", generator.leaf(key), generator.leaf(value)));
        }
        format!("{{{}}}", entries.join(", "))
    }

    /// A call of a function or operator, each name as likely as any other.
    fn call(&mut self, wanted: &Type, depth: usize) -> Option<String> {
        let mut names: Vec<(&str, Vec<Way<'_>>)> = Vec::new();
        for overload in OVERLOADS.iter() {
            let mut bound = HashMap::new();
            let is_spoken = self.dialect == Dialect::Whole || overload.dialect == Dialect::Shared;
            if !is_spoken || !unify(&overload.result, wanted, &mut bound) {
                continue;
            }
            match names.iter_mut().find(|(name, _)| *name == overload.name) {
                Some((_, ways)) => ways.push((overload, bound)),
                None => names.push((overload.name, vec![(overload, bound)])),
            }
        }
        if names.is_empty() {
            return None;
        }
        let ways = &names[self.random.below(names.len())].1;
        let (overload, mut bound) = ways[self.random.below(ways.len())].clone();
        self.coverage.count(overload.name);
        let mut parts = Vec::new();
        for parameter in &overload.parameters {
            let found = self.fill(parameter, &mut bound);
            let part = self.expression(&found, depth);
            // The greatest of no number is refused if it is written so.
            let is_refused = part == "[]" && overload.name.starts_with("math.");
            parts.push(if is_refused { "(true ? [] : [])".to_owned() } else { part });
        }
        Some(written(overload, &parts))
    }

    /// The type of a parameter, with a random one where nothing says which.
    fn fill(&mut self, parameter: &Type, bound: &mut HashMap<String, Type>) -> Type {
        match parameter {
            Type::Parameter(name) => {
                if let Some(known) = bound.get(&**name) {
                    return known.clone();
                }
                let chosen =
                    if &**name == "K" { facts::key(self.random) } else { facts::any(self.random, self.dialect) };
                bound.insert(name.to_string(), chosen.clone());
                chosen
            }
            Type::List(inner) => Type::list(self.fill(inner, bound)),
            Type::Optional(inner) => Type::optional(self.fill(inner, bound)),
            Type::Map(key, value) => Type::map(self.fill(key, bound), self.fill(value, bound)),
            Type::Type(inner) => Type::Type(self.fill(inner, bound).into()),
            other => other.clone(),
        }
    }

    /// What is no plain call: macros, and `&&` and `||` of many terms.
    fn special(&mut self, wanted: &Type, depth: usize) -> Option<String> {
        if self.dialect == Dialect::Whole && !matches!(wanted, Type::Abstract(..)) && self.random.once_in(8) {
            return Some(self.binding(wanted, depth));
        }
        match wanted {
            Type::Bool => Some(match self.random.below(8) {
                0..3 => self.terms("_&&_", " && ", depth),
                3..5 => self.terms("_||_", " || ", depth),
                5 => return self.presence(),
                _ => self.quantifier(depth),
            }),
            Type::List(element) => Some(self.list(element, depth)),
            Type::Map(key, value) => Some(self.map(key, value, depth)),
            Type::Optional(inner) => self.optional(inner, depth),
            Type::String if self.random.once_in(4) => Some(self.format(depth)),
            _ => None,
        }
    }

    fn terms(&mut self, name: &'static str, operator: &str, depth: usize) -> String {
        self.coverage.count(name);
        let count = if self.random.once_in(6) { 3 + self.random.below(6) } else { 2 };
        let terms: Vec<_> = (0..count).map(|_| self.expression(&Type::Bool, depth)).collect();
        format!("({})", terms.join(operator))
    }

    fn presence(&mut self) -> Option<String> {
        let paths: Vec<_> = self.visible().filter(|(path, _)| is_field(path)).collect();
        if paths.is_empty() {
            return None;
        }
        self.coverage.count("has");
        Some(format!("has({})", paths[self.random.below(paths.len())].0))
    }

    fn optional(&mut self, inner: &Type, depth: usize) -> Option<String> {
        if self.random.once_in(2) {
            let flat = self.random.once_in(2);
            let from = facts::comparable(self.random, 1);
            let operand = self.expression(&Type::optional(from.clone()), depth);
            let name = if flat { "optFlatMap" } else { "optMap" };
            self.coverage.count(name);
            let to = if flat { Type::optional(inner.clone()) } else { inner.clone() };
            let (names, body) = self.scoped(&[from], |generator| generator.expression(&to, depth));
            return Some(format!("{operand}.{name}({}, {body})", names[0]));
        }
        let paths: Vec<_> = self.visible().filter(|(path, found)| found == inner && is_field(path)).collect();
        if paths.is_empty() {
            return None;
        }
        self.coverage.count("a.?b");
        let (head, field) = paths[self.random.below(paths.len())].0.rsplit_once('.').map(owned)?;
        Some(format!("{head}.?{field}"))
    }

    fn quantifier(&mut self, depth: usize) -> String {
        let (range, types, one) = self.range(depth, None);
        if self.dialect == Dialect::Whole && self.random.once_in(2) {
            let choices = [("all", "all of two"), ("exists", "exists of two"), ("existsOne", "existsOne of two")];
            let (name, counted) = *self.random.pick(&choices);
            self.coverage.count(counted);
            let (names, condition) = self.scoped(&types, |generator| generator.expression(&Type::Bool, depth));
            return format!("{range}.{name}({}, {}, {condition})", names[0], names[1]);
        }
        let name = *self.random.pick(&["all", "exists", "exists_one"]);
        self.coverage.count(name);
        let (names, condition) = self.scoped(&one, |generator| generator.expression(&Type::Bool, depth));
        format!("{range}.{name}({}, {condition})", names[0])
    }

    /// A list or a map to loop over: the types of its keys or positions, of its values, and of what a loop of one variable
    /// binds. A list of `element`, if so asked.
    fn range(&mut self, depth: usize, element: Option<&Type>) -> (String, [Type; 2], [Type; 1]) {
        let objects: Vec<_> =
            self.visible().filter_map(|(path, found)| Some((path, list_of_objects(found)?))).collect();
        if element.is_none() && !objects.is_empty() && self.random.once_in(2) {
            let (path, object) = objects[self.random.below(objects.len())].clone();
            return (path, [Type::Int, object.clone()], [object]);
        }
        let value = element.cloned().unwrap_or_else(|| facts::comparable(self.random, 1));
        if element.is_none() && self.random.once_in(3) {
            self.loops_over_map = true;
            let key = facts::key(self.random);
            let map = Type::map(key.clone(), value.clone());
            return (self.expression(&map, depth), [key.clone(), value], [key]);
        }
        (self.expression(&Type::list(value.clone()), depth), [Type::Int, value.clone()], [value])
    }

    fn list(&mut self, element: &Type, depth: usize) -> String {
        let choice = self.random.below(if self.dialect == Dialect::Whole { 6 } else { 5 });
        if choice == 0 {
            return self.list_literal(element, depth);
        }
        let kept = matches!(choice, 1 | 4).then_some(element);
        let (range, types, one) = self.range(depth, kept);
        match choice {
            1 => {
                self.coverage.count("filter");
                let (names, condition) = self.scoped(&one, |generator| generator.expression(&Type::Bool, depth));
                format!("{range}.filter({}, {condition})", names[0])
            }
            2 => {
                self.coverage.count("map");
                let (names, value) = self.scoped(&one, |generator| generator.expression(element, depth));
                format!("{range}.map({}, {value})", names[0])
            }
            3 => {
                self.coverage.count("map with a filter");
                let (names, [condition, value]) = self
                    .scoped(&one, |generator| [Type::Bool, element.clone()].map(|t| generator.expression(&t, depth)));
                format!("{range}.map({}, {condition}, {value})", names[0])
            }
            4 => {
                self.coverage.count("sortBy");
                let key = facts::scalar(self.random);
                let (names, key) = self.scoped(&one, |generator| generator.expression(&key, depth));
                format!("{range}.sortBy({}, {key})", names[0])
            }
            _ => self.transformed("transformList", &range, &types, element, depth),
        }
    }

    fn map(&mut self, key: &Type, value: &Type, depth: usize) -> String {
        if self.dialect == Dialect::Shared || self.random.once_in(2) {
            return self.map_literal(key, value, depth);
        }
        if self.random.once_in(2) {
            let from = facts::comparable(self.random, 1);
            let range = self.expression(&Type::map(key.clone(), from.clone()), depth);
            return self.transformed("transformMap", &range, &[key.clone(), from], value, depth);
        }
        let (range, types, _) = self.range(depth, None);
        let entry = Type::map(key.clone(), value.clone());
        self.transformed("transformMapEntry", &range, &types, &entry, depth)
    }

    fn transformed(&mut self, name: &'static str, range: &str, types: &[Type; 2], to: &Type, depth: usize) -> String {
        self.coverage.count(name);
        let is_filtered = self.random.once_in(3);
        let (names, body) = self.scoped(types, |generator| {
            let value = generator.expression(to, depth);
            if is_filtered { format!("{}, {value}", generator.expression(&Type::Bool, depth)) } else { value }
        });
        format!("{range}.{name}({}, {}, {body})", names[0], names[1])
    }

    fn binding(&mut self, wanted: &Type, depth: usize) -> String {
        let bound = facts::comparable(self.random, 1);
        let value = self.expression(&bound, depth);
        if self.random.once_in(3) {
            self.coverage.count("cel.block");
            let before = self.paths.len();
            let index = self.locals.iter().filter(|name| name.starts_with("cel.")).count();
            // A block inside of a block counts from 0 again: only the outermost is written as one.
            if index == 0 {
                let name = "cel.index(0)".to_owned();
                self.locals.push(name.clone());
                self.paths.push((name, bound));
                let body = self.expression(wanted, depth);
                self.paths.truncate(before);
                self.locals.pop();
                return format!("cel.block([{value}], {body})");
            }
        }
        self.coverage.count("cel.bind");
        let (names, body) = self.scoped(&[bound], |generator| generator.expression(wanted, depth));
        format!("cel.bind({}, {value}, {body})", names[0])
    }

    fn format(&mut self, depth: usize) -> String {
        self.coverage.count("format");
        let mut template = String::new();
        let mut arguments = Vec::new();
        for _ in 0..self.random.below(4) {
            let (clause, wanted) = self.random.pick(&CLAUSES).clone();
            template.push_str(clause);
            arguments.push(format!("dyn({})", self.expression(&wanted, depth)));
        }
        format!("'{template}'.format([{}])", arguments.join(", "))
    }

    /// Makes something in which variables of `types` are bound; names may hide others.
    fn scoped<R>(&mut self, types: &[Type], make: impl FnOnce(&mut Self) -> R) -> (Vec<String>, R) {
        let before = self.paths.len();
        let mut names: Vec<String> = Vec::new();
        for value_type in types {
            let fresh = format!("v{}", self.locals.len());
            let hidden = format!("v{}", self.random.below(3));
            let name = if self.random.once_in(4) && !names.contains(&hidden) { hidden } else { fresh };
            let name = if names.contains(&name) { format!("w{}", self.locals.len()) } else { name };
            self.paths.push((name.clone(), value_type.clone()));
            if let Type::Object(object) = value_type {
                add_paths(&name, object, &mut self.paths);
            }
            self.locals.push(name.clone());
            names.push(name);
        }
        let made = make(self);
        self.paths.truncate(before);
        self.locals.truncate(self.locals.len() - types.len());
        (names, made)
    }
}

const CLAUSES: [(&str, Type); 8] = [
    ("%s ", Type::String),
    ("%s", Type::Int),
    ("%d,", Type::Int),
    ("%d", Type::Uint),
    ("%s|", Type::Bool),
    ("%.3f", Type::Double),
    ("%x", Type::Int),
    ("%%%b", Type::Int),
];

/// Whether the path ends with a field, and is no variable.
fn is_field(path: &str) -> bool {
    path.contains('.') && !path.starts_with("cel.")
}

fn list_of_objects(found: Type) -> Option<Type> {
    match found {
        Type::List(element) if matches!(*element, Type::Object(_)) => Some((*element).clone()),
        _ => None,
    }
}

fn owned((head, tail): (&str, &str)) -> (String, String) {
    (head.to_owned(), tail.to_owned())
}

/// The paths below `root`, down to the fields of nested objects.
fn add_paths(root: &str, object: &ObjectType, paths: &mut Vec<(String, Type)>) {
    for field in &object.fields {
        let path = format!("{root}.{}", field.name);
        if let Type::Object(nested) = &field.value_type {
            add_paths(&path, nested, paths);
        } else {
            paths.push((path, field.value_type.clone()));
        }
    }
}

fn named_literal(name: &str) -> &'static [&'static str] {
    match name {
        "net.IP" => &["ip('10.0.0.1')", "ip('::1')", "ip('169.254.1.1')", "ip('0.0.0.0')", "ip('2001:db8::1')"],
        "net.CIDR" => &["cidr('10.0.0.0/8')", "cidr('10.1.2.3/16')", "cidr('::/0')", "cidr('2001:db8::/32')"],
        "url" => &["url('https://example.com:80/a?k=1')", "url('/a/b?x=1&x=2')", "url('http://[::1]:8080')"],
        "quantity" => &["quantity('1.5Gi')", "quantity('200m')", "quantity('-3')", "quantity('1k')", "quantity('0')"],
        "semver" => &["semver('1.2.3')", "semver('1.0.0-rc.1')", "semver('v2', true)", "semver('0.0.1+b')"],
        "link" => &["'https://example.com/a b'", "'/a?b=%zz&c=1'", "'example.com'", "''", "'mailto:a@b.c'"],
        "amount" => &["'1Ki'", "'1.5'", "'x'", "''", "'-100m'", "'8Ei'"],
        "version" => &["'1.2.3'", "'v1.2'", "'1.0.0-a.1'", "'x'", "''"],
        "small" => &["0", "1", "2", "3", "-1", "5", "64"],
        "count" => &["0", "1", "3", "10"],
        "truth" => &["'true'", "'f'", "'1'", "'True'", "'yes'", "''"],
        "number" => &["'1'", "'-18'", "'2.5'", "'x'", "'1e3'", "''", "'99999999999999999999'"],
        "second" => &["0", "1616893200", "-62135596800", "253402300799", "253402300800"],
        "time" => &["'2020-01-01T00:00:00Z'", "'2026-06-30T23:59:59.123456789Z'"],
        "length" => &["'1h'", "'-1.5s'", "'1h2m3.004s'", "'250ms'", "'3us'"],
        "pattern" => &["'^[a-z]+'", "'U'", "'.+@.+'", "'^$'", "'[0-9]{1,3}'", "'(a|b)+'", "'\\\\w+$'"],
        "group" => &["'^[a-z]+'", "'([a-z])'", "'.+@(.+)'", "'[0-9]'"],
        "zone" => &["'UTC'", "'Europe/Berlin'", "'-08:00'", "'+05:30'", "'America/New_York'"],
        "encoded" => &["'YQ=='", "''", "'YWI'", "'!'"],
        "address" => &["'10.0.0.1'", "'::1'", "'10.0.0'", "'2001:DB8::1'", "'169.254.0.1'", "''"],
        "range" => &["'10.0.0.0/8'", "'10.0.0.1/8'", "'::/0'", "'10.0.0.0/33'"],
        other => panic!("there is no literal of type {other}"),
    }
}

/// How a call is written.
fn written(overload: &Overload, parts: &[String]) -> String {
    match (overload.name, parts) {
        ("_[_]", [operand, index]) => format!("{operand}[{index}]"),
        ("_[?_]", [operand, index]) => format!("{operand}[?{index}]"),
        ("_?_:_", [condition, accepted, refused]) => format!("({condition} ? {accepted} : {refused})"),
        ("@in", [item, list]) => format!("({item} in {list})"),
        ("!_", [operand]) => format!("!({operand})"),
        // Within brackets: what follows it is called on the result.
        ("-_", [operand]) => format!("(-({operand}))"),
        (name, [left, right]) if name.starts_with('_') => format!("({left} {} {right})", name.trim_matches('_')),
        (name, [target, arguments @ ..]) if overload.is_member => format!("{target}.{name}({})", arguments.join(", ")),
        (name, arguments) => format!("{name}({})", arguments.join(", ")),
    }
}
