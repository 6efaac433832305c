//! The estimated cost of an expression is never less than what an evaluation takes whose facts keep to the schema.
//!
//! Bounds of all kinds are drawn, facts that lie at these bounds, and expressions over all operators, functions and
//! macros. `CEL_ESTIMATE_EXPRESSIONS` says how many, `CEL_ESTIMATE_SEED` with which seed; a failure prints both.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

use std::sync::Arc;

use tenet::{
    cel::{Activation, Env, Frame, Limits, MapValue, ObjectField, ObjectType, ObjectValue, Program, Size, Type, Value},
    config::limits::{LIST_ITEMS_DEFAULT_MAX, REQUEST_BYTES, STRING_CHARS_DEFAULT_MAX},
};

/// Facts that each expression is evaluated on.
const FACTS_EACH: usize = 3;
/// What an evaluation may take: enough to see that an estimate below it does not hold.
const LIMITS: Limits = Limits { cost_max: 5_000_000, memory_bytes_max: 4 * 1024 * 1024 };
/// Bytes of a map's key: the schema does not bound them.
const KEY_BYTES: usize = 20;

#[test]
fn no_evaluation_costs_more_than_was_estimated() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let is_full = std::env::var("TENET_PROOFS").is_ok_and(|size| size == "full");
    let count = number("CEL_ESTIMATE_EXPRESSIONS", if is_full { 200_000 } else { 6_000 });
    let seed = number("CEL_ESTIMATE_SEED", 1);
    let (mut held, mut typed, mut tight, mut refused) = (0_u64, 0_u64, 0_u64, 0_u64);
    for number in 0..count {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number + 1));
        let tenant = Tenant::any(&mut random);
        let source = Generator { random: &mut random, locals: Vec::new(), names: 0 }.expression('b', 4);
        // Some of them are too long.
        let Ok(program) = tenant.env.compile(&source) else {
            refused += 1;
            continue;
        };
        let reads_derived = program.references().iter().any(|path| path.starts_with("derived"));
        let derived = if reads_derived { tenant.derived.cost_units() } else { 0 };
        let estimate = program.cost_units().saturating_add(derived);
        for _ in 0..FACTS_EACH {
            let activation = tenant.activation(&mut random);
            let (_, cost) = program.evaluate_within(&activation, LIMITS);
            assert!(
                cost <= estimate,
                "seed {seed}, number {number}: `{source}` costs {cost}, estimated at {estimate}\n  x: {:?}\n  {:?}",
                tenant.derived,
                tenant.bounds
            );
            held += 1;
            // What is `dyn` may be many things: its estimates cannot be near.
            let has_dyn = ["facts.any", "facts.?any", "facts.bounded"].iter().any(|path| source.contains(path))
                || (reads_derived && tenant.has_dyn_derived);
            if !has_dyn {
                typed += 1;
                tight += u64::from(cost.saturating_mul(2) >= estimate);
            }
        }
    }
    println!(
        "{held} evaluations keep to their estimates; {tight} of {typed} without `dyn` take half of them or more; {refused} refused"
    );
    assert!(refused < count / 100, "too many expressions are refused: {refused}");
    assert!(held > count, "too few expressions can be estimated: {held}");
    assert!(held - typed > count / 10, "too few read what is `dyn`: {}", held - typed);
    assert!(tight > typed / 4, "the estimates are far above what is taken: {tight} of {typed}");
}

/// The bounds of one schema.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    characters: usize,
    items: usize,
    inner_items: usize,
}

/// A schema with such bounds, and a derived field `x`, a list of texts.
struct Tenant {
    bounds: Bounds,
    env: Env,
    facts: Arc<ObjectType>,
    item: Arc<ObjectType>,
    frame: Arc<Frame>,
    derived: Program,
    has_dyn_derived: bool,
}

impl Bounds {
    fn text(self) -> Size {
        Size::text(self.characters as u64)
    }

    /// Any value whose texts, keys, lists and maps keep to the bounds, two of the latter inside of each other.
    fn dynamic(self) -> Size {
        let (characters, items) = (self.characters.max(KEY_BYTES), self.items);
        Size::dynamic(Some(characters as u64), Some(items as u64), Some(2))
    }

