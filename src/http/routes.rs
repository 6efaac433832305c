//! The route table: every path that is served, with its methods.

use actix_web::{
    FromRequest, Handler, HttpRequest, Resource, Responder, Route,
    http::Method,
    web::{self, ServiceConfig},
};

use super::{
    Error, batch, derived_fields, evaluate, exchange::RoutePattern, health, metrics, openapi, rules, runtime, schema,
    swagger, tenants,
};

/// All routes. Of two paths that fit, the first one answers.
pub fn table() -> Vec<Entry> {
    vec![
        Entry::at("/api/v1/evaluate").on(Method::POST, evaluate::by_body),
        Entry::at("/api/v1/tenants").on(Method::POST, tenants::create).get(tenants::list),
        Entry::at("/api/v1/tenants/{tenantId}")
            .get(tenants::show)
            .on(Method::PATCH, tenants::change)
            .on(Method::DELETE, tenants::delete),
        Entry::at("/api/v1/tenants/{tenantId}/schema")
            .on(Method::POST, schema::create)
            .on(Method::PUT, schema::put)
            .get(schema::show),
        Entry::at("/api/v1/tenants/{tenantId}/schema/check").on(Method::POST, schema::check),
        Entry::at("/api/v1/tenants/{tenantId}/schema/changelog").get(schema::changelog),
        Entry::at("/api/v1/tenants/{tenantId}/schema/versions").get(schema::versions),
        Entry::at("/api/v1/tenants/{tenantId}/schema/versions/{version}").get(schema::version),
        Entry::at("/api/v1/tenants/{tenantId}/schema/versions/{version}/activate").on(Method::POST, schema::activate),
        Entry::at("/api/v1/tenants/{tenantId}/derived-fields")
            .on(Method::POST, derived_fields::create)
            .get(derived_fields::list),
        Entry::at("/api/v1/tenants/{tenantId}/derived-fields/{fieldId}")
            .get(derived_fields::show)
            .on(Method::PATCH, derived_fields::change)
            .on(Method::DELETE, derived_fields::delete),
        Entry::at("/api/v1/tenants/{tenantId}/rules")
            .on(Method::POST, rules::create)
            .on(Method::PUT, rules::replace_all)
            .get(rules::list),
        Entry::at("/api/v1/tenants/{tenantId}/rules/check").on(Method::POST, rules::check),
        Entry::at("/api/v1/tenants/{tenantId}/rules/{ruleId}")
            .get(rules::show)
            .on(Method::PATCH, rules::change)
            .on(Method::PUT, rules::replace)
            .on(Method::DELETE, rules::delete),
        Entry::at("/api/v1/tenants/{tenantId}/evaluate").on(Method::POST, evaluate::by_path),
        Entry::at("/api/v1/tenants/{tenantId}/evaluate/batch").on(Method::POST, batch::evaluate),
        Entry::at("/api/v1/tenants/{tenantId}/runtime").get(runtime::show),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/load").on(Method::POST, runtime::load),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/stop").on(Method::POST, runtime::stop),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/reload").on(Method::POST, runtime::reload),
        Entry::at("/api/v1/tenants/{tenantId}/runtime/release").on(Method::POST, runtime::release),
        Entry::at("/api/v1/runtime/tenants").get(runtime::list),
        Entry::at("/api/v1/runtime/nodes").get(runtime::nodes),
        Entry::at("/healthz").get(health::alive),
        Entry::at("/readyz").get(health::ready),
        Entry::at("/metrics").get(metrics::show),
        Entry::at("/api-docs/openapi.json").get(openapi::show),
        Entry::at("/swagger").get(swagger::redirect),
        Entry::at("/swagger/{file:.*}").get(swagger::show),
    ]
}

/// Serves the table, and answers what is not in it.
pub fn configure(config: &mut ServiceConfig) {
    for entry in table() {
        config.service(entry.resource());
    }
    config.default_service(web::to(|| async {
        Err::<String, _>(Error::not_found("route_not_found", "such path; the API is described at `/swagger/`"))
    }));
}

/// A path and the methods that it knows.
pub struct Entry {
    path: &'static str,
    routes: Vec<(Method, Route)>,
}

impl Entry {
    fn at(path: &'static str) -> Self {
        Self { path, routes: Vec::new() }
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let route = web::method(method.clone()).to(handler);
        self.routes.push((method, route));
        self
    }

    /// GET, and HEAD, which is GET without the body.
    fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler.clone()).on(Method::HEAD, handler)
    }

    /// The methods that it knows.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|(method, _)| method.as_str())
    }

    /// The path, as a pattern.
    #[cfg(test)]
    pub fn path(&self) -> &'static str {
        self.path
    }

    fn resource(self) -> Resource {
        let allowed = self.methods().collect::<Vec<_>>().join(", ");
        let refuse = move |request: HttpRequest| {
            let error = Error::method_not_allowed(request.method(), &allowed);
            async move { Err::<String, _>(error) }
        };
        let resource = web::resource(self.path).app_data(RoutePattern(self.path)).default_service(web::to(refuse));
        self.routes.into_iter().fold(resource, |resource, (_, route)| resource.route(route))
    }
}
