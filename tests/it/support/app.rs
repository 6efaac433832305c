//! The application in the process of the test, on a free port and a fresh database.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::{Value, json};
use tenet::{
    app::App,
    client::{Client, Response},
    config::{Secret, Settings},
};

use super::TestDatabase;

/// What an operator proves itself with in tests.
pub const OPERATOR_KEY: &str = "test-operator-key-0123456789abcdef0123456789abcdef";

/// A running application. Its database is dropped with it.
pub struct TestApp {
    /// Sends requests as the operator.
    pub client: Client,
    app: App,
    database: TestDatabase,
}

/// How a [`TestApp`] differs from the default one.
pub struct TestAppBuilder {
    settings: Settings,
}

impl TestApp {
    /// The application with settings as in production, on a fresh database.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// An application with settings of its own.
    pub fn builder() -> TestAppBuilder {
        let mut settings = Settings::default();
        settings.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.http.operator_key = Some(Secret::new(OPERATOR_KEY));
        settings.http.workers = 2;
        // There is no balancer to hear of a stop.
        settings.http.shutdown_delay = Duration::ZERO;
        // Whoever attacks in a test does it from one address.
        settings.http.auth_failures_per_address = 1_000_000_000;
        settings.http.auth_failures_per_key = 1_000_000_000;
        // Tests send more in a minute than a free tenant may.
        settings.engine.rate_limits = Some(false);
        TestAppBuilder { settings }
    }

    /// How to connect to its database, as the owner.
    pub fn database_url(&self) -> &str {
        self.database.url()
    }

    /// Creates a tenant; answers its id.
    pub async fn create_tenant(&self, name: &str) -> String {
        let answer = self.client.post_json("/api/v1/tenants", &json!({ "name": name })).await.unwrap();
        id_of(&answer)
    }

    /// Creates a tenant with a schema of one object, `facts`, with these fields; answers its id.
    pub async fn create_tenant_with_schema(&self, name: &str, fields: &Value) -> String {
        let tenant = self.create_tenant(name).await;
        let path = format!("/api/v1/tenants/{tenant}/schema");
        let body = json!({ "definition": { "facts": fields } });
        let answer = self.client.post_json(&path, &body).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        tenant
    }

    /// Creates a rule; answers its id.
    pub async fn create_rule(&self, tenant: &str, name: &str, expression: &str) -> String {
        let path = format!("/api/v1/tenants/{tenant}/rules");
        let body = json!({ "name": name, "expression": expression });
        id_of(&self.client.post_json(&path, &body).await.unwrap())
    }

    /// Decides facts by all active rules of a tenant.
    pub async fn evaluate(&self, tenant: &str, facts: &Value) -> Value {
        let body = json!({ "tenantId": tenant, "facts": facts });
        let answer = self.client.post_json("/api/v1/evaluate", &body).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap()
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.app.stop().await;
    }

    /// The same; the database is there as long as what is answered.
    pub async fn stop_and_keep_database(self) -> TestDatabase {
        self.app.stop().await;
        self.database
    }
}

impl TestAppBuilder {
    /// Changes settings.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Starts it; it answers when this is done.
    pub async fn start(self) -> TestApp {
        let database = TestDatabase::fresh().await;
        let mut settings = self.settings;
        settings.database.url = Some(Secret::new(database.url()));
        let app = App::start(settings).await.unwrap();
        let client = Client::new(&format!("http://{}", app.address())).unwrap();
        TestApp { client: client.with_key(Some(Secret::new(OPERATOR_KEY))), app, database }
    }
}

/// The id of what was created.
fn id_of(answer: &Response) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned()
}