    fn texts(self) -> Size {
        Size::list(self.items as u64, self.text())
    }

    fn inner_texts(self) -> Size {
        Size::list(self.inner_items as u64, self.text())
    }

    fn key() -> Size {
        Size::bytes(KEY_BYTES as u64)
    }
}

fn field(name: &str, value_type: Type, size: Size) -> ObjectField {
    ObjectField { size, ..ObjectField::new(name, value_type) }
}

fn variable(name: &str, object: &Arc<ObjectType>) -> (String, Type) {
    (name.to_owned(), Type::Object(Arc::clone(object)))
}

impl Tenant {
    fn any(random: &mut Random) -> Self {
        let bounds = Bounds {
            characters: [1, 3, 20, 150][random.below(4)],
            items: [1, 3, 7, 12][random.below(4)],
            inner_items: [1, 2, 5, 9][random.below(4)],
        };
        let (items, texts) = (bounds.items as u64, Type::list(Type::String));
        let item_fields = vec![
            field("label", Type::String, bounds.text()),
            field("marks", texts.clone(), bounds.inner_texts()),
            field("price", Type::Double, Size::scalar()),
        ];
        let item = Arc::new(ObjectType { name: "facts.items".into(), fields: item_fields });
        let item_size = Size::of_type(&Type::Object(Arc::clone(&item)));
        let fields = vec![
            field("age", Type::Int, Size::scalar()),
            field("any", Type::Dyn, Size::of_type(&Type::Dyn)),
            field("bounded", Type::Dyn, bounds.dynamic()),
            field("counts", Type::map(Type::String, Type::Int), Size::map(items, Bounds::key(), Size::scalar())),
            field(
                "groups",
                Type::map(Type::String, texts.clone()),
                Size::map(items, Bounds::key(), bounds.inner_texts()),
            ),
            field("ids", Type::list(Type::Int), Size::list(items, Size::scalar())),
            field("items", Type::list(Type::Object(Arc::clone(&item))), Size::list(items, item_size)),
            field("member", Type::Bool, Size::scalar()),
            field("name", Type::String, bounds.text()),
            field("raw", Type::Bytes, Size::bytes(bounds.characters as u64)),
            field("rows", Type::list(texts.clone()), Size::list(items, bounds.inner_texts())),
            field("score", Type::Double, Size::scalar()),
            field("tags", texts.clone(), bounds.texts()),
        ];
        let facts = Arc::new(ObjectType { name: "facts".into(), fields });
        let alone = Env::new(vec![variable("facts", &facts)]).with_limits(LIMITS);
        let (derived, text) = loop {
            let mut generator = Generator { random, locals: Vec::new(), names: 0 };
            let text = generator.expression('T', 2).replace("derived.x", "facts.tags");
            if let Ok(program) = alone.compile(&text) {
                break (program, text);
            }
        };
        let size = derived.size();
        let object = Arc::new(ObjectType { name: "derived".into(), fields: vec![field("x", texts, size)] });
        let env = Env::new(vec![variable("facts", &facts), variable("derived", &object)]).with_limits(LIMITS);
        let deferred = vec![(env.slot("derived.x").unwrap(), env.compile(&text).unwrap())];
        let frame = Arc::new(Frame::new(&env, deferred));
        let has_dyn_derived = ["facts.any", "facts.?any", "facts.bounded"].iter().any(|path| text.contains(path));
        Self { bounds, env, facts, item, frame, derived, has_dyn_derived }
    }

    fn activation(&self, random: &mut Random) -> Activation {
        let mut activation = Activation::of(&self.frame);
        for field in &self.facts.fields {
            if random.below(16) > 0 {
                let value = self.fact(random, &field.name);
                assert!(activation.set_path(&format!("facts.{}", field.name), value), "{}", field.name);
            }
        }
        activation
    }

