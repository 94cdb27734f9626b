//! The calls of multipart uploads, except UploadPartCopy.

use super::{
    Api, Reply, Request,
    caller::context,
    convert::{self, checksum_fields, one_checksum, put_checksum},
    error::respond,
    front,
    headers::content_headers,
    list::{Encoding, delimiter, page_size, told},
    object_write::{body, with_checksum},
    stated::Stated,
};
use crate::{
    limits::PART_NUMBER_MAX,
    meta::record::UploadId,
    ops::{
        abort_multipart_upload, complete_multipart_upload, create_multipart_upload, etag, list_multipart_uploads,
        list_parts, upload_id, upload_part,
    },
};
use s3s::{S3Response, S3Result, dto, s3_error};

/// A part's number.
///
/// # Errors
/// `InvalidArgument` when it is none.
pub fn part_number(number: i32) -> S3Result<u16> {
    let number = u16::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number));
    number.ok_or_else(|| {
        s3_error!(InvalidArgument, "Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive")
    })
}

fn upload(text: &str) -> S3Result<UploadId> {
    upload_id::parse(text).map_err(respond)
}

fn storage_class() -> dto::StorageClass {
    dto::StorageClass::from_static(dto::StorageClass::STANDARD)
}

pub async fn create_multipart_upload(
    api: &Api,
    request: Request<dto::CreateMultipartUploadInput>,
) -> Reply<dto::CreateMultipartUploadOutput> {
    let caller = context(&request)?.caller()?;
    let headers = front::effective_headers(&request.headers, &request.uri)?;
    let input = request.input;
    let algorithm = input.checksum_algorithm.as_ref().map(|name| convert::algorithm_of(name.as_str())).transpose()?;
    let kind = input.checksum_type.as_ref().map(|kind| convert::kind_of(kind.as_str())).transpose()?;
    if kind.is_some() && algorithm.is_none() {
        return Err(s3_error!(
            InvalidRequest,
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
        ));
    }
    let asked = create_multipart_upload::Request {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        headers: content_headers(&headers)?,
        algorithm,
        kind,
    };
    let created = create_multipart_upload::run(&api.cell, &caller, asked).await.map_err(respond)?;
    Ok(S3Response::new(dto::CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload_id::show(created.upload)),
        checksum_algorithm: created.checksum.map(|(algorithm, _)| convert::checksum_algorithm(algorithm)),
        checksum_type: created.checksum.map(|(_, kind)| dto::ChecksumType::from_static(convert::checksum_kind(kind))),
        ..dto::CreateMultipartUploadOutput::default()
    }))
}

pub async fn upload_part(api: &Api, request: Request<dto::UploadPartInput>) -> Reply<dto::UploadPartOutput> {
    let cx = context(&request)?;
    let caller = cx.caller()?;
    let headers = front::effective_headers(&request.headers, &request.uri)?;
    let body = body(&request, cx, Stated::read(&headers)?)?;
    let input = &request.input;
    let asked = upload_part::Request {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        upload: upload(&input.upload_id)?,
        number: part_number(input.part_number)?,
        body,
    };
    let put = upload_part::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let output = dto::UploadPartOutput { e_tag: Some(convert::etag(&put.etag)), ..dto::UploadPartOutput::default() };
    with_checksum(output, put.checksum.as_ref())
}

pub async fn complete_multipart_upload(
    api: &Api,
    request: Request<dto::CompleteMultipartUploadInput>,
) -> Reply<dto::CompleteMultipartUploadOutput> {
    let caller = context(&request)?.caller()?;
    let input = &request.input;
    let parts = input.multipart_upload.as_ref().and_then(|list| list.parts.as_deref()).unwrap_or_default();
    let asked = complete_multipart_upload::Request {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        upload: upload(&input.upload_id)?,
        parts: parts.iter().map(listed).collect::<S3Result<_>>()?,
        condition: convert::condition(input.if_match.as_ref(), input.if_none_match.as_ref()),
        checksum: one_checksum(checksum_fields!(input))?,
        kind: input.checksum_type.as_ref().map(|kind| convert::kind_of(kind.as_str())).transpose()?,
        len: input.mpu_object_size.map(object_size).transpose()?,
    };
    let completed = complete_multipart_upload::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut output = dto::CompleteMultipartUploadOutput {
        location: Some(format!("http://{host}{}", request.uri.path())),
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        e_tag: Some(convert::etag(&completed.etag)),
        ..dto::CompleteMultipartUploadOutput::default()
    };
    if let Some(checksum) = &completed.checksum {
        put_checksum!(output, checksum.algorithm, convert::checksum_text(checksum, completed.etag.parts));
        output.checksum_type = Some(dto::ChecksumType::from_static(convert::checksum_kind(checksum.kind)));
    }
    Ok(S3Response::new(output))
}

fn listed(part: &dto::CompletedPart) -> S3Result<complete_multipart_upload::Listed> {
    let (Some(number), Some(tag)) = (part.part_number, &part.e_tag) else {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema: a part needs \
             PartNumber and ETag"
        ));
    };
    Ok(complete_multipart_upload::Listed {
        number: part_number(number)?,
        etag: etag::parse(tag.value()),
        checksum: one_checksum(checksum_fields!(part))?,
    })
}

fn object_size(size: i64) -> S3Result<u64> {
    u64::try_from(size).map_err(|_| s3_error!(InvalidRequest, "Value for x-amz-mp-object-size header is invalid."))
}

