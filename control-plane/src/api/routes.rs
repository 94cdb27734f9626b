//! Routes that say what they are: who may call them, what they take and answer. A route cannot be added without that, so the document
//! made of it ([`super::openapi`]) covers every one of them.

use super::{Api, access};
use crate::api::access::{Access, Gatekeeper};
use axum::{
    Router,
    handler::Handler,
    middleware,
    routing::{MethodFilter, on},
};
use bulkhead_model::api::control_plane::Role;
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::sync::Arc;

type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// One call of the API.
#[derive(Clone)]
pub struct Call {
    pub method: Method,
    pub path: &'static str,
    pub summary: &'static str,
    pub access: Access,
    /// Name and meaning.
    pub query: Vec<(&'static str, &'static str)>,
    pub body: Option<MakeSchema>,
    pub status: u16,
    pub answer: Option<MakeSchema>,
}

impl Call {
    fn new(method: Method, path: &'static str, role: Role, status: u16, summary: &'static str) -> Self {
        let access = Access { role, machines: false };
        Self { method, path, summary, access, query: Vec::new(), body: None, status, answer: None }
    }

    /// Looks, and changes nothing.
    pub fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, Role::ReadOnly, 200, summary)
    }

    pub fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, Role::Operator, 200, summary)
    }

    pub fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, Role::Operator, 200, summary)
    }

    /// Answers `204`.
    pub fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, Role::Operator, 204, summary)
    }

    /// For administrators alone.
    pub fn admin(mut self) -> Self {
        self.access.role = Role::Admin;
        self
    }

    /// For routers and cells too.
    pub fn machines(mut self) -> Self {
        self.access.machines = true;
        self
    }

    pub fn query(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.query.push((name, meaning));
        self
    }

    pub fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(|generator| generator.subschema_for::<T>());
        self
    }

    pub fn answers<T: JsonSchema>(self) -> Self {
        let status = self.status;
        self.answers_with::<T>(status)
    }

    pub fn answers_with<T: JsonSchema>(mut self, status: u16) -> Self {
        self.status = status;
        self.answer = Some(|generator| generator.subschema_for::<T>());
        self
    }
}

/// The routes of the API, and what they are.
pub struct Routes {
    router: Router<Api>,
    gatekeeper: Arc<Gatekeeper>,
    calls: Vec<Call>,
}

impl Routes {
    pub fn new(gatekeeper: Arc<Gatekeeper>) -> Self {
        Self { router: Router::new(), gatekeeper, calls: Vec::new() }
    }

    /// Adds a call, behind what it demands of its caller.
    pub fn call<H, T>(mut self, call: Call, handler: H) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(call.method.clone()).expect("the API uses only ordinary methods");
        let guarded = (Arc::clone(&self.gatekeeper), call.access);
        let route = on(filter, handler).route_layer(middleware::from_fn_with_state(guarded, access::guard));
        self.router = self.router.route(call.path, route);
        self.calls.push(call);
        self
    }

    /// The router, and the calls in their order.
    pub fn finish(self) -> (Router<Api>, Vec<Call>) {
        (self.router, self.calls)
    }
}
