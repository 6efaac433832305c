//! The router: serves a table of paths, each with its methods and the permission that each method requires.

use actix_web::{
    FromRequest, Handler, HttpRequest, Resource, Responder, Route,
    http::Method,
    web::{self, ServiceConfig},
};

use super::{Error, auth, middleware::RoutePattern};
use crate::domain::Permission;

/// Serves the table, and answers what is not in it.
pub fn configure(config: &mut ServiceConfig, table: fn() -> Vec<Entry>) {
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
    routes: Vec<(Method, Permission, Route)>,
}

impl Entry {
    /// A path without methods yet.
    pub fn at(path: &'static str) -> Self {
        Self { path, routes: Vec::new() }
    }

    /// A method, what it asks of its caller, and what answers it. The permission comes before anything else of the
    /// request is looked at.
    pub fn on<F, Args>(mut self, method: Method, permission: Permission, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let guarded = move |request: HttpRequest, payload: web::Payload| {
            let handler = handler.clone();
            async move {
                auth::admit(&request, permission).await?;
                let args = Args::from_request(&request, &mut payload.into_inner()).await.map_err(Into::into)?;
                let response = handler.call(args).await.respond_to(&request).map_into_boxed_body();
                Ok::<_, actix_web::Error>(response)
            }
        };
        let route = web::method(method.clone()).to(guarded);
        self.routes.push((method, permission, route));
        self
    }

    /// GET, and HEAD, which is GET without the body.
    pub fn get<F, Args>(self, permission: Permission, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, permission, handler.clone()).on(Method::HEAD, permission, handler)
    }

    /// The methods that it knows.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|(method, ..)| method.as_str())
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
        self.routes.into_iter().fold(resource, |resource, (.., route)| resource.route(route))
    }
}
