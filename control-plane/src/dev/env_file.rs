//! `<data>/dev.env`: shell assignments with which any S3 tool reaches the fleet.

use std::{collections::HashMap, net::SocketAddr};

/// Credentials of the `dev` account.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// The file's text. The values need no quotes: letters, digits, and an address.
pub fn render(endpoint: SocketAddr, region: &str, credentials: &Credentials) -> String {
    format!(
        "# Settings of the local fleet for S3 tools. Use as: . dev.env\n\
         export AWS_ENDPOINT_URL=http://{endpoint}\n\
         export AWS_ACCESS_KEY_ID={}\n\
         export AWS_SECRET_ACCESS_KEY={}\n\
         export AWS_REGION={region}\n\
         export AWS_DEFAULT_REGION={region}\n",
        credentials.access_key_id, credentials.secret_access_key
    )
}

/// Reads the credentials back; `None` when they are not all there.
pub fn parse(text: &str) -> Option<Credentials> {
    let assignments: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
    Some(Credentials {
        access_key_id: (*assignments.get("AWS_ACCESS_KEY_ID")?).into(),
        secret_access_key: (*assignments.get("AWS_SECRET_ACCESS_KEY")?).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_back_and_every_assignment_is_there() {
        let credentials = Credentials { access_key_id: "BKEXAMPLE".into(), secret_access_key: "s3cret".into() };
        let text = render("127.0.0.1:9000".parse().expect("an address"), "us-east-1", &credentials);
        for line in [
            "export AWS_ENDPOINT_URL=http://127.0.0.1:9000",
            "export AWS_ACCESS_KEY_ID=BKEXAMPLE",
            "export AWS_SECRET_ACCESS_KEY=s3cret",
            "export AWS_REGION=us-east-1",
            "export AWS_DEFAULT_REGION=us-east-1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(parse(&text) == Some(credentials));
        assert!(parse("export AWS_ACCESS_KEY_ID=x\n").is_none());
    }
}
