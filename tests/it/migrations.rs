//! Migrations: up, down and up again leave no trace; who fails says where, and leaves the database as it was.

use std::{fs, path::Path, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection, migrate::Migrator};
use tenet::store::migrate::{self, Error, Migrate, MigrateOptions, Version};

use crate::support::{Directory, TestDatabase};

/// The migration that the service has last.
const NEWEST: i64 = 20;

const NOTHING: [i64; 0] = [];

async fn open(database: &TestDatabase) -> Migrate {
    Migrate::open(MigrateOptions::new(database.url())).await.unwrap()
}

async fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::connect(database.url()).await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

async fn exists(connection: &mut PgConnection, table: &str) -> bool {
    sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(connection).await.unwrap()
}

/// Everything that migrations make in a database, one line each. What belongs to the cluster is left out.
async fn catalogue(database: &TestDatabase) -> Vec<String> {
    let sql = "
        with space as (select 'public'::regnamespace as oid)
        select concat_ws(' ', 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
                -- Their order, not their numbers: a column dropped leaves its number to nobody.
                row_number() over (partition by attrelid order by attnum), attgenerated, attcollation::regcollation, pg_get_expr(adbin, adrelid))
            from pg_attribute join pg_class c on c.oid = attrelid
                left join pg_attrdef on adrelid = attrelid and adnum = attnum, space
            where c.relnamespace = space.oid and attnum > 0 and not attisdropped
        union all select concat_ws(' ', 'table', relname, relkind, relrowsecurity, relforcerowsecurity, relacl)
            from pg_class, space where relnamespace = space.oid
        union all select concat_ws(' ', 'index', pg_get_indexdef(indexrelid))
            from pg_index join pg_class c on c.oid = indrelid, space where c.relnamespace = space.oid
        union all select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(pg_constraint.oid))
            from pg_constraint, space where connamespace = space.oid
        union all select concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), tgenabled)
            from pg_trigger t join pg_class c on c.oid = tgrelid, space
            where c.relnamespace = space.oid and not tgisinternal
        union all select concat_ws(' ', 'policy', p::text) from pg_policies p
        union all select concat_ws(' ', 'function', pg_get_functiondef(p.oid), proacl)
            from pg_proc p, space where pronamespace = space.oid
        union all select concat_ws(' ', 'schema', nspname, nspacl) from pg_namespace n, space where n.oid = space.oid
        union all select concat_ws(' ', 'type', typname, typtype) from pg_type, space where typnamespace = space.oid
        order by 1";
    sqlx::query_scalar(sql).fetch_all(&mut connect(database).await).await.unwrap()
}

#[tokio::test]
async fn up_all_the_way_down_and_up_again_leaves_the_catalogue_as_it_was() {
    let database = TestDatabase::empty().await;
    let mut migrate = open(&database).await;
    let applied = migrate.up(None).await.unwrap();
    assert_eq!(applied, (1..=NEWEST).collect::<Vec<_>>());
    let before = catalogue(&database).await;
    assert!(before.len() > 100, "{before:#?}");
    let undone = migrate.down(0).await.unwrap();
    assert_eq!(undone, (1..=NEWEST).rev().collect::<Vec<_>>());
    let left: Vec<String> = catalogue(&database).await;
    let other: Vec<_> =
        left.iter().filter(|line| !line.contains("schema_migrations") && !line.starts_with("schema ")).collect();
    assert_eq!(other, [""; 0], "only the table of migrations stays");
    assert!(left.iter().all(|line| !line.contains("tenet_app")), "the role has no rights left: {left:#?}");
    migrate.up(None).await.unwrap();
    assert_eq!(catalogue(&database).await, before);
    migrate.close().await;
}

#[tokio::test]
async fn each_step_down_and_up_leaves_the_catalogue_as_it_was() {
    let database = TestDatabase::empty().await;
    let mut migrate = open(&database).await;
    for version in 1..=NEWEST {
        assert_eq!(migrate.up(Some(version)).await.unwrap(), [version]);
        let before = catalogue(&database).await;
        assert_eq!(migrate.down_one().await.unwrap(), [version]);
        assert_eq!(migrate.up(Some(version)).await.unwrap(), [version]);
        assert_eq!(catalogue(&database).await, before, "{version}");
        assert_eq!(migrate.version().await.unwrap(), Some(Version { version, dirty: false }));
    }
    assert_eq!(migrate.up(None).await.unwrap(), NOTHING);
    migrate.close().await;
}

#[tokio::test]
async fn forced_back_the_files_can_be_applied_again_over_what_exists() {
    let database = TestDatabase::fresh().await;
    let before = catalogue(&database).await;
    let mut migrate = open(&database).await;
    migrate.force(0).await.unwrap();
    assert_eq!(migrate.version().await.unwrap(), None);
    assert_eq!(migrate.up(None).await.unwrap().len(), usize::try_from(NEWEST).unwrap());
    assert_eq!(catalogue(&database).await, before);
    migrate.close().await;
}

