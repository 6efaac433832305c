//! Macros: calls that bind names or test for presence, expanded into loops and bindings.

use std::sync::Arc;

use super::{Access, Checked, CheckedKind, Checker, Loop, LoopKind, checked};
use crate::cel::{
    library,
    parse::{Kind, Node, Range},
    types::Type,
};
use crate::config::limits::EXPRESSION_LOOPS_MAX;

impl Checker<'_> {
    /// What the call means if it is a macro.
    pub(super) fn macro_call(
        &mut self,
        range: Range,
        name: &str,
        target: Option<&Node<'_>>,
        arguments: &[Node<'_>],
    ) -> Option<Checked> {
        if !self.env.has_macros() {
            return None;
        }
        let Some(target) = target else {
            return match (name.trim_start_matches('.'), arguments) {
                ("has", [argument]) => Some(self.has(range, argument)),
                _ => None,
            };
        };
        if matches!(&target.kind, Kind::Ident { name, .. } if *name == "cel") {
            return self.cel_macro(range, name, arguments);
        }
        use LoopKind::{All, Exists, ExistsOne, List, Map, MapEntry};
        Some(match (name, arguments) {
            ("all", [v, p]) => self.fold(range, All, target, &[v], Some(p), None),
            ("all", [k, v, p]) => self.fold(range, All, target, &[k, v], Some(p), None),
            ("exists", [v, p]) => self.fold(range, Exists, target, &[v], Some(p), None),
            ("exists", [k, v, p]) => self.fold(range, Exists, target, &[k, v], Some(p), None),
            ("exists_one" | "existsOne", [v, p]) => self.fold(range, ExistsOne, target, &[v], Some(p), None),
            ("exists_one" | "existsOne", [k, v, p]) => self.fold(range, ExistsOne, target, &[k, v], Some(p), None),
            ("filter", [v, p]) => self.fold(range, List, target, &[v], Some(p), None),
            ("map", [v, t]) => self.fold(range, List, target, &[v], None, Some(t)),
            ("map", [v, p, t]) => self.fold(range, List, target, &[v], Some(p), Some(t)),
            ("transformList", [k, v, t]) => self.fold(range, List, target, &[k, v], None, Some(t)),
            ("transformList", [k, v, p, t]) => self.fold(range, List, target, &[k, v], Some(p), Some(t)),
            ("transformMap", [k, v, t]) => self.fold(range, Map, target, &[k, v], None, Some(t)),
            ("transformMap", [k, v, p, t]) => self.fold(range, Map, target, &[k, v], Some(p), Some(t)),
            ("transformMapEntry", [k, v, t]) => self.fold(range, MapEntry, target, &[k, v], None, Some(t)),
            ("transformMapEntry", [k, v, p, t]) => self.fold(range, MapEntry, target, &[k, v], Some(p), Some(t)),
            ("optMap", [v, body]) => self.map_optional(range, target, v, body, false),
            ("optFlatMap", [v, body]) => self.map_optional(range, target, v, body, true),
            ("sortBy", [v, key]) => self.sort_by(range, target, v, key),
            _ => return None,
        })
    }

    fn cel_macro(&mut self, range: Range, name: &str, arguments: &[Node<'_>]) -> Option<Checked> {
        match (name, arguments) {
            ("bind", [variable, value, body]) => {
                let Some(variable) = self.variable_name(variable) else {
                    return Some(self.misuse(variable.range, "`cel.bind` takes a simple name first".to_owned()));
                };
                let value = self.node(value);
                let (local, body) = self.scoped(&[(variable, value.value_type.clone())], |checker| checker.node(body));
                let value_type = body.value_type.clone();
                let bindings = vec![(local, value)];
                Some(checked(CheckedKind::Bind { bindings, body: Box::new(body) }, value_type, range))
            }
            ("block", [values, body]) => Some(self.block(range, values, body)),
            ("index", [Node { kind: Kind::Literal(_), .. }]) | ("iterVar" | "accuVar", [_, _]) => {
                let name = generated_name(name, arguments)?;
                match self.scopes.iter().rev().find(|scope| scope.0 == name) {
                    Some((_, local, value_type)) => {
                        Some(checked(CheckedKind::Local(*local), value_type.clone(), range))
                    }
                    None => Some(self.fail(
                        range,
                        "undeclared_reference",
                        format!("`{}` is not bound here", self.text(range)),
                    )),
                }
            }
            _ => None,
        }
    }

    /// `cel.block([a, b], body)`: each value may use those before it.
    fn block(&mut self, range: Range, values: &Node<'_>, body: &Node<'_>) -> Checked {
        let Kind::List(elements) = &values.kind else {
            return self.misuse(values.range, "`cel.block` takes a list of expressions first".to_owned());
        };
        let before = self.scopes.len();
        let mut bindings = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let value = self.node(&element.value);
            let local = self.new_local();
            self.scopes.push((format!("@index{index}").into(), local, value.value_type.clone()));
            bindings.push((local, value));
        }
        let body = self.node(body);
        self.scopes.truncate(before);
        let value_type = body.value_type.clone();
        checked(CheckedKind::Bind { bindings, body: Box::new(body) }, value_type, range)
    }

    fn has(&mut self, range: Range, argument: &Node<'_>) -> Checked {
        match &argument.kind {
            Kind::Select { operand, field, optional: false } => self.select(range, operand, field, Access::Test),
            _ => self.misuse(argument.range, "`has` takes a field: `has(object.field)`".to_owned()),
        }
    }

    fn new_local(&mut self) -> u32 {
        self.locals += 1;
        self.locals - 1
    }

    /// The name that a macro binds.
    fn variable_name(&self, node: &Node<'_>) -> Option<Arc<str>> {
        match &node.kind {
            Kind::Ident { name, absolute: false } => Some((*name).into()),
            Kind::Call { name, target: Some(target), arguments, .. } if matches!(&target.kind, Kind::Ident { name, .. } if *name == "cel") => {
                generated_name(name, arguments)
            }
            _ => None,
        }
    }

    /// Checks something in which `names` are bound to new locals, the first of which is returned.
    fn scoped<R>(&mut self, names: &[(Arc<str>, Type)], check: impl FnOnce(&mut Self) -> R) -> (u32, R) {
        let (before, first) = (self.scopes.len(), self.locals);
        for (name, value_type) in names {
            let local = self.new_local();
            self.scopes.push((Arc::clone(name), local, value_type.clone()));
        }
        let result = check(self);
        self.scopes.truncate(before);
        (first, result)
    }

    fn fold(
        &mut self,
        range: Range,
        kind: LoopKind,
        target: &Node<'_>,
        variables: &[&Node<'_>],
        predicate: Option<&Node<'_>>,
        transform: Option<&Node<'_>>,
    ) -> Checked {
        let mut names = Vec::new();
        for variable in variables {
            let Some(name) = self.variable_name(variable) else {
                return self.misuse(variable.range, "a loop's variable must be a simple name".to_owned());
            };
            if names.contains(&name) {
                return self.misuse(variable.range, "a loop's two variables must have different names".to_owned());
            }
            names.push(name);
        }
        if self.loops >= EXPRESSION_LOOPS_MAX {
            let message = format!("loops are nested more than {EXPRESSION_LOOPS_MAX} deep");
            return self.refuse(range, "expression_too_deep", message);
        }
        let target = self.node(target);
        let types = self.element_types(&target, names.len() == 2);
        let bound: Vec<_> = names.into_iter().zip(types.clone()).collect();
        self.loops += 1;
        let (first, (predicate, transform)) = self.scoped(&bound, |checker| {
            let predicate = predicate.map(|predicate| {
                let predicate = checker.node(predicate);
                checker.expect(&predicate, &Type::Bool, "the condition of a loop");
                predicate
            });
            (predicate, transform.map(|transform| checker.node(transform)))
        });
        self.loops -= 1;
        let value_type = self.loop_type(kind, &types, transform.as_ref());
        let second = (bound.len() == 2).then_some(first + 1);
        let parts = Loop { kind, range: target, first, second, predicate, transform };
        checked(CheckedKind::Loop(Box::new(parts)), value_type, range)
    }

    fn loop_type(&mut self, kind: LoopKind, types: &[Type], transform: Option<&Checked>) -> Type {
        let transformed = transform.map(|transform| transform.value_type.clone());
        match kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Bool,
            LoopKind::List => Type::list(transformed.or_else(|| types.last().cloned()).unwrap_or(Type::Dyn)),
            LoopKind::Map => {
                let key = types.first().cloned().unwrap_or(Type::Dyn);
                Type::map(key, transformed.unwrap_or(Type::Dyn))
            }
            LoopKind::MapEntry => {
                let entry = Type::map(self.variables.fresh(), self.variables.fresh());
                if let Some(transform) = transform {
                    self.expect(transform, &entry, "an entry");
                }
                entry
            }
        }
    }

    /// The types of a loop's variables.
    fn element_types(&mut self, target: &Checked, has_two: bool) -> Vec<Type> {
        let (key, value) = match self.variables.resolve(&target.value_type, false) {
            Type::List(element) => (Type::Int, element.as_ref().clone()),
            Type::Map(key, value) if has_two => (key.as_ref().clone(), value.as_ref().clone()),
            Type::Map(key, _) => (Type::Dyn, key.as_ref().clone()),
            Type::Dyn => (Type::Dyn, Type::Dyn),
            variable @ Type::Variable(_) => {
                self.variables.assign(&variable, &Type::Dyn);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message =
                    format!("a loop runs over a list or a map, and `{}` is `{other}`", self.text(target.range));
                if self.env.is_checked() {
                    self.fail(target.range, "no_such_overload", message);
                    self.hint("use a list or a map".to_owned());
                }
                (Type::Dyn, Type::Dyn)
            }
        };
        if has_two { vec![key, value] } else { vec![value] }
    }

    fn map_optional(
        &mut self,
        range: Range,
        target: &Node<'_>,
        variable: &Node<'_>,
        body: &Node<'_>,
        flat: bool,
    ) -> Checked {
        let Some(name) = self.variable_name(variable) else {
            return self.misuse(variable.range, "the variable must be a simple name".to_owned());
        };
        let operand = self.node(target);
        let inner = self.inside_optional(&operand);
        let (local, body) = self.scoped(&[(name, inner)], |checker| checker.node(body));
        let value_type = if flat {
            let inner = self.inside_optional(&body);
            Type::optional(inner)
        } else {
            Type::optional(body.value_type.clone())
        };
        let kind = CheckedKind::MapOptional { operand: Box::new(operand), local, body: Box::new(body), flat };
        checked(kind, value_type, range)
    }

    /// `list.sortBy(e, key)`: the list, sorted by the keys of its elements.
    fn sort_by(&mut self, range: Range, target: &Node<'_>, variable: &Node<'_>, key: &Node<'_>) -> Checked {
        // Not the range of the whole: a trace tells the keys from the sorted list by it.
        let keys = self.fold(key.range, LoopKind::List, target, &[variable], None, Some(key));
        let list = self.node(target);
        match library::find("@sortByKeys") {
            Some(function) => self.resolve(range, function, true, vec![list, keys], range),
            None => keys,
        }
    }
}

/// The name behind `cel.index(0)` and `cel.iterVar(0, 1)`.
fn generated_name(name: &str, arguments: &[Node<'_>]) -> Option<Arc<str>> {
    let numbers: Option<Vec<_>> = arguments
        .iter()
        .map(|argument| match &argument.kind {
            Kind::Literal(crate::cel::value::Value::Int(number)) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    match name {
        "index" => Some(format!("@index{}", numbers?.join(":")).into()),
        "iterVar" => Some(format!("@it:{}", numbers?.join(":")).into()),
        "accuVar" => Some(format!("@ac:{}", numbers?.join(":")).into()),
        _ => None,
    }
}