    fn fact(&self, random: &mut Random, name: &str) -> Value {
        let Bounds { characters, items, inner_items } = self.bounds;
        let inner_texts = |random: &mut Random| list(random, inner_items, &mut |random| text(random, characters));
        match name {
            "any" => anything(random),
            "bounded" => bounded(random, characters, items),
            "age" => Value::Int([0, 1, 7, i64::MAX][random.below(4)]),
            "member" => Value::Bool(random.below(2) == 0),
            "name" => text(random, characters),
            "raw" => Value::Bytes(vec![[b'a', 0xFF][random.below(2)]; length(random, characters)].into()),
            "score" => Value::Double([0.5, -1e300, f64::NAN][random.below(3)]),
            "ids" => list(random, items, &mut |random| Value::Int([1, 2, 3][random.below(3)])),
            "tags" => list(random, items, &mut |random| text(random, characters)),
            "rows" => list(random, items, &mut |random| inner_texts(random)),
            "counts" => map(random, items, &mut |_| Value::Int(1)),
            "groups" => map(random, items, &mut |random| inner_texts(random)),
            "items" => list(random, items, &mut |random| {
                let fields = vec![
                    Some(text(random, characters)),
                    Some(inner_texts(random)),
                    (random.below(8) > 0).then_some(Value::Double(1.5)),
                ];
                Value::Object(Arc::new(ObjectValue::new(Arc::clone(&self.item), fields)))
            }),
            other => panic!("there is no fact `{other}`"),
        }
    }
}

/// A length, most often the greatest.
fn length(random: &mut Random, most: usize) -> usize {
    if random.below(5) > 0 { most } else { random.below(most + 1) }
}

fn text(random: &mut Random, characters: usize) -> Value {
    // Most texts are alike, so that comparing them goes to their ends.
    let character = ["𝄞", "𝄞", "a", "é", "\"", "1"][random.below(6)];
    Value::from(character.repeat(length(random, characters)))
}

fn list(random: &mut Random, items: usize, make: &mut dyn FnMut(&mut Random) -> Value) -> Value {
    let length = length(random, items);
    Value::list((0..length).map(|_| make(random)).collect())
}

fn map(random: &mut Random, items: usize, make: &mut dyn FnMut(&mut Random) -> Value) -> Value {
    let mut map = MapValue::default();
    for number in 0..length(random, items) {
        map.insert(Value::from(format!("{number:0>KEY_BYTES$}")), make(random));
    }
    Value::Map(Arc::new(map))
}

/// A value of which the schema says nothing. The estimate takes it for no larger than a map from texts to texts, each with
/// the bounds that hold where a schema is silent, and all of them together as long as the body of a request.
fn anything(random: &mut Random) -> Value {
    // One of the greatest length alone, or many that are together as long as may be expected.
    if random.below(8) == 0 {
        return text(random, STRING_CHARS_DEFAULT_MAX as usize);
    }
    let items = LIST_ITEMS_DEFAULT_MAX as usize;
    let characters = [3, 20, 20, REQUEST_BYTES as usize / 4 / items][random.below(4)];
    match random.below(8) {
        0 => Value::Int(3),
        1 => Value::Double(0.5),
        2 => text(random, characters),
        3 => list(random, items, &mut |random| text(random, characters)),
        4 => list(random, items, &mut |random| Value::Int([1, 2, 3][random.below(3)])),
        5 => map(random, items, &mut |random| text(random, characters)),
        6 => list(random, 10, &mut |random| list(random, 9, &mut |random| text(random, characters))),
        _ => map(random, 10, &mut |random| map(random, 9, &mut |_| Value::Bool(true))),
    }
}

/// A value that keeps to bounds which are those of a `dyn`.
fn bounded(random: &mut Random, characters: usize, items: usize) -> Value {
    let texts = |random: &mut Random| list(random, items, &mut |random| text(random, characters));
    match random.below(6) {
        0 => Value::Double(0.5),
        1 => text(random, characters),
        2 => texts(random),
        3 => list(random, items, &mut |random| texts(random)),
        4 => map(random, items, &mut |random| texts(random)),
        _ => map(random, items, &mut |random| map(random, items, &mut |random| text(random, characters))),
    }
}

