//! DeleteObject and DeleteObjects.

use super::{Api, Reply, Request, caller::context, convert, error::respond, validate};
use crate::{
    meta::command::{Condition, DeleteObject},
    ops::{delete_object, delete_objects},
};
use s3s::{S3Response, S3Result, dto, s3_error};

pub async fn delete_object(api: &Api, request: Request<dto::DeleteObjectInput>) -> Reply<dto::DeleteObjectOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let condition = convert::condition(input.if_match.as_ref(), None);
    let asked = delete_object::Request { bucket: input.bucket, key: input.key, condition };
    delete_object::run(&api.cell, &caller, asked).await.map_err(respond)?;
    Ok(S3Response::new(dto::DeleteObjectOutput::default()))
}

pub async fn delete_objects(api: &Api, request: Request<dto::DeleteObjectsInput>) -> Reply<dto::DeleteObjectsOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let quiet = input.delete.quiet.unwrap_or(false);
    let mut errors = Vec::new();
    let mut objects = Vec::new();
    for named in input.delete.objects {
        match wanted(&named)? {
            Ok(object) => objects.push(object),
            Err(refused) => errors.push(refused),
        }
    }
    // All refused is an answer of its own; none listed is malformed, which ops says.
    let keys: Vec<String> = objects.iter().map(|object| object.key.clone()).collect();
    let outcomes = if keys.is_empty() && !errors.is_empty() {
        Vec::new()
    } else {
        let asked = delete_objects::Request { bucket: input.bucket, objects };
        delete_objects::run(&api.cell, &caller, asked).await.map_err(respond)?
    };
    let mut deleted = Vec::new();
    for (key, outcome) in keys.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) if quiet => {}
            Ok(()) => deleted.push(dto::DeletedObject { key: Some(key), ..dto::DeletedObject::default() }),
            Err(error) => errors.push(failed(key, None, &respond(error))),
        }
    }
    Ok(S3Response::new(dto::DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        request_charged: None,
    }))
}

/// One object of the list: what to delete, or why this one cannot be.
fn wanted(named: &dto::ObjectIdentifier) -> S3Result<Result<DeleteObject, dto::Error>> {
    if named.last_modified_time.is_some() || named.size.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "LastModifiedTime and Size as conditions of a deletion are not implemented."
        ));
    }
    if let Some(version) = &named.version_id
        && let Err(error) = validate::version(version)
    {
        return Ok(Err(failed(named.key.clone(), Some(version.clone()), &error)));
    }
    let tag = named.e_tag.clone().map(|tag| match tag.value() {
        "*" => dto::ETagCondition::Any,
        _ => dto::ETagCondition::ETag(tag),
    });
    let condition = tag.map_or_else(Condition::default, |tag| convert::condition(Some(&tag), None));
    Ok(Ok(DeleteObject { key: named.key.clone(), condition }))
}

fn failed(key: String, version_id: Option<String>, error: &s3s::S3Error) -> dto::Error {
    dto::Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key),
        message: error.message().map(str::to_owned),
        version_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str) -> dto::ObjectIdentifier {
        dto::ObjectIdentifier { key: key.to_owned(), ..dto::ObjectIdentifier::default() }
    }

    #[test]
    fn a_version_that_cannot_be_is_refused_for_its_key_alone() {
        let null = dto::ObjectIdentifier { version_id: Some("null".to_owned()), ..named("a") };
        assert!(wanted(&null).expect("listed").is_ok());
        let other = dto::ObjectIdentifier { version_id: Some("xyz".to_owned()), ..named("a") };
        let refused = wanted(&other).expect("listed").expect_err("refused");
        assert_eq!((refused.key.as_deref(), refused.code.as_deref()), (Some("a"), Some("InvalidArgument")));
    }

    #[test]
    fn a_condition_that_is_not_evaluated_refuses_the_whole_request() {
        let sized = dto::ObjectIdentifier { size: Some(1), ..named("a") };
        assert_eq!(wanted(&sized).expect_err("refused").code().as_str(), "NotImplemented");
    }
}
