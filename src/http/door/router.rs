//! The router: serves a table of paths, each with its methods and the permission that each method requires.
//!
//! A path is found in a radix tree, so that a request costs the same wherever its path is in the table. A fixed segment
//! comes before a parameter: `rules/check` is not a rule with the id `check`.

use actix_web::{
    FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse, Responder,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::Method,
};
use futures_util::future::LocalBoxFuture;
use matchit::InsertError;

use super::{Error, auth, gate};
use crate::domain::Permission;

/// The pattern of the path that a request was routed by. Metrics are kept by it.
#[derive(Debug, Clone, Copy)]
pub struct RoutePattern(pub &'static str);

/// Reads a request that was admitted, and answers it.
type Respond = Box<dyn Fn(HttpRequest, Payload) -> LocalBoxFuture<'static, HttpResponse> + Send + Sync>;

/// All paths that are served.
pub struct Router {
    entries: matchit::Router<Entry>,
}

/// A path with its methods.
pub struct Entry {
    path: &'static str,
    routes: Vec<Route>,
}

struct Route {
    method: Method,
    permission: Permission,
    respond: Respond,
}

impl Router {
    /// A router of a table in which no path is listed twice.
    pub fn new(table: Vec<Entry>) -> Result<Self, InsertError> {
        let mut entries = matchit::Router::new();
        for entry in table {
            entries.insert(entry.path, entry)?;
        }
        Ok(Self { entries })
    }

    /// Calls the handler of the request's path and method, or answers 404 or 405.
    pub async fn respond(&self, mut request: ServiceRequest) -> ServiceResponse {
        let Some(entry) = self.find(&mut request) else {
            let what = "such path; the API is described at `/swagger/`";
            return request.error_response(Error::not_found("route_not_found", what));
        };
        let Some(route) = entry.route(request.method()) else {
            let error = Error::method_not_allowed(request.method(), &entry.allowed());
            return request.error_response(error);
        };
        let (request, payload) = request.into_parts();
        // Whoever is refused makes no room for the handler's state.
        let response = match auth::admit(&request, route.permission).await {
            Ok(()) => match gate::admit(&request, route.permission) {
                Ok(permit) => gate::hold((route.respond)(request.clone(), payload).await, permit),
                Err(error) => HttpResponse::from_error(error),
            },
            Err(error) => HttpResponse::from_error(error),
        };
        ServiceResponse::new(request, response)
    }

    /// The entry of a request's path, whose parameters are then in the request's `match_info`.
    fn find(&self, request: &mut ServiceRequest) -> Option<&Entry> {
        let matchit::Match { value: entry, params } = self.entries.at(request.match_info().as_str()).ok()?;
        let values: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
        for (name, value) in entry.parameters().zip(values) {
            request.match_info_mut().add_static(name, value);
        }
        request.extensions_mut().insert(RoutePattern(entry.path));
        Some(entry)
    }
}

impl Entry {
    /// A path without methods yet.
    pub fn at(path: &'static str) -> Self {
        Self { path, routes: Vec::new() }
    }

    /// A method, the permission that it requires, and its handler. The permission is checked before anything but the
    /// head of the request is read.
    pub fn on<F, Args>(mut self, method: Method, permission: Permission, handler: F) -> Self
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let respond = move |request: HttpRequest, mut payload: Payload| -> LocalBoxFuture<'static, HttpResponse> {
            let handler = handler.clone();
            Box::pin(async move {
                match Args::from_request(&request, &mut payload).await {
                    Ok(args) => handler.call(args).await.respond_to(&request).map_into_boxed_body(),
                    Err(error) => HttpResponse::from_error(error),
                }
            })
        };
        self.routes.push(Route { method, permission, respond: Box::new(respond) });
        self
    }

    /// GET, and HEAD, which is GET without the body.
    pub fn get<F, Args>(self, permission: Permission, handler: F) -> Self
    where
        F: Handler<Args> + Clone + Send + Sync,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, permission, handler.clone()).on(Method::HEAD, permission, handler)
    }

    /// Its methods.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|route| route.method.as_str())
    }

    /// Its path, as a pattern.
    #[cfg(test)]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Its methods, for the header `Allow`.
    fn allowed(&self) -> String {
        self.methods().collect::<Vec<_>>().join(", ")
    }

    /// The names of its path's parameters, in order.
    fn parameters(&self) -> impl Iterator<Item = &'static str> {
        let name = |segment: &'static str| segment.strip_prefix('{')?.strip_suffix('}');
        self.path.split('/').filter_map(name).map(|name| name.trim_start_matches('*'))
    }

    fn route(&self, method: &Method) -> Option<&Route> {
        self.routes.iter().find(|route| route.method == *method)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{http::StatusCode, test::TestRequest};

    use super::*;

    fn router() -> Router {
        let paths =
            ["/rules", "/rules/check", "/rules/{ruleId}", "/rules/{ruleId}/tags/{tag}", "/files/", "/files/{*file}"];
        let text = |request: HttpRequest| async move {
            request.match_info().iter().fold(String::new(), |text, (name, value)| text + name + "=" + value + ";")
        };
        Router::new(paths.map(|path| Entry::at(path).get(Permission::Open, text)).into()).unwrap()
    }

    /// The pattern that a path is found by, and its parameters.
    fn find(path: &str) -> Option<(&'static str, Vec<(String, String)>)> {
        let mut request = TestRequest::with_uri(path).to_srv_request();
        let pattern = router().find(&mut request)?.path;
        let parameters = request.match_info().iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some((pattern, parameters.collect()))
    }

    #[test]
    fn a_path_is_found_with_its_parameters() {
        for (path, pattern, parameters) in [
            ("/rules", "/rules", &[][..]),
            ("/rules?x=/rules/7", "/rules", &[]),
            ("/rules/check", "/rules/check", &[]),
            ("/rules/checks", "/rules/{ruleId}", &[("ruleId", "checks")]),
            ("/rules/7/tags/a%20b", "/rules/{ruleId}/tags/{tag}", &[("ruleId", "7"), ("tag", "a b")]),
            ("/%72ules/a%2Fb", "/rules/{ruleId}", &[("ruleId", "a%2Fb")]),
            ("/rules/%C3%A4", "/rules/{ruleId}", &[("ruleId", "\u{e4}")]),
            ("/rules/%FF", "/rules/{ruleId}", &[("ruleId", "\u{fffd}")]),
            ("/files/", "/files/", &[]),
            ("/files/a/b", "/files/{*file}", &[("file", "a/b")]),
            ("/files/../rules", "/files/{*file}", &[("file", "../rules")]),
        ] {
            let expected = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(find(path), Some((pattern, expected)), "{path}");
        }
    }

    #[test]
    fn a_path_that_is_not_in_the_table_is_not_found() {
        for path in [
            "/",
            "*",
            "/rule",
            "/rules/",
            "/rules//",
            "//rules",
            "/Rules",
            "/rules/7/",
            "/rules/7/tags",
            "/rules/7/tags/",
            "/rules/{ruleId}/tag",
            "/files",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_is_listed_once() {
        let entries = || vec![Entry::at("/rules/{ruleId}"), Entry::at("/rules/{id}")];
        assert!(Router::new(entries()).is_err());
    }

    #[actix_web::test]
    async fn another_method_is_refused_with_those_that_are_served() {
        let request = TestRequest::with_uri("/rules/7").method(Method::DELETE).to_srv_request();
        let response = router().respond(request).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let error = response.response().error().unwrap().as_error::<Error>().unwrap();
        assert_eq!(error.answer("id").headers().get("allow").unwrap(), "GET, HEAD");
        assert_eq!(response.request().extensions().get::<RoutePattern>().unwrap().0, "/rules/{ruleId}");
    }
}
