//! A sample as text. Pure: it neither asks nor prints.

use std::{cmp::Reverse, collections::HashMap, fmt::Write};

use super::{
    Sort,
    sample::{Resident, Sample, Tenant},
};

/// How to show it.
#[derive(Debug)]
pub(super) struct View {
    pub url: String,
    pub sort: Sort,
    pub rows: usize,
}

/// A tenant as it is shown.
struct Row<'a> {
    tenant: &'a Tenant,
    resident: Resident,
    /// Since the sample before.
    decisions: Option<f64>,
}

/// The screen. `before` gives the rates.
pub(super) fn draw(view: &View, sample: &Sample, before: Option<&Sample>) -> String {
    let mut rows = rows(sample, before);
    sort(&mut rows, view.sort);
    let mut text = String::new();
    // Writing into a text cannot fail.
    let _ = heading(&mut text, view, sample);
    let _ = nodes(&mut text, sample);
    let _ = tenants(&mut text, &rows, view.rows);
    text
}

fn rows<'a>(sample: &'a Sample, before: Option<&Sample>) -> Vec<Row<'a>> {
    let seconds = before.map(|before| (sample.taken_at - before.taken_at).as_secs_f64()).filter(|time| *time > 0.0);
    let known: HashMap<&str, u64> = before
        .iter()
        .flat_map(|before| &before.tenants)
        .filter_map(|tenant| Some((tenant.tenant_id.as_str(), tenant.resident?.decisions)))
        .collect();
    let row = |tenant: &'a Tenant| {
        let resident = tenant.resident.unwrap_or_default();
        // One that came into memory since counts from nothing.
        let earlier = known.get(tenant.tenant_id.as_str()).copied().filter(|count| *count <= resident.decisions);
        let made = resident.decisions - earlier.unwrap_or(0);
        Row { tenant, resident, decisions: seconds.map(|seconds| made as f64 / seconds) }
    };
    sample.tenants.iter().map(row).collect()
}