/// A small generator of numbers: the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// How expressions of a kind are made: `{t}` is an expression of kind `t`, `@t` a new name of that kind, which what
/// stands behind `^` may use. Kinds: `b` bool, `i` int, `d` double, `t` text, `y` bytes, `I` ints, `T` texts, `O` items,
/// `o` an item, `A` anything, `R` rows of texts, `C` a map of ints, `G` a map of texts, `P` an optional text.
const FORMS: &[(char, &[&str], &[&str])] = &[
    (
        'b',
        &["true", "facts.member", "has(facts.name)", "has(facts.items)"],
        &[
            "({b} && {b})",
            "({b} || {b})",
            "!({b})",
            "({b} ? {b} : {b})",
            "({i} < {i})",
            "({d} >= {d})",
            "({t} == {t})",
            "({t} < {t})",
            "({T} == {T})",
            "({y} == {y})",
            "({C} == {C})",
            "({G} != {G})",
            "({R} == {R})",
            "({O} == {O})",
            "({P} == {P})",
            "({t} in {T})",
            "({i} in {I})",
            "({T} in {R})",
            "({t} in {C})",
            "(facts == facts)",
            "{t}.contains({t})",
            "{t}.startsWith({t})",
            "{t}.endsWith('aaaa')",
            "{t}.endsWith({t})",
            "{y}.contains({y})",
            "{y}.startsWith({y})",
            "{T}.unique()",
            "{R}.unique()",
            "{T}.isSorted()",
            "{T}.hasIntersection({T})",
            "isSubset({R}, {R})",
            "{t}.isEmail()",
            "{t}.isUriRef()",
            "{t}.isIpPrefix(4, true)",
            "{t}.isHostAndPort({b})",
            "{t}.inIPAddrRange('10.0.0.0/8')",
            "isURL({t})",
            "isQuantity({t})",
            "isSemver({t}, true)",
            "(url({t}) == url('/' + {t}))",
            "{A}.startsWith({t})",
            "{A}.unique()",
            "{A}.hasIntersection({A})",
            "(getField({C}, {t}) == {A})",
            "{t}.matches('^a+[0-9]*$')",
            "{t}.matches({t})",
            "matches({t}, 'a|b')",
            "{T}.exists(@t, ^{b})",
            "{I}.all(@i, ^{b})",
            "{O}.exists(@o, ^{b})",
            "{O}.exists_one(@o, ^{b})",
            "{R}.all(@T, ^{b})",
            "{C}.exists(@t, ^{b})",
            "{T}.exists(@i, @t, ^{b})",
            "{G}.all(@t, @T, ^{b})",
            "{T}.existsOne(@i, @t, ^{b})",
            "sets.contains({T}, {T})",
            "sets.intersects({I}, {I})",
            "sets.equivalent({T}, {T})",
            "cel.bind(@T, {T}, ^{b})",
            "{P}.hasValue()",
            "({t}.size() > {i})",
            "bool({t})",
            "([{t}, {t}] == {T})",
            "({'a': {t}} == {'a': {t}})",
            "({A} == {A})",
            "({A} != {t})",
            "({A} < {A})",
            "({A} in {A})",
            "({t} in {A})",
            "{A}.exists(@A, ^{b})",
            "{A}.all(@i, @A, ^{b})",
            "{A}.contains({t})",
        ],
    ),
    (
        'i',
        &["0", "3", "facts.age", "facts.?age.orValue(2)"],
        &[
            "({i} + {i})",
            "({i} * {i})",
            "size({t})",
            "{T}.size()",
            "size({C})",
            "{y}.size()",
            "{I}[0]",
            "{C}['a']",
            "{t}.indexOf({t})",
            "{t}.lastIndexOf({t})",
            "{T}.indexOf({t})",
            "{R}.lastIndexOf({T})",
            "{I}.sum()",
            "{I}.max()",
            "int({I}.avg())",
            "hash({t}, 100)",
            "hash({y}, 7)",
            "hash({i}, 9)",
            "quantity('1k').add({i}).asInteger()",
            "{A}.indexOf({A})",
            "{A}.max()",
            "int({d})",
            "int({t})",
            "math.greatest({i}, {i})",
            "math.least({I})",
            "({b} ? {i} : {i})",
            "{O}.filter(@o, ^{b}).size()",
            "cel.bind(@i, {i}, ^{i})",
            "size({A})",
            "int({A})",
        ],
    ),
    ('d', &["1.5", "facts.score"], &["({d} + {d})", "double({i})", "({b} ? {d} : {d})", "double({t})"]),
    (
        't',
        &["''", "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "facts.name", "'a'"],
        &[
            "({t} + {t})",
            "string({i})",
            "string({d})",
            "string({y})",
            "{T}[0]",
            "{t}.charAt(0)",
            "{t}.find('a+')",
            "{t}.find({t})",
            "{T}.min()",
            "{T}.max()",
            "url('/' + {t}).getEscapedPath()",
            "url('http://' + {t}).getHostname()",
            "url('/?' + {t}).getQuery().map(@t, ^{t}).join()",
            "{t}.lowerAscii()",
            "{t}.upperAscii()",
            "{t}.trim()",
            "{t}.reverse()",
            "strings.quote({t})",
            "{t}.replace({t}, {t})",
            "{t}.replace('a', {t})",
            "{t}.replace({t}, {t}, 2)",
            "{t}.substring(0)",
            "{T}.join()",
            "{T}.join({t})",
            "'%s: %d %x'.format([{t}, {i}, {t}])",
            "'%s %s'.format([{G}, {T}])",
            "'%.9f %e'.format([{d}, {d}])",
            "{t}.format([{i}])",
            "regex.replace({t}, 'a', {t})",
            "regex.replace({t}, '(a)', r'\\1\\1')",
            "base64.encode({y})",
            "({b} ? {t} : {t})",
            "{P}.orValue({t})",
            "{P}.value()",
            "{G}['a'][0]",
            "cel.bind(@t, {t}, ^({t} + {t}))",
            "{I}.map(@i, ^string({i}))[0]",
            "string({A})",
            "{A}.upperAscii()",
            "{A}.replace({t}, {A})",
            "'%s'.format([{A}])",
        ],
    ),
    ('y', &["b'abc'", "facts.raw"], &["bytes({t})", "({y} + {y})", "base64.decode({t})"]),
    (
        'I',
        &["facts.ids", "[1, 2, 3]", "lists.range(5)"],
        &[
            "({I} + {I})",
            "[{i}, {i}]",
            "{I}.map(@i, ^{i})",
            "{I}.filter(@i, ^{b})",
            "{I}.map(@i, ^{b}, {i})",
            "{I}.sort()",
            "{I}.distinct()",
            "{I}.reverse()",
            "{I}.slice(0, 1)",
            "[{I}, {I}].flatten()",
            "lists.range(size({T}))",
            "{T}.map(@t, ^size({t}))",
            "{C}.map(@t, ^size({t}))",
            "lists.range({i})",
        ],
    ),
    (
        'T',
        &["facts.tags", "['a', 'b']", "derived.x", "facts.tags"],
        &[
            "({T} + {T})",
            "[{t}, {t}]",
            "{T}.map(@t, ^{t})",
            "{T}.filter(@t, ^{b})",
            "{T}.sort()",
            "{T}.distinct()",
            "{T}.reverse()",
            "{T}.sortBy(@t, ^{t})",
            "{T}.sortBy(@t, ^{i})",
            "{R}.flatten()",
            "{R}[0]",
            "{t}.split({t})",
            "{t}.split(',')",
            "{t}.split('')",
            "regex.extractAll({t}, 'a+')",
            "{t}.findAll('a')",
            "{t}.findAll('a', 2)",
            "{T}.intersect({T})",
            "{T}.except({T})",
            "url('/?a=' + {t}).getQuery()['a']",
            "{T}.transformList(@i, @t, ^{t})",
            "{G}.map(@t, ^{t})",
            "{C}.transformList(@t, @i, ^{t})",
            "{O}.map(@o, ^{t})",
            "({b} ? {T} : {T})",
            "cel.bind(@T, {T}, ^({T} + {T}))",
            "optional.unwrap([{P}, {P}])",
            "[{P}].unwrapOpt()",
            "[?{P}, {t}]",
            "{G}['00000000000000000000']",
            "{A}.map(@A, ^{t})",
            "{A}.split({t})",
        ],
    ),
    (
        'A',
        &["facts.any", "facts.bounded", "facts.any[0]", "facts.bounded[0]", "facts.?any.orValue('a')"],
        &[
            "({A} + {A})",
            "dyn([{A}, dyn({t})])",
            "{A}['00000000000000000000']",
            "{A}[?0].orValue({A})",
            "dyn({A}.map(@A, ^{A}))",
            "dyn({A}.filter(@A, ^{b}))",
            "dyn({A}.transformMap(@t, @A, ^{A}))",
            "dyn({A}.reverse())",
            "({b} ? {A} : dyn({T}))",
            "cel.bind(@A, {A}, ^({A} + {A}))",
        ],
    ),
    ('O', &["facts.items"], &["{O}.filter(@o, ^{b})", "({O} + {O})", "{O}.sortBy(@o, ^{t})", "{O}.reverse()"]),
    ('R', &["facts.rows"], &["[{T}, {T}]", "{R}.map(@T, ^{T})", "{T}.map(@t, ^{t}.split({t}))", "{R}.distinct()"]),
    (
        'C',
        &["facts.counts", "{'a': 1}"],
        &["{C}.transformMap(@t, @i, ^{i})", "{'a': {i}, 'b': {i}}", "{G}.transformMap(@t, @T, ^size({T}))"],
    ),
    (
        'G',
        &["facts.groups"],
        &["{G}.transformMap(@t, @T, ^{T})", "{'a': {T}}", "{C}.transformMapEntry(@t, @i, ^{{t} + 'k': {T}})"],
    ),
    (
        'P',
        &["facts.?name", "optional.of('a')"],
        &[
            "optional.of({t})",
            "{T}[?0]",
            "{T}.first()",
            "{T}.last()",
            "{P}.or({P})",
            "{P}.optMap(@t, ^{t})",
            "regex.extract({t}, 'a+')",
            "{P}.optFlatMap(@t, ^{P})",
            "optional.ofNonZeroValue({t})",
        ],
    ),
];

struct Generator<'a> {
    random: &'a mut Random,
    locals: Vec<(String, char)>,
    names: usize,
}

