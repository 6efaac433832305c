//! Finding decisions.

use serde_json::json;

use super::{Decisions, mistakes};

#[tokio::test]
async fn decisions_are_found_by_what_they_are_and_came_to_page_by_page() {
    let of = Decisions::start().await;
    let failing = of.app.create_rule(&of.tenant, "failing", "100 / facts.age > 10").await;
    let mut made = Vec::new();
    for age in [20, 7, 0, 30] {
        made.push(of.durable(&json!({"age": age, "country": if age == 7 { "DE" } else { "US" }})).await);
    }
    made.push(of.event(&json!({"facts": {"age": 40}, "type": "signup"})).await);
    let [twenty, seven, zero, thirty, event] = [&made[0], &made[1], &made[2], &made[3], &made[4]];
    let all = of.ids("").await;
    assert_eq!(all, [event, thirty, zero, seven, twenty].map(String::clone), "the newest first");
    let rule = &of.rule;
    for (query, expected) in [
        ("&outcome=matched".to_owned(), vec![event, thirty, seven, twenty]),
        ("&outcome=error".to_owned(), vec![zero]),
        ("&outcome=unmatched".to_owned(), vec![]),
        (format!("&rule={rule}"), vec![event, thirty, twenty]),
        (format!("&rule={failing}"), vec![zero, seven]),
        ("&source=event".to_owned(), vec![event]),
        ("&source=evaluate".to_owned(), vec![thirty, zero, seven, twenty]),
        ("&type=signup".to_owned(), vec![event]),
        ("&revision=4".to_owned(), vec![event, thirty, zero, seven, twenty]),
        ("&revision=3".to_owned(), vec![]),
        ("&from=2100-01-01T00:00:00Z".to_owned(), vec![]),
        ("&to=2020-01-01T00:00:00Z".to_owned(), vec![]),
        ("&where=facts.age%20%3E%2010".to_owned(), vec![event, thirty, twenty]),
        ("&where=facts.country%20%3D%3D%20'DE'".to_owned(), vec![seven]),
        ("&where=facts.age%20%3E%2010&source=evaluate&outcome=matched".to_owned(), vec![thirty, twenty]),
        ("&where=false".to_owned(), vec![]),
    ] {
        assert_eq!(of.ids(&query).await, expected.into_iter().cloned().collect::<Vec<_>>(), "{query}");
    }
    let page = of.get("decisions?where=facts.age%20%3D%3D%2020").await;
    assert_eq!((&page["scanned"], &page["complete"], &page["nextCursor"]), (&json!(5), &json!(true), &json!(null)));
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said_with_its_place() {
    let of = Decisions::start().await;
    for (query, path, code) in [
        ("outcome=x", "outcome", "invalid_value"),
        ("source=x", "source", "invalid_value"),
        ("revision=0", "revision", "invalid_value"),
        ("rule=x", "rule", "invalid_value"),
        ("from=x", "from", "invalid_value"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from", "invalid_value"),
        ("where=facts.agee", "where", "undeclared_field"),
        ("where=facts.age", "where", "wrong_type"),
        ("where=facts.tax%20%3D%3D%20'x'", "where", "sensitive_fact"),
        ("where=facts.age%20%3E%200%20%7C%7C%20facts.tax.size()%20%3E%201", "where", "sensitive_fact"),
        ("more=1", "more", "unknown_parameter"),
        ("limit=0", "limit", "invalid_value"),
    ] {
        for list in ["decisions", "decisions/export"] {
            if list == "decisions/export" && query.starts_with("limit") {
                continue;
            }
            let refused = of.refused(&format!("{list}?{query}"), 422).await;
            let (found, place) = mistakes(&refused).remove(0);
            assert_eq!(place, path, "{query}: {refused}");
            assert!(found == code || code == "undeclared_field", "{query}: {refused}");
        }
    }
    let compiled = of.refused("decisions?where=facts.age%20%3E%20", 422).await;
    assert!(compiled["errors"][0]["column"].is_number(), "{compiled}");
    for list in ["decisions", "decisions/export"] {
        let refused = of.refused(&format!("{list}?cursor=eA"), 422).await;
        assert_eq!(mistakes(&refused)[0].0, "cursor_invalid", "{refused}");
    }
}

#[tokio::test]
async fn a_search_that_looks_at_much_ends_early_and_goes_on() {
    let of = Decisions::start().await;
    let mut owner = super::recording::owner(&of).await;
    let tenant = &of.tenant;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "insert into decisions (tenant_id, id, source, revision, schema_version, evaluated_at, facts)
         select '{tenant}', (lpad(to_hex(floor(extract(epoch from now()) * 1000)::bigint - 60000 + n / 100), 12, '0')
            || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid, 'evaluate', 3, 1, now(), format('{{\"age\": %s}}', n)::json
         from generate_series(1, 25000) n"
    )))
    .execute(&mut owner)
    .await
    .unwrap();
    let (mut cursor, mut scanned, mut found, mut pages) = (String::new(), 0, Vec::new(), 0);
    loop {
        let page = of.get(&format!("decisions?where=facts.age%20%3D%3D%205{cursor}")).await;
        let looked = page["scanned"].as_u64().unwrap();
        assert!(looked <= 10_000, "{looked}");
        scanned += looked;
        pages += 1;
        found.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => {
                assert_eq!(page["complete"], false);
                cursor = format!("&cursor={next}");
            }
            None => {
                assert_eq!(page["complete"], true);
                break;
            }
        }
    }
    assert_eq!((scanned, found.len()), (25_000, 1), "each is looked at once");
    assert!(pages >= 3, "{pages}");
}
