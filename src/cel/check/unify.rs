//! Which type fits where: assignability, with type variables that take the type they first meet, and widen.

use std::sync::Arc;

use crate::cel::types::Type;

/// What is known of the type variables of one expression.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    found: Vec<Option<Type>>,
    /// What stood in `found` before each change since the assignment or trial that is under way began.
    undo: Vec<(u32, Option<Type>)>,
    /// Whether assignments may still be taken back though they fit.
    is_trial: bool,
}

impl Variables {
    pub(super) fn fresh(&mut self) -> Type {
        self.found.push(None);
        Type::Variable(u32::try_from(self.found.len() - 1).unwrap_or(u32::MAX))
    }

    /// Whether no type that was checked can have a variable.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn get(&self, variable: u32) -> Option<&Type> {
        self.found.get(variable as usize).and_then(Option::as_ref)
    }

    fn set(&mut self, variable: u32, value: Type) {
        if let Some(place) = self.found.get_mut(variable as usize) {
            self.undo.push((variable, place.replace(value)));
        }
    }

    /// `value` with what is known of its variables; those that are not known stay, or become `dyn`.
    pub(super) fn resolve(&self, value: &Type, unknown_is_dyn: bool) -> Type {
        match value {
            Type::Variable(variable) => match self.get(*variable) {
                Some(found) => self.resolve(found, unknown_is_dyn),
                None if unknown_is_dyn => Type::Dyn,
                None => value.clone(),
            },
            ground if is_ground(ground) => ground.clone(),
            other => map_parameters(other, &mut |inner| self.resolve(inner, unknown_is_dyn)),
        }
    }

    /// Whether every type of `from` fits its counterpart in `to`; what that says of variables is kept only then.
    pub(super) fn assign_all<'t>(&mut self, pairs: impl IntoIterator<Item = (&'t Type, &'t Type)>) -> bool {
        let before = self.undo.len();
        let fits = pairs.into_iter().all(|(to, from)| self.fits(to, from));
        if !fits {
            self.take_back(before);
        } else if !self.is_trial {
            self.undo.clear();
        }
        fits
    }

    fn take_back(&mut self, before: usize) {
        for (variable, known) in self.undo.drain(before..).rev() {
            if let Some(place) = self.found.get_mut(variable as usize) {
                *place = known;
            }
        }
    }

    /// What `look` finds out; nothing that it assigns stays.
    pub(super) fn trial<R>(&mut self, look: impl FnOnce(&mut Self) -> R) -> R {
        self.is_trial = true;
        let found = look(self);
        self.take_back(0);
        self.is_trial = false;
        found
    }

    /// Adds the variables in `value` of which nothing is known yet.
    pub(super) fn add_free(&self, value: &Type, free: &mut Vec<Type>) {
        match value {
            Type::Variable(variable) => match self.get(*variable) {
                Some(known) => self.add_free(known, free),
                None if !free.contains(value) => free.push(value.clone()),
                None => {}
            },
            ground if is_ground(ground) => {}
            Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => self.add_free(inner, free),
            Type::Map(key, value) => {
                self.add_free(key, free);
                self.add_free(value, free);
            }
            Type::Abstract(_, parameters) => parameters.iter().for_each(|parameter| self.add_free(parameter, free)),
            _ => {}
        }
    }

    pub(super) fn assign(&mut self, to: &Type, from: &Type) -> bool {
        self.assign_all([(to, from)])
    }

    fn fits(&mut self, to: &Type, from: &Type) -> bool {
        if let Type::Variable(variable) = from {
            let (fits, was_known) = self.substitute(to, *variable);
            if fits || was_known {
                return fits;
            }
        }
        if let Type::Variable(variable) = to {
            return self.substitute(from, *variable).0;
        }
        match (to, from) {
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::Null, other) | (other, Type::Null) => takes_null(other),
            (Type::List(to), Type::List(from)) | (Type::Optional(to), Type::Optional(from)) => self.fits(to, from),
            (Type::Map(to_key, to_value), Type::Map(from_key, from_value)) => {
                self.fits(to_key, from_key) && self.fits(to_value, from_value)
            }
            (Type::Type(_), Type::Type(_)) => true,
            (Type::Abstract(to, to_parameters), Type::Abstract(from, from_parameters)) => {
                to == from
                    && to_parameters.len() == from_parameters.len()
                    && to_parameters.iter().zip(from_parameters.iter()).all(|(to, from)| self.fits(to, from))
            }
            _ => to.is_alike(from),
        }
    }

    /// Whether `variable` may stand for `value`, and whether it stood for something before.
    fn substitute(&mut self, value: &Type, variable: u32) -> (bool, bool) {
        if *value == Type::Variable(variable) {
            return (true, true);
        }
        if let Some(known) = self.get(variable).cloned() {
            let fits = self.fits(value, &known);
            if fits {
                let general = most_general(value, &known);
                if !self.mentions(&general, variable) {
                    self.set(variable, general);
                }
            }
            return (fits, true);
        }
        if self.mentions(value, variable) {
            return (false, false);
        }
        self.set(variable, value.clone());
        (true, false)
    }

    fn mentions(&self, value: &Type, variable: u32) -> bool {
        match value {
            Type::Variable(other) => {
                *other == variable || self.get(*other).is_some_and(|known| self.mentions(known, variable))
            }
            Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => self.mentions(inner, variable),
            Type::Map(key, value) => self.mentions(key, variable) || self.mentions(value, variable),
            Type::Abstract(_, parameters) => parameters.iter().any(|parameter| self.mentions(parameter, variable)),
            _ => false,
        }
    }

    /// The type of a list that holds both; `dyn` if there is no narrower one.
    pub(super) fn join(&mut self, previous: Option<Type>, next: Type) -> Type {
        match previous {
            None => next,
            Some(previous) if self.assign(&previous, &next) => most_general(&previous, &next),
            Some(_) => Type::Dyn,
        }
    }

    /// `value` with its parameters replaced by variables, the same one for the same name.
    pub(super) fn instantiate<'t>(&mut self, value: &'t Type, names: &mut Vec<(&'t str, Type)>) -> Type {
        match value {
            Type::Parameter(name) => {
                if let Some((_, known)) = names.iter().find(|(known, _)| **known == **name) {
                    return known.clone();
                }
                let fresh = self.fresh();
                names.push((name, fresh.clone()));
                fresh
            }
            ground if is_ground(ground) => ground.clone(),
            other => map_parameters(other, &mut |inner| self.instantiate(inner, names)),
        }
    }
}