pub async fn abort_multipart_upload(
    api: &Api,
    request: Request<dto::AbortMultipartUploadInput>,
) -> Reply<dto::AbortMultipartUploadOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let upload = upload(&input.upload_id)?;
    let asked = abort_multipart_upload::Request { bucket: input.bucket, key: input.key, upload };
    abort_multipart_upload::run(&api.cell, &caller, asked).await.map_err(respond)?;
    Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
}

pub async fn list_parts(api: &Api, request: Request<dto::ListPartsInput>) -> Reply<dto::ListPartsOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let max = page_size(input.max_parts, "max-parts")?;
    let after = u16::try_from(input.part_number_marker.unwrap_or_default()).map_err(|_| {
        s3_error!(InvalidArgument, "Argument part-number-marker must be an integer between 0 and 65535")
    })?;
    let asked = list_parts::Request {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        upload: upload(&input.upload_id)?,
        after,
        max,
    };
    let listed = list_parts::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let next = listed.next.filter(|_| max > 0);
    Ok(S3Response::new(dto::ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(told(max)),
        part_number_marker: Some(after.into()),
        next_part_number_marker: next.map(i32::from),
        is_truncated: Some(next.is_some()),
        parts: Some(listed.parts.iter().map(part).collect()),
        owner: Some(convert::owner(&listed.owner)),
        initiator: Some(convert::initiator(&listed.owner)),
        storage_class: Some(storage_class()),
        checksum_algorithm: listed.checksum.map(|(algorithm, _)| convert::checksum_algorithm(algorithm)),
        checksum_type: listed.checksum.map(|(_, kind)| dto::ChecksumType::from_static(convert::checksum_kind(kind))),
        ..dto::ListPartsOutput::default()
    }))
}

fn part(entry: &list_parts::Entry) -> dto::Part {
    let mut part = dto::Part {
        part_number: Some(entry.number.into()),
        size: i64::try_from(entry.len).ok(),
        e_tag: Some(convert::etag(&entry.etag)),
        last_modified: Some(convert::timestamp(entry.modified)),
        ..dto::Part::default()
    };
    if let Some(checksum) = &entry.checksum {
        put_checksum!(part, checksum.algorithm, convert::checksum_text(checksum, None));
    }
    part
}

pub async fn list_multipart_uploads(
    api: &Api,
    request: Request<dto::ListMultipartUploadsInput>,
) -> Reply<dto::ListMultipartUploadsOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let encoding = Encoding::read(input.encoding_type.as_ref())?;
    let max = page_size(input.max_uploads, "max-uploads")?;
    let upload_marker = input.upload_id_marker.as_deref().filter(|marker| !marker.is_empty());
    let asked = list_multipart_uploads::Request {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: delimiter(input.delimiter.as_ref()),
        after: match input.key_marker.clone().filter(|key| !key.is_empty()) {
            // Without a key marker S3 ignores the upload's.
            None => None,
            Some(key) => Some((key, upload_marker.map(marker).transpose()?)),
        },
        max,
    };
    let listed = list_multipart_uploads::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let next = listed.next.filter(|_| max > 0);
    let uploads = listed.uploads.iter().map(|entry| dto::MultipartUpload {
        key: Some(encoding.write(&entry.key)),
        upload_id: Some(upload_id::show(entry.upload)),
        initiated: Some(convert::timestamp(entry.initiated)),
        owner: Some(convert::owner(&listed.owner)),
        initiator: Some(convert::initiator(&listed.owner)),
        storage_class: Some(storage_class()),
        checksum_algorithm: entry.checksum.map(|(algorithm, _)| convert::checksum_algorithm(algorithm)),
        checksum_type: entry.checksum.map(|(_, kind)| dto::ChecksumType::from_static(convert::checksum_kind(kind))),
    });
    Ok(S3Response::new(dto::ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(encoding.write(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| encoding.write(&text)),
        key_marker: Some(encoding.write(&input.key_marker.unwrap_or_default())),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        max_uploads: Some(told(max)),
        is_truncated: Some(next.is_some()),
        uploads: Some(uploads.collect()),
        common_prefixes: Some(encoding.prefixes(&listed.prefixes)),
        next_upload_id_marker: next.as_ref().and_then(|(_, upload)| upload.map(upload_id::show)),
        next_key_marker: next.map(|(key, _)| encoding.write(&key)),
        encoding_type: input.encoding_type,
        request_charged: None,
    }))
}

fn marker(text: &str) -> S3Result<UploadId> {
    upload_id::parse(text).map_err(|_| s3_error!(InvalidArgument, "Invalid uploadId marker"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_part_needs_its_number_and_its_tag() {
        let tag = dto::ETag::Strong("ab".repeat(16));
        let whole =
            dto::CompletedPart { part_number: Some(3), e_tag: Some(tag.clone()), ..dto::CompletedPart::default() };
        let read = listed(&whole).expect("whole");
        assert_eq!((read.number, read.etag.map(|etag| etag.md5)), (3, Some([0xab; 16])));
        let code = |part: &dto::CompletedPart| listed(part).expect_err("refused").code().as_str().to_owned();
        assert_eq!(code(&dto::CompletedPart { part_number: None, ..whole.clone() }), "MalformedXML");
        assert_eq!(code(&dto::CompletedPart { e_tag: None, ..whole.clone() }), "MalformedXML");
        assert_eq!(code(&dto::CompletedPart { part_number: Some(0), ..whole }), "InvalidArgument");
    }

    #[test]
    fn a_tag_that_no_part_can_have_is_left_to_the_index_to_refuse() {
        let strange = dto::ETag::Strong("strange".to_owned());
        let part = dto::CompletedPart { part_number: Some(1), e_tag: Some(strange), ..dto::CompletedPart::default() };
        assert_eq!(listed(&part).expect("listed").etag, None);
    }
}
