//! CopyObject and UploadPartCopy.

use super::{
    Api, Reply, Request,
    caller::context,
    convert::{self, put_checksum},
    error::respond,
    front,
    headers::content_headers,
    multipart::part_number,
    validate,
};
use crate::ops::{
    copy_object::{self, MetadataDirective, Source},
    upload_id, upload_part_copy,
};
use s3s::{S3Response, S3Result, dto, s3_error};

/// CopyObject's and UploadPartCopy's inputs name the source in the same fields.
macro_rules! source {
    ($input:expr) => {{
        let (bucket, key) = source_name(&$input.copy_source)?;
        Source {
            bucket,
            key,
            conditions: convert::read_conditions(
                $input.copy_source_if_match.as_ref(),
                $input.copy_source_if_none_match.as_ref(),
                $input.copy_source_if_modified_since.clone(),
                $input.copy_source_if_unmodified_since.clone(),
            ),
        }
    }};
}

fn source_name(source: &dto::CopySource) -> S3Result<(String, String)> {
    match source {
        dto::CopySource::Bucket { bucket, key, version_id } => {
            if let Some(version) = version_id {
                validate::version(version)?;
            }
            Ok((bucket.to_string(), key.to_string()))
        }
        dto::CopySource::AccessPoint { .. } | dto::CopySource::Outpost { .. } => {
            Err(s3_error!(NotImplemented, "Access points as x-amz-copy-source are not implemented."))
        }
    }
}

pub async fn copy_object(api: &Api, request: Request<dto::CopyObjectInput>) -> Reply<dto::CopyObjectOutput> {
    let caller = context(&request)?.caller()?;
    let input = &request.input;
    let headers = front::effective_headers(&request.headers, &request.uri)?;
    let replace = input.metadata_directive.as_ref().is_some_and(|directive| directive.as_str() == "REPLACE");
    let source = source!(input);
    let headers_asked = content_headers(&headers)?;
    let to_itself = source.bucket == input.bucket && source.key == input.key;
    if to_itself && !replace && headers_asked.website_redirect_location.is_none() {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
             metadata, storage class, website redirect location or encryption attributes."
        ));
    }
    let algorithm = input.checksum_algorithm.as_ref().map(|name| convert::algorithm_of(name.as_str())).transpose()?;
    let asked = copy_object::Request {
        source,
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        directive: if replace { MetadataDirective::Replace } else { MetadataDirective::Copy },
        headers: headers_asked,
        checksum: algorithm,
        condition: conditions(&headers)?,
    };
    let copied = copy_object::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let mut result = dto::CopyObjectResult {
        e_tag: Some(convert::etag(&copied.etag)),
        last_modified: Some(convert::timestamp(copied.modified)),
        ..dto::CopyObjectResult::default()
    };
    if let Some(checksum) = &copied.checksum {
        put_checksum!(result, checksum.algorithm, convert::checksum_text(checksum, None));
        result.checksum_type = Some(dto::ChecksumType::from_static(convert::checksum_kind(checksum.kind)));
    }
    Ok(S3Response::new(dto::CopyObjectOutput { copy_object_result: Some(result), ..dto::CopyObjectOutput::default() }))
}

/// s3s knows no conditions on a copy's destination.
fn conditions(headers: &http::HeaderMap) -> S3Result<crate::meta::command::Condition> {
    let read = |name: &'static str| -> S3Result<Option<dto::ETagCondition>> {
        let Some(text) = super::stated::text(headers, name)? else { return Ok(None) };
        let parsed = text.parse().map_err(|_| s3_error!(InvalidArgument, "The header {name} is not an entity tag."))?;
        Ok(Some(parsed))
    };
    Ok(convert::condition(read("if-match")?.as_ref(), read("if-none-match")?.as_ref()))
}

pub async fn upload_part_copy(
    api: &Api,
    request: Request<dto::UploadPartCopyInput>,
) -> Reply<dto::UploadPartCopyOutput> {
    let caller = context(&request)?.caller()?;
    let input = &request.input;
    let asked = upload_part_copy::Request {
        source: source!(input),
        range: input.copy_source_range.as_deref().map(convert::copy_range).transpose()?,
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        upload: upload_id::parse(&input.upload_id).map_err(respond)?,
        number: part_number(input.part_number)?,
    };
    let copied = upload_part_copy::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let mut result = dto::CopyPartResult {
        e_tag: Some(convert::etag(&copied.etag)),
        last_modified: Some(convert::timestamp(copied.modified)),
        ..dto::CopyPartResult::default()
    };
    if let Some(checksum) = &copied.checksum {
        put_checksum!(result, checksum.algorithm, convert::checksum_text(checksum, None));
    }
    Ok(S3Response::new(dto::UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..dto::UploadPartCopyOutput::default()
    }))
}
