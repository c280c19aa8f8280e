//! A number of the JSON as the page shows it.

use askama::Template;
use askama::filters::HtmlSafe;
use serde::Serialize;

use super::text::Told;

/// A number that says where in the JSON it stands.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<span data-json="{{ pointer }}" data-value="{{ value }}"{% if let Some(title) = told.title %} title="{{ title }}"{% endif %}>{{ told.text }}</span>"#
)]
pub struct Figure {
    pointer: String,
    value: String,
    told: Told,
}

// The template escapes what it is given.
impl HtmlSafe for Figure {}

impl Figure {
    /// The value that `pointer` (RFC 6901) names in the JSON.
    pub fn new(pointer: String, value: &impl Serialize, told: impl Into<Told>) -> Self {
        Self {
            pointer,
            value: serde_json::to_string(value).unwrap_or_default(),
            told: told.into(),
        }
    }
}

/// `figure!(format, status, a.list[at].field)`: the pointer is made of the same
/// words as the access, so that the two can't disagree. Where the JSON leaves
/// levels out (`serde(flatten)`), `as` gives the access.
macro_rules! figure {
    ($format:expr, $status:expr, $($field:ident).+) => {
        $crate::http::page::figure::Figure::new(
            concat!($("/", stringify!($field)),+).to_owned(),
            &$status.$($field).+,
            ($format)($status.$($field).+),
        )
    };
    ($format:expr, $status:expr, $($list:ident).+ [$at:expr] $(. $field:ident)+) => {
        $crate::http::page::figure::figure!(
            $format, $status, $($list).+ [$at] $(. $field)+ as $($field).+
        )
    };
    ($format:expr, $status:expr, $($list:ident).+ [$at:expr] $(. $field:ident)+ as $($access:ident).+) => {
        $crate::http::page::figure::Figure::new(
            format!(
                "{}/{}{}",
                concat!($("/", stringify!($list)),+),
                $at,
                concat!($("/", stringify!($field)),+)
            ),
            &$status.$($list).+[$at].$($access).+,
            ($format)($status.$($list).+[$at].$($access).+),
        )
    };
}
pub(super) use figure;
