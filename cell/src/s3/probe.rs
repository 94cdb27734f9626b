//! probe
use crate::ops::{self, Caller, Cell};
fn s<T: Send>(_: T) {}
pub fn probe(c: &Cell, k: &Caller) {
    macro_rules! p { ($($m:ident: $t:ty;)+) => { $( { let r: $t = unreachable!(); #[allow(unreachable_code)] s(ops::$m::run(c, k, r)); } )+ } }
    p! { put_object: ops::put_object::Request; }
    p! { get_object: ops::get_object::Request; }
    p! { head_object: ops::get_object::Request; }
    p! { upload_part: ops::upload_part::Request; }
    p! { copy_object: ops::copy_object::Request; }
    p! { upload_part_copy: ops::upload_part_copy::Request; }
    p! { delete_objects: ops::delete_objects::Request; }
    p! { delete_object: ops::delete_object::Request; }
    p! { create_bucket: ops::create_bucket::Request; }
    p! { list_buckets: ops::list_buckets::Request; }
    p! { list_objects: ops::list_objects::Request; }
    p! { complete_multipart_upload: ops::complete_multipart_upload::Request; }
    p! { create_multipart_upload: ops::create_multipart_upload::Request; }
    p! { list_parts: ops::list_parts::Request; }
    p! { head_bucket: ops::head_bucket::Request; }
}