/// Whether there is neither a variable nor a parameter in `value`, so that it stays what it is.
pub(super) fn is_ground(value: &Type) -> bool {
    match value {
        Type::Variable(_) | Type::Parameter(_) => false,
        Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => is_ground(inner),
        Type::Map(key, value) => is_ground(key) && is_ground(value),
        Type::Abstract(_, parameters) => parameters.iter().all(is_ground),
        _ => true,
    }
}

/// Whether a value of `from` certainly is none of `to`, told from the outermost of both alone.
pub(super) fn never_fits(to: &Type, from: &Type) -> bool {
    use std::mem::discriminant;
    let is_told = |value: &Type| {
        value.is_plain() || matches!(value, Type::List(_) | Type::Map(..) | Type::Timestamp | Type::Duration)
    };
    is_told(to) && is_told(from) && discriminant(to) != discriminant(from)
}

fn map_parameters<'t>(value: &'t Type, map: &mut dyn FnMut(&'t Type) -> Type) -> Type {
    match value {
        Type::List(inner) => Type::list(map(inner)),
        Type::Optional(inner) => Type::optional(map(inner)),
        Type::Type(inner) => Type::Type(Arc::new(map(inner))),
        Type::Map(key, value) => Type::map(map(key), map(value)),
        Type::Abstract(name, parameters) => Type::Abstract(Arc::clone(name), parameters.iter().map(map).collect()),
        other => other.clone(),
    }
}

fn takes_null(value: &Type) -> bool {
    matches!(
        value,
        Type::Null
            | Type::Dyn
            | Type::Abstract(..)
            | Type::Optional(_)
            | Type::Timestamp
            | Type::Duration
            | Type::Object(_)
    )
}

fn most_general(left: &Type, right: &Type) -> Type {
    if is_as_general(left, right) { left.or(right) } else { right.or(left) }
}

fn is_as_general(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Dyn | Type::Variable(_), _) => true,
        (_, Type::Dyn | Type::Variable(_)) => false,
        // Null fits these, not the other way round.
        (other, Type::Null) => takes_null(other),
        (Type::List(left), Type::List(right)) | (Type::Optional(left), Type::Optional(right)) => {
            is_as_general(left, right)
        }
        (Type::Map(left_key, left_value), Type::Map(right_key, right_value)) => {
            is_as_general(left_key, right_key) && is_as_general(left_value, right_value)
        }
        (Type::Type(_), Type::Type(_)) => true,
        (Type::Abstract(left, left_parameters), Type::Abstract(right, right_parameters)) => {
            left == right
                && left_parameters.len() == right_parameters.len()
                && left_parameters.iter().zip(right_parameters.iter()).all(|(left, right)| is_as_general(left, right))
        }
        _ => left.is_alike(right),
    }
}
