//! Listings after writes, page by page.

use crate::harness::{TestCell, bytes};
use bulkhead_cell::ops::list_objects::{self, Request};

#[tokio::test(flavor = "multi_thread")]
async fn pages_put_together_are_the_whole_listing() {
    let cell = TestCell::start().await;
    cell.bucket("bucket").await;
    let keys = ["a", "b/1", "b/2", "b/c/3", "b0", "c/", "c/1", "d", "é"];
    for (n, key) in keys.iter().enumerate() {
        cell.put(n, key, bytes(n)).await.expect("stored");
    }
    let all = |prefix: &str, delimiter: Option<&str>, max| {
        let mut request = Request {
            bucket: "bucket".into(),
            prefix: prefix.into(),
            delimiter: delimiter.map(str::to_owned),
            after: None,
            max,
        };
        let cell = &cell;
        async move {
            let mut found = vec![];
            for page in 0.. {
                let listed =
                    list_objects::run(cell.node(page), &cell.caller(1), request.clone()).await.expect("listed");
                assert!(listed.objects.len() + listed.prefixes.len() <= max);
                found.extend(listed.objects.into_iter().map(|object| object.key));
                found.extend(listed.prefixes);
                match listed.next {
                    Some(next) => request.after = Some(next),
                    None => break,
                }
            }
            found.sort();
            found
        }
    };
    for max in [1, 2, 3, 100] {
        assert_eq!(all("", None, max).await, keys);
        assert_eq!(all("", Some("/"), max).await, ["a", "b/", "b0", "c/", "d", "é"]);
        assert_eq!(all("b/", Some("/"), max).await, ["b/1", "b/2", "b/c/"]);
        assert_eq!(all("b", None, max).await, ["b/1", "b/2", "b/c/3", "b0"]);
        assert_eq!(all("x", Some("/"), max).await, [""; 0]);
    }
}
