//! Which overloads take the arguments of a call, and the type that they give together.
//!
//! Arguments whose type is not known yet, such as the elements of `[]`, are no reason to choose one of several overloads.

use super::{
    Checked, CheckedKind, Checker,
    unify::{Variables, is_ground, never_fits},
};
use crate::cel::{library::Overload, parse::Range, types::Type};

/// What one overload makes of a call.
struct Fit<'o> {
    overload: &'o Overload,
    result: Type,
    /// What it makes of each type that was free before.
    bound: Vec<Type>,
}

impl Checker<'_> {
    /// The type that the overloads fitting `arguments` give: `dyn` where they differ, unless it is one that an argument
    /// leaves open.
    pub(super) fn overload(&mut self, overloads: &[Overload], is_member: bool, arguments: &[Checked]) -> Option<Type> {
        let mut free = Vec::new();
        arguments.iter().for_each(|argument| self.variables.add_free(&argument.value_type, &mut free));
        let candidates = overloads.iter().filter(|overload| {
            overload.is_member == is_member
                && overload.parameters.len() == arguments.len()
                // Most overloads fall away here, before anything is made for them.
                && !overload.parameters.iter().zip(arguments).any(|(to, from)| never_fits(to, &from.value_type))
        });
        if free.is_empty() {
            let mut result: Option<Type> = None;
            for overload in candidates {
                let Some(value_type) = fit(&mut self.variables, overload, arguments) else { continue };
                result = Some(match result {
                    Some(known) if known == value_type => known,
                    Some(_) => Type::Dyn,
                    None => value_type,
                });
            }
            return result;
        }
        let mut fits = Vec::new();
        for overload in candidates {
            let found = self.variables.trial(|variables| {
                let result = fit(variables, overload, arguments)?;
                let bound = free.iter().map(|free| variables.resolve(free, false)).collect();
                Some(Fit { overload, result, bound })
            });
            fits.extend(found);
        }
        match fits.as_slice() {
            [] => None,
            [only] => fit(&mut self.variables, only.overload, arguments),
            several => Some(self.common(several, &free)),
        }
    }

    /// What several overloads agree in: of the types that are `free`, and as their result.
    fn common(&mut self, fits: &[Fit<'_>], free: &[Type]) -> Type {
        for (place, free) in free.iter().enumerate() {
            let mut found = fits.iter().filter_map(|fit| fit.bound.get(place));
            if let Some(first) = found.next().filter(|first| is_ground(first))
                && found.all(|other| other == first)
            {
                self.variables.assign(free, first);
            }
        }
        let results: Vec<_> = fits.iter().map(|fit| &fit.result).collect();
        generalize(&results, fits, free)
    }

    pub(super) fn extremum(&mut self, arguments: &[Checked]) -> Option<Type> {
        let mut joined: Option<Type> = None;
        for argument in arguments {
            let argument = self.variables.resolve(&argument.value_type, true);
            if !argument.is_numeric() && argument != Type::Dyn {
                return None;
            }
            joined = Some(match joined {
                Some(known) if known != argument => Type::Dyn,
                _ => argument,
            });
        }
        joined
    }

    /// Refuses a list that is written out and has no number, or what is none: CEL's macro refuses it as well.
    pub(super) fn no_numbers(&mut self, range: Range, name: &str, arguments: &[Checked]) -> Option<Checked> {
        let [Checked { kind: CheckedKind::List(elements), range: list, .. }] = arguments else { return None };
        let is_number = |element: &Checked| match &element.kind {
            CheckedKind::Constant(_) => element.value_type.is_numeric(),
            CheckedKind::List(_) | CheckedKind::Map(_) => false,
            _ => true,
        };
        let (place, message) = match elements.iter().find(|(element, _)| !is_number(element)) {
            Some((element, _)) => {
                (element.range, format!("`{name}` takes numbers, not `{}`", self.text(element.range)))
            }
            None if elements.is_empty() => (*list, format!("`{name}` of no number has no value")),
            None => return None,
        };
        let failed = self.misuse(place, message);
        self.hint(format!("write at least one number: `{name}([1, 2])`"));
        Some(Checked { range, ..failed })
    }
}

/// The type that `overload` gives; `None` if it does not take `arguments`.
fn fit(variables: &mut Variables, overload: &Overload, arguments: &[Checked]) -> Option<Type> {
    let types = arguments.iter().map(|argument| &argument.value_type);
    if !overload.is_generic {
        return variables.assign_all(overload.parameters.iter().zip(types)).then(|| overload.result.clone());
    }
    let mut names = Vec::new();
    let parameters = overload.parameters.iter();
    let parameters: Vec<_> = parameters.map(|parameter| variables.instantiate(parameter, &mut names)).collect();
    let value_type = variables.instantiate(&overload.result, &mut names);
    if !variables.assign_all(parameters.iter().zip(types)) {
        return None;
    }
    // What an argument known at run time only says nothing of, nothing said later may narrow.
    if arguments.iter().any(|argument| variables.resolve(&argument.value_type, false) == Type::Dyn) {
        for (_, free) in &names {
            if variables.resolve(free, false) == *free {
                variables.assign(free, &Type::Dyn);
            }
        }
    }
    Some(variables.resolve(&value_type, false))
}

/// The narrowest type that each of `found`, one of each overload, is an instance of: where they differ, the free type that
/// they say the same of, else `dyn`.
fn generalize(found: &[&Type], fits: &[Fit<'_>], free: &[Type]) -> Type {
    let Some((first, rest)) = found.split_first() else { return Type::Dyn };
    if rest.iter().all(|other| other == first) {
        return (*first).clone();
    }
    let says_the_same = |place: usize| {
        fits.iter().zip(found).all(|(fit, found)| fit.bound.get(place).is_some_and(|bound| bound == *found))
    };
    if let Some((_, free)) = free.iter().enumerate().find(|(place, _)| says_the_same(*place)) {
        return free.clone();
    }
    let inner = |take: fn(&Type) -> Option<&Type>| {
        let inner: Option<Vec<_>> = found.iter().map(|found| take(found)).collect();
        inner.map(|inner| generalize(&inner, fits, free))
    };
    match first {
        Type::List(_) => inner(|found| if let Type::List(inner) = found { Some(inner) } else { None }).map(Type::list),
        Type::Optional(_) => {
            inner(|found| if let Type::Optional(inner) = found { Some(inner) } else { None }).map(Type::optional)
        }
        Type::Map(..) => {
            let key = inner(|found| if let Type::Map(key, _) = found { Some(key) } else { None });
            let value = inner(|found| if let Type::Map(_, value) = found { Some(value) } else { None });
            key.zip(value).map(|(key, value)| Type::map(key, value))
        }
        _ => None,
    }
    .unwrap_or(Type::Dyn)
}