impl Generator<'_> {
    fn expression(&mut self, kind: char, depth: usize) -> String {
        let (_, leaves, forms) = FORMS.iter().find(|(of, ..)| *of == kind).unwrap();
        if depth == 0 || self.random.below(6) == 0 {
            let known: Vec<String> =
                self.locals.iter().filter_map(|(name, of)| self.of_local(name, *of, kind)).collect();
            if !known.is_empty() && self.random.below(3) > 0 {
                return known[self.random.below(known.len())].clone();
            }
            return leaves[self.random.below(leaves.len())].to_owned();
        }
        let form = forms[self.random.below(forms.len())];
        self.filled(form, depth - 1)
    }

    /// What a local of kind `of` gives of this kind.
    fn of_local(&self, name: &str, of: char, kind: char) -> Option<String> {
        match (of, kind) {
            _ if of == kind => Some(name.to_owned()),
            ('o', 't') => Some(format!("{name}.label")),
            ('o', 'T') => Some(format!("{name}.marks")),
            ('o', 'd') => Some(format!("{name}.price")),
            ('o', 'b') => Some(format!("has({name}.price)")),
            _ => None,
        }
    }

    fn filled(&mut self, form: &str, depth: usize) -> String {
        let (before, mut queued) = (self.locals.len(), Vec::new());
        let (mut source, mut characters) = (String::new(), form.chars().peekable());
        while let Some(character) = characters.next() {
            match character {
                '{' if characters.peek().is_some_and(|kind| FORMS.iter().any(|(of, ..)| of == kind)) => {
                    let kind = characters.next().unwrap();
                    if characters.peek() == Some(&'}') {
                        characters.next();
                        source.push_str(&self.expression(kind, depth));
                    } else {
                        source.extend(['{', kind]);
                    }
                }
                '@' => {
                    self.names += 1;
                    let name = format!("v{}", self.names);
                    source.push_str(&name);
                    queued.push((name, characters.next().unwrap()));
                }
                '^' if !queued.is_empty() => self.locals.append(&mut queued),
                other => source.push(other),
            }
        }
        self.locals.truncate(before);
        source
    }
}