#[tokio::test]
async fn the_same_database_can_be_migrated_by_eight_at_once() {
    let database = TestDatabase::empty().await;
    let runs: Vec<_> = (0..8)
        .map(|_| {
            let options = MigrateOptions::new(database.url());
            tokio::spawn(async move {
                let mut migrate = Migrate::open(options).await.unwrap();
                let applied = migrate.up(None).await.unwrap().len();
                migrate.close().await;
                applied
            })
        })
        .collect();
    let mut applied = 0;
    for run in runs {
        applied += run.await.unwrap();
    }
    assert_eq!(applied, usize::try_from(NEWEST).unwrap(), "each migration by one of them");
}

#[tokio::test]
async fn eight_databases_can_be_migrated_at_once_and_share_a_new_role() {
    let mut databases = Vec::new();
    for _ in 0..8 {
        databases.push(TestDatabase::empty().await);
    }
    let role = format!("tenet_test_shared_{}", std::process::id());
    let mut owner = connect(&databases[0]).await;
    run(&mut owner, &format!("drop role if exists {role}")).await;
    let runs: Vec<_> = databases
        .iter()
        .map(|database| {
            let options = MigrateOptions { role: role.clone(), ..MigrateOptions::new(database.url()) };
            tokio::spawn(migrate::up(options))
        })
        .collect();
    for run in runs {
        run.await.unwrap().unwrap();
    }
    for database in &databases {
        run(&mut connect(database).await, &format!("drop owned by {role}")).await;
    }
    run(&mut owner, &format!("drop role {role}")).await;
}

#[tokio::test]
async fn who_waits_too_long_for_another_migrator_says_so() {
    let database = TestDatabase::empty().await;
    let mut holder = open(&database).await;
    holder.up(Some(1)).await.unwrap();
    let mut options = MigrateOptions::new(database.url());
    options.lock_timeout = Duration::from_millis(50);
    let refused = migrate::up(options.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Locked), "{refused}");
    holder.close().await;
    options.lock_timeout = Duration::from_secs(30);
    migrate::up(options).await.unwrap();
}

/// Files of a test's own, after those of the service.
async fn files(directory: &Directory, files: &[(&str, &str)]) -> Migrator {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in fs::read_dir(ours).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    for (name, sql) in files {
        fs::write(directory.path().join(name), sql).unwrap();
    }
    Migrator::new(directory.path()).await.unwrap()
}

async fn open_with(database: &TestDatabase, migrator: &Migrator) -> Migrate {
    Migrate::open_with(MigrateOptions::new(database.url()), migrator).await.unwrap()
}

#[tokio::test]
async fn a_migration_that_fails_names_itself_and_leaves_the_database_as_it_was() {
    let database = TestDatabase::fresh().await;
    let before = catalogue(&database).await;
    let directory = Directory::new();
    let broken = "create table more (id int);\n\n-- The next one fails.\ninsert into more\nvalues ('x;y');\n";
    let migrator =
        files(&directory, &[("000900_more.up.sql", broken), ("000900_more.down.sql", "drop table more;")]).await;
    let mut migrate = open_with(&database, &migrator).await;
    let failed = migrate.up(None).await.unwrap_err().to_string();
    for part in [
        "000900_more.up.sql failed at line 4",
        "invalid input syntax for type integer: \"x;y\" (SQLSTATE 22P02)",
        "insert into more\nvalues ('x;y')",
        "nothing of it has taken effect",
    ] {
        assert!(failed.contains(part), "`{part}` is not in: {failed}");
    }
    assert_eq!(catalogue(&database).await, before);
    assert_eq!(migrate.version().await.unwrap(), Some(Version { version: NEWEST, dirty: false }));
    // The lock is not left behind: the same connection and another one go on.
    assert!(matches!(migrate.up(None).await.unwrap_err(), Error::Failed { .. }));
    migrate.close().await;
    let mut options = MigrateOptions::new(database.url());
    options.lock_timeout = Duration::from_secs(5);
    migrate::up(options).await.unwrap();
}

