//! Compiles what a draft makes of the set, and weighs it: refused, made, or made with what it breaks deactivated.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Applied, ChangelogEntry, Draft, Operation, Refusal, difference,
    draft::{Target, Written},
    quotas,
    schemas::{active, inactive},
};
use crate::{
    config::limits,
    domain::{ChangeOptions, OnBroken, Snapshot},
    error::{Detail, Subject},
    ruleset::{Broken, CheckReport, CompileReport, RuleSet},
};

/// Makes of a draft what is to be written, or says why it cannot be made.
pub(super) fn settle(
    mut draft: Draft,
    snapshot: &Snapshot,
    current: Option<&RuleSet>,
    options: &ChangeOptions,
) -> Result<Applied, Refusal> {
    if draft.details.is_empty() && difference::operations(snapshot, &mut draft.after).is_empty() {
        let after = snapshot.clone();
        let outcome = draft.outcome;
        return Ok(Applied {
            operations: Vec::new(),
            inactive: inactive(&after, &options.deactivated),
            after,
            outcome,
            deactivated: Vec::new(),
            reactivated: Vec::new(),
            warnings: Vec::new(),
            set: None,
        });
    }
    quotas::check_stored(snapshot, &draft.after).map_err(Refusal::QuotaExceeded)?;
    let before = standing(snapshot, current);
    let set = RuleSet::compile(&draft.after, Some(&before));
    let report = set.report();
    let checks = check_inactive(&draft, &set);
    let written: HashSet<Uuid> = draft.written.iter().map(|written| written.target.id()).collect();
    let unfit_now = unfit(&set, &before, &written);
    draft.details.extend(written_errors(&draft.written, &unfit_now, &checks));
    if !draft.details.is_empty() {
        draft.details.truncate(limits::DETAILS_MAX);
        return Err(Refusal::Invalid(draft.details));
    }
    let (set, deactivated) = deactivate_broken(&mut draft.after, (set, unfit_now), &before, options.on_broken)?;
    quotas::check_compiled(&draft.after, &set, &before).map_err(Refusal::QuotaExceeded)?;
    if draft.schema_action.is_some() || snapshot.derived_fields != draft.after.derived_fields {
        infer_types(&mut draft.after, &set, &checks);
    }
    let warnings = warnings(&draft, &set, &checks);
    let mut operations = difference::operations(snapshot, &mut draft.after);
    operations.extend(log(&draft, snapshot, options, report, &deactivated));
    // The tenant's time of change came after compiling.
    let set = Arc::new(set.for_tenant(draft.after.tenant.clone()));
    let failed: HashSet<Uuid> = deactivated.iter().map(|broken| broken.subject.id()).collect();
    let mut inactive = inactive(&draft.after, &options.deactivated);
    inactive.retain(|subject| !failed.contains(&subject.id()));
    Ok(Applied {
        operations,
        reactivated: active(&draft.after, &options.deactivated),
        inactive,
        after: draft.after,
        outcome: draft.outcome,
        deactivated,
        warnings,
        set: Some(set),
    })
}

/// The set as it stands: what is broken in it already is not the change's doing.
fn standing<'a>(snapshot: &Snapshot, current: Option<&'a RuleSet>) -> Cow<'a, RuleSet> {
    match current {
        Some(set) if set.epoch() == snapshot.epoch && set.revision() == snapshot.revision() => Cow::Borrowed(set),
        _ => Cow::Owned(RuleSet::compile(snapshot, current)),
    }
}

/// What the checker says of inactive things that are written: no set holds them, and they must compile all the same.
fn check_inactive(draft: &Draft, set: &RuleSet) -> HashMap<Uuid, CheckReport> {
    if draft.written.is_empty() {
        return HashMap::new();
    }
    let written: HashSet<Uuid> = draft.written.iter().map(|written| written.target.id()).collect();
    let rules = draft.after.rules.iter().filter(|rule| !rule.active && written.contains(&rule.id.0));
    let fields = draft.after.derived_fields.iter().filter(|field| !field.active && written.contains(&field.id.0));
    let rules = rules.map(|rule| (rule.id.0, set.check_rule(&rule.expression)));
    let fields = fields.map(|field| (field.id.0, set.check_derived_field(&field.expression)));
    rules.chain(fields).collect()
}

/// What does not compile, what cannot mean what it says, and what can cost more than it may. All but the first run, and
/// are not written or made so. Of what is as it was, only the `written` is judged by its meaning.
fn unfit(set: &RuleSet, before: &RuleSet, written: &HashSet<Uuid>) -> Vec<Broken> {
    let mut unfit = set.broken().to_vec();
    unfit.extend(set.doubtful_since(before, |id| written.contains(&id)));
    for costly in set.costly() {
        match unfit.iter_mut().find(|known| known.subject.id() == costly.subject.id()) {
            Some(known) => known.details.extend_from_slice(&costly.details),
            None => unfit.push(costly.clone()),
        }
    }
    unfit
}