fn sort(rows: &mut [Row<'_>], by: Sort) {
    let most = |measure: fn(&Resident) -> u64| move |row: &Row<'_>| Reverse(measure(&row.resident));
    match by {
        Sort::Rate => rows.sort_by(|one, other| {
            let rates = other.decisions.unwrap_or(0.0).total_cmp(&one.decisions.unwrap_or(0.0));
            rates.then(other.resident.decisions.cmp(&one.resident.decisions))
        }),
        Sort::Cost => rows.sort_by_key(most(|resident| resident.cost)),
        Sort::Time => rows.sort_by_key(most(|resident| resident.evaluation_time_us)),
        Sort::Memory => rows.sort_by_key(most(|resident| resident.memory_bytes)),
        Sort::Lag => rows.sort_by_key(most(|resident| resident.lag_ms)),
        Sort::Restarts => rows.sort_by_key(most(|resident| resident.restarts)),
        Sort::Name => rows.sort_by_key(|row| name(row.tenant)),
    }
}

fn heading(text: &mut String, view: &View, sample: &Sample) -> std::fmt::Result {
    let count = |state: &str| sample.tenants.iter().filter(|tenant| tenant.state == state).count();
    let states = ["ready", "stale", "quarantined", "loading", "stopping"].map(|state| (state, count(state)));
    let states = states.iter().filter(|(_, count)| *count > 0).map(|(state, count)| format!("{count} {state}"));
    let states = states.collect::<Vec<_>>().join(", ");
    let more = if sample.more { " and more" } else { "" };
    writeln!(
        text,
        "{}: {}{more} in memory{}{states}",
        view.url,
        sample.tenants.len(),
        if states.is_empty() { "" } else { ": " }
    )
}

fn nodes(text: &mut String, sample: &Sample) -> std::fmt::Result {
    writeln!(
        text,
        "\n{:<36}  {:<20} {:<10} {:>8} {:>9} {:>9} {:>9}",
        "NODE", "HOST", "VERSION", "TENANTS", "MEMORY", "LAG", "SEEN DB"
    )?;
    for node in &sample.nodes {
        writeln!(
            text,
            "{:<36}  {:<20} {:<10} {:>8} {:>9} {:>9} {:>9}",
            fit(&node.id, 36),
            fit(&node.host, 20),
            fit(&node.version, 10),
            node.resident_tenants,
            bytes(node.memory_bytes),
            time(node.lag_ms),
            time(node.synchronised_ago_ms),
        )?;
    }
    Ok(())
}

fn tenants(text: &mut String, rows: &[Row<'_>], shown: usize) -> std::fmt::Result {
    writeln!(
        text,
        "\n{:<36}  {:<16} {:>13} {:>8} {:>9} {:>9} {:>10} {:>9} {:>8} {:>8} {:>8}",
        "TENANT", "STATE", "REVISION", "LAG", "RULES", "MEMORY", "DECISIONS", "PER S", "US EACH", "COST", "RESTARTS",
    )?;
    for Row { tenant, resident, decisions } in rows.iter().take(shown) {
        let state = if tenant.pinned { format!("{} pin", tenant.state) } else { tenant.state.clone() };
        let number = |revision: Option<i64>| revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let revision = if tenant.revision == tenant.stored_revision {
            number(tenant.revision)
        } else {
            format!("{} of {}", number(tenant.revision), number(tenant.stored_revision))
        };
        let rules = match resident.broken_rules {
            0 => resident.active_rules.to_string(),
            broken => format!("{} ({broken}!)", resident.active_rules),
        };
        let each = |sum: u64| sum.checked_div(resident.decisions).unwrap_or(0);
        writeln!(
            text,
            "{:<36}  {:<16} {:>13} {:>8} {:>9} {:>9} {:>10} {:>9} {:>8} {:>8} {:>8}",
            fit(&name(tenant), 36),
            fit(&state, 16),
            revision,
            time(resident.lag_ms),
            rules,
            bytes(resident.memory_bytes),
            resident.decisions,
            decisions.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            each(resident.evaluation_time_us),
            each(resident.cost),
            resident.restarts,
        )?;
    }
    if rows.len() > shown {
        writeln!(text, "… {} more", rows.len() - shown)?;
    }
    Ok(())
}

fn name(tenant: &Tenant) -> String {
    tenant.name.clone().unwrap_or_else(|| tenant.tenant_id.clone())
}

/// `text` in at most `width` characters, none of which moves the cursor.
fn fit(text: &str, width: usize) -> String {
    let visible = text.chars().map(|character| if character.is_control() { '·' } else { character });
    if text.chars().count() <= width { visible.collect() } else { visible.take(width - 1).chain(['…']).collect() }
}

fn bytes(count: u64) -> String {
    let (mut size, mut unit) = (count as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1_024.0 {
            break;
        }
        (size, unit) = (size / 1_024.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") }
}

fn time(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{millis} ms"),
        10_000..600_000 => format!("{} s", millis / 1_000),
        _ => format!("{} min", millis / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::cli::top::sample::Node;

    fn tenant(name: &str, decisions: u64, memory_bytes: u64) -> Tenant {
        Tenant {
            tenant_id: format!("id of {name}"),
            name: Some(name.to_owned()),
            state: "ready".to_owned(),
            pinned: false,
            revision: Some(7),
            stored_revision: Some(7),
            resident: Some(Resident { decisions, memory_bytes, active_rules: 10, ..Resident::default() }),
        }
    }

    fn sample(taken_at: Instant, tenants: Vec<Tenant>) -> Sample {
        let node = Node {
            id: "01890000-0000-7000-8000-000000000000".to_owned(),
            host: "alpha".to_owned(),
            version: "0.1.0".to_owned(),
            resident_tenants: 2,
            memory_bytes: 3 << 20,
            lag_ms: 0,
            synchronised_ago_ms: 12_345,
        };
        Sample { taken_at, nodes: vec![node], tenants, more: false }
    }

    fn view(sort: Sort) -> View {
        View { url: "http://here".to_owned(), sort, rows: 10 }
    }

    fn order(text: &str, names: [&str; 2]) -> bool {
        text.find(names[0]).unwrap() < text.find(names[1]).unwrap()
    }

    #[test]
    fn rates_are_what_came_between_two_samples() {
        let began = Instant::now();
        let before = sample(began, vec![tenant("acme", 1_000, 0), tenant("globex", 10, 0)]);
        let now = sample(began + Duration::from_secs(2), vec![tenant("acme", 1_010, 0), tenant("globex", 210, 0)]);
        let text = draw(&view(Sort::Rate), &now, Some(&before));
        assert!(order(&text, ["globex", "acme"]), "{text}");
        let line = text.lines().find(|line| line.starts_with("globex")).unwrap();
        assert!(line.split_whitespace().any(|cell| cell == "100"), "{line}");
        let text = draw(&view(Sort::Rate), &now, None);
        assert!(order(&text, ["acme", "globex"]), "without rates by their number: {text}");
    }

    #[test]
    fn a_tenant_that_came_back_counts_from_nothing() {
        let began = Instant::now();
        let before = sample(began, vec![tenant("acme", 1_000, 0)]);
        let now = sample(began + Duration::from_secs(1), vec![tenant("acme", 30, 0)]);
        let text = draw(&view(Sort::Rate), &now, Some(&before));
        let line = text.lines().find(|line| line.starts_with("acme")).unwrap();
        assert_eq!(line.split_whitespace().filter(|cell| *cell == "30").count(), 2, "{line}");
    }

    #[test]
    fn each_order_puts_the_most_first() {
        let tenants = vec![tenant("acme", 1, 1 << 20), tenant("globex", 2, 3)];
        let now = sample(Instant::now(), tenants);
        for (sort, names) in
            [(Sort::Memory, ["acme", "globex"]), (Sort::Rate, ["globex", "acme"]), (Sort::Name, ["acme", "globex"])]
        {
            let text = draw(&view(sort), &now, None);
            assert!(order(&text, names), "{sort:?}: {text}");
        }
        let text = draw(&View { rows: 1, ..view(Sort::Name) }, &now, None);
        assert!(!text.contains("globex") && text.contains("… 1 more"), "{text}");
    }

    #[test]
    fn what_is_behind_or_broken_is_seen() {
        let mut behind = tenant("acme", 0, 0);
        behind.stored_revision = Some(9);
        behind.state = "stale".to_owned();
        behind.resident = Some(Resident { lag_ms: 61_000, active_rules: 10, broken_rules: 2, ..Resident::default() });
        let text = draw(&view(Sort::Lag), &sample(Instant::now(), vec![behind]), None);
        for part in ["1 in memory: 1 stale", "7 of 9", "61 s", "10 (2!)", "alpha", "3.0 MiB", "12 s"] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
    }

    #[test]
    fn a_name_cannot_move_the_cursor_nor_the_columns() {
        assert_eq!(fit("\u{1b}[2Jacme", 36), "·[2Jacme");
        assert_eq!(fit(&"a".repeat(99), 5), "aaaa…");
    }
}