#[tokio::test]
async fn a_migration_that_cannot_be_undone_is_marked_until_somebody_has_repaired_it() {
    let database = TestDatabase::fresh().await;
    let directory = Directory::new();
    let halfway = "-- no-transaction\ncreate table half ();\ncreate index concurrently broken on nowhere (id);\n";
    let migrator =
        files(&directory, &[("000900_half.up.sql", halfway), ("000900_half.down.sql", "drop table half;")]).await;
    let mut migrate = open_with(&database, &migrator).await;
    let failed = migrate.up(None).await.unwrap_err().to_string();
    assert!(failed.contains("000900_half.up.sql failed at line 3"), "{failed}");
    assert!(failed.contains("tenet migrate force"), "{failed}");
    assert_eq!(migrate.version().await.unwrap(), Some(Version { version: 900, dirty: true }));
    assert!(matches!(migrate.up(None).await.unwrap_err(), Error::Dirty(900)));
    assert!(matches!(migrate.down(0).await.unwrap_err(), Error::Dirty(900)));
    assert!(migrate.status().await.unwrap().last().unwrap().dirty);
    let mut owner = connect(&database).await;
    let dirty: bool = sqlx::query_scalar("select dirty from schema_migrations where version = 900")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert!(dirty);
    run(&mut owner, "drop table half").await;
    migrate.force(NEWEST).await.unwrap();
    assert_eq!(migrate.version().await.unwrap(), Some(Version { version: NEWEST, dirty: false }));
    migrate.close().await;
    let repaired = "-- no-transaction\ncreate table half (id int);\ncreate index concurrently works on half (id);\n";
    let migrator =
        files(&directory, &[("000900_half.up.sql", repaired), ("000900_half.down.sql", "drop table half;")]).await;
    let mut migrate = open_with(&database, &migrator).await;
    assert_eq!(migrate.up(None).await.unwrap(), [900]);
    assert_eq!(migrate.down_one().await.unwrap(), [900]);
    migrate.close().await;
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused() {
    let database = TestDatabase::fresh().await;
    let directory = Directory::new();
    let more = [("000900_more.up.sql", "create table more ();"), ("000900_more.down.sql", "drop table more;")];
    let migrator = files(&directory, &more).await;
    let mut newer = open_with(&database, &migrator).await;
    assert_eq!(newer.up(None).await.unwrap(), [900]);
    newer.close().await;
    let mut migrate = open(&database).await;
    assert!(matches!(migrate.up(None).await.unwrap_err(), Error::Unknown(900)));
    assert!(matches!(migrate.down(0).await.unwrap_err(), Error::Unknown(900)));
    assert!(matches!(migrate.up(Some(70)).await.unwrap_err(), Error::NoSuchVersion(70)));
    assert!(matches!(migrate.force(70).await.unwrap_err(), Error::NoSuchVersion(70)));
    migrate.close().await;
    let migrator = files(&directory, &[("000900_more.up.sql", "create table others ();")]).await;
    let mut changed = open_with(&database, &migrator).await;
    assert!(matches!(changed.up(None).await.unwrap_err(), Error::Changed(900)));
    changed.close().await;
}

#[tokio::test]
async fn a_role_keeps_no_rights_after_the_last_step_down_and_is_not_dropped() {
    let (database, other) = tokio::join!(TestDatabase::fresh(), TestDatabase::fresh());
    let mut migrate = open(&database).await;
    migrate.down(0).await.unwrap();
    migrate.close().await;
    let mut owner = connect(&other).await;
    let may: bool = sqlx::query_scalar("select has_table_privilege('tenet_app', 'rules', 'insert')")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert!(may, "what it may in other databases is theirs");
    assert!(!exists(&mut connect(&database).await, "rules").await);
}

/// Runs `tenet migrate`; answers whether it succeeded, and what it printed.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tenet"));
    command.env_clear().arg("migrate").args(arguments).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

#[tokio::test]
async fn the_command_migrates_up_and_down_and_tells_where_the_database_stands() {
    let database = TestDatabase::empty().await;
    let by_variable = [("DATABASE_URL", database.url())];
    let nowhere = [
        ("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere"),
        ("DATABASE_MIGRATION_URL", "postgresql://x@127.0.0.1:1/y"),
    ];
    let by_flag = |arguments: &[&'static str]| {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--database", database.url()]).collect();
        command(&arguments, &nowhere)
    };
    assert_eq!(command(&["version"], &by_variable), (true, "none\n".to_owned()));
    let (done, text) = command(&["up", "--to", "2"], &by_variable);
    assert_eq!((done, text.as_str()), (true, "applied migration 1\napplied migration 2\n"));
    assert!(by_flag(&["up"]).1.ends_with(&format!("applied migration {NEWEST}\n")));
    assert_eq!(by_flag(&["up"]).1, "nothing to do\n");
    assert_eq!(by_flag(&["down"]).1, format!("undid migration {NEWEST}\n"));
    let (_, status) = by_flag(&["status"]);
    let lines: Vec<&str> = status.lines().collect();
    assert_eq!(i64::try_from(lines.len()).unwrap(), NEWEST, "{status}");
    assert!(lines[4].starts_with("000005  derived fields") && lines[4].contains("applied 2"), "{status}");
    assert!(
        lines.last().unwrap().starts_with("000020  decision log") && status.trim_end().ends_with("pending"),
        "{status}"
    );
    assert_eq!(by_flag(&["force", "4"]).1, "the database is recorded as at migration 4\n");
    assert_eq!(by_flag(&["version"]).1, "4\n");
    assert_eq!(by_flag(&["down", "--to", "3"]).1, "undid migration 4\n");
    let (done, text) = by_flag(&["down", "--to", "3", "--all"]);
    assert!(!done && text.contains("cannot be used with"), "{text}");
    let (done, text) = by_flag(&["force", "70"]);
    assert!(!done && text.contains("there is no migration 70"), "{text}");
    let (done, text) = command(&["up"], &[]);
    assert!(!done && text.contains("DATABASE_URL"), "{text}");
}