/// Everything wrong with the expressions that a change writes, each at its place in the input.
fn written_errors(written: &[Written], unfit: &[Broken], checks: &HashMap<Uuid, CheckReport>) -> Vec<Detail> {
    let broken: HashMap<Uuid, &[Detail]> =
        unfit.iter().map(|broken| (broken.subject.id(), broken.details.as_slice())).collect();
    let details_of = |id: Uuid| match checks.get(&id) {
        Some(report) => report.details.as_slice(),
        None => broken.get(&id).copied().unwrap_or_default(),
    };
    let at_place = |written: &'_ Written| {
        let path = written.path.clone();
        details_of(written.target.id()).iter().cloned().map(move |detail| detail.at(path.clone()))
    };
    written.iter().flat_map(at_place).collect()
}

/// What is worth knowing of the expressions that a change writes, each at its place in the input, and of a new schema.
fn warnings(draft: &Draft, set: &RuleSet, checks: &HashMap<Uuid, CheckReport>) -> Vec<Detail> {
    let written: HashSet<Uuid> = draft.written.iter().map(|written| written.target.id()).collect();
    let of_set = set.warnings(|id| written.contains(&id)).map(|(subject, warnings)| (subject.id(), warnings));
    let of_checks = checks.iter().map(|(id, report)| (*id, report.warnings.clone()));
    let mut found: HashMap<Uuid, Vec<Detail>> = of_set.chain(of_checks).collect();
    let at_place = |written: &'_ Written| {
        let path = written.path.clone();
        let warnings = found.remove(&written.target.id()).unwrap_or_default();
        warnings.into_iter().map(move |warning| warning.at(path.clone()))
    };
    let schema = draft.after.schema.as_ref().filter(|_| draft.schema_action.is_some());
    let mut warnings = schema.map(|schema| schema.definition.warnings()).unwrap_or_default();
    warnings.extend(draft.written.iter().flat_map(at_place));
    warnings.truncate(limits::DETAILS_MAX);
    warnings
}

/// Refuses what the change breaks, or deactivates it, and what that breaks in turn, until nothing more breaks.
fn deactivate_broken(
    after: &mut Snapshot,
    (mut set, mut unfit_now): (RuleSet, Vec<Broken>),
    before: &RuleSet,
    on_broken: OnBroken,
) -> Result<(RuleSet, Vec<Broken>), Refusal> {
    let mut known: HashSet<Uuid> =
        before.broken().iter().chain(before.costly()).map(|broken| broken.subject.id()).collect();
    let mut deactivated: Vec<Broken> = Vec::new();
    loop {
        let found: HashSet<Uuid> = unfit_now.iter().map(|broken| broken.subject.id()).collect();
        known.extend(before.doubtful(|id| found.contains(&id)).map(|broken| broken.subject.id()));
        unfit_now.retain(|broken| !known.contains(&broken.subject.id()));
        if unfit_now.is_empty() {
            return Ok((set, deactivated));
        }
        if on_broken == OnBroken::Refuse {
            return Err(Refusal::Breaks(unfit_now));
        }
        deactivate(after, &unfit_now);
        deactivated.append(&mut unfit_now);
        set = RuleSet::compile(after, Some(&set));
        unfit_now = unfit(&set, before, &HashSet::new());
    }
}

fn deactivate(after: &mut Snapshot, broken: &[Broken]) {
    let ids: HashSet<Uuid> = broken.iter().map(|broken| broken.subject.id()).collect();
    for rule in after.rules.iter_mut().filter(|rule| ids.contains(&rule.id.0)) {
        rule.active = false;
    }
    for field in after.derived_fields.iter_mut().filter(|field| ids.contains(&field.id.0)) {
        field.active = false;
    }
}

/// Writes down what the checker found derived fields to be; those that do not compile keep what they had.
fn infer_types(after: &mut Snapshot, set: &RuleSet, checks: &HashMap<Uuid, CheckReport>) {
    for field in &mut after.derived_fields {
        let checked = || {
            let report = checks.get(&field.id.0)?;
            Some((report.value_type.clone()?, report.dependencies.clone()))
        };
        if let Some((value_type, dependencies)) = set.derived_type(field.id).or_else(checked) {
            field.value_type = value_type;
            field.dependencies = dependencies;
        }
    }
}

fn log(
    draft: &Draft,
    snapshot: &Snapshot,
    options: &ChangeOptions,
    report: CompileReport,
    deactivated: &[Broken],
) -> Option<Operation> {
    let entry = ChangelogEntry {
        action: draft.schema_action?,
        from_version: snapshot.schema.as_ref().map(|schema| schema.version),
        to_version: draft.after.schema.as_ref()?.version,
        actor: options.author.actor.clone(),
        rules_recompiled: report.compiled,
        rules_failed: deactivated.len(),
        details: json!({ "deactivated": deactivated.iter().map(logged).collect::<Vec<_>>() }),
    };
    Some(Operation::Log(entry))
}

fn logged(broken: &Broken) -> Value {
    match &broken.subject {
        Subject::Rule { rule_id, rule_name } => {
            json!({ "ruleId": rule_id, "ruleName": rule_name, "errors": broken.details })
        }
        Subject::DerivedField { field_id, field_name } => {
            json!({ "fieldId": field_id, "fieldName": field_name, "errors": broken.details })
        }
    }
}

impl Target {
    fn id(self) -> Uuid {
        match self {
            Self::Rule(id) => id.0,
            Self::DerivedField(id) => id.0,
        }
    }
}
