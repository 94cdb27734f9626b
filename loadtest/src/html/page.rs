//! The frame of a report: its head, its look. Pure.

use super::plot::escape;

const STYLE: &str = "\
:root{--ink:#1b1f24;--soft:#5b6570;--rule:#d9dee3;--paper:#fff;--wash:#f5f7f9;--good:#14713d;--bad:#b3261e;\
--a:#2458b8;--b:#c2571a;--c:#7a3fa0;--d:#b3261e}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);\
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\
main{max-width:1104px;margin:0 auto;padding:32px 32px 64px}\
h1{font-size:26px;margin:0 0 4px;letter-spacing:-.01em}h2{font-size:18px;margin:40px 0 8px;padding-top:16px;border-top:1px solid var(--rule)}\
p{margin:6px 0;max-width:80ch}.soft,.none{color:var(--soft)}code{font:13px ui-monospace,SFMono-Regular,Menlo,monospace}\
.verdict{display:inline-block;padding:3px 12px;border-radius:4px;font-weight:600;color:#fff}\
.verdict.good{background:var(--good)}.verdict.bad{background:var(--bad)}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 20px;margin:16px 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
dl.figures{display:grid;grid-template-columns:repeat(3,1fr);gap:0 32px}dl.figures div{display:flex;justify-content:space-between;\
border-bottom:1px solid var(--wash);padding:2px 0}dl.figures dd{font-variant-numeric:tabular-nums}\
table{border-collapse:collapse;width:100%;margin:10px 0;font-variant-numeric:tabular-nums}\
th{text-align:left;font-weight:600;color:var(--soft);font-size:13px;border-bottom:1px solid var(--rule);padding:5px 10px 5px 0}\
td{padding:4px 10px 4px 0;border-bottom:1px solid var(--wash);vertical-align:top}td.n,th.n{text-align:right}\
td.good{color:var(--good);font-weight:600}td.bad{color:var(--bad);font-weight:600}tr.bad td{background:#fdf1f0}\
figure{margin:18px 0}figcaption{color:var(--soft);font-size:13px}ol.marks{margin:4px 0 0;padding-left:22px;color:var(--soft);font-size:13px;columns:2}\
svg{width:100%;height:auto;display:block;font-family:inherit}svg text{font-size:12px;fill:var(--soft)}\
svg text.title{font-size:14px;font-weight:600;fill:var(--ink)}svg text.end{text-anchor:end}svg text.tick{text-anchor:middle}\
svg text.tick.end,svg text.limit.end{text-anchor:end}svg text.name{text-anchor:middle;font-size:11px}\
.band{fill:#eef2f6}.band.odd{fill:#f8fafb}.grid{stroke:#e3e8ec;stroke-width:1}.axis{stroke:#9aa4ad;stroke-width:1}\
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.c{stroke:var(--c)}.line.d{stroke:var(--d)}\
.dot{stroke:#fff;stroke-width:1}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}.dot.c{fill:var(--c)}.dot.d{fill:var(--d)}\
line.limit{stroke:var(--bad);stroke-dasharray:5 4;stroke-width:1.2}svg text.limit{fill:var(--bad)}\
.mark line{stroke:#4a525a;stroke-dasharray:2 3}.mark circle{fill:#4a525a}.mark text{fill:#fff;font-size:10px;text-anchor:middle}\
@media print{main{padding:0}h2{break-after:avoid}figure,table{break-inside:avoid}}";

/// A whole page around `body`.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n{body}</main></body></html>\n"
    )
}

/// A table: its head, and rows that have as many cells. Cells whose head begins with `#` are numbers.
pub fn table(head: &[&str], rows: &[Vec<String>], class_of: impl Fn(&[String]) -> &'static str) -> String {
    let mut text = String::from("<table><thead><tr>");
    for name in head {
        let class = if name.starts_with('#') { " class=\"n\"" } else { "" };
        text.push_str(&format!("<th{class}>{}</th>", escape(name.trim_start_matches('#'))));
    }
    text.push_str("</tr></thead><tbody>\n");
    for row in rows {
        text.push_str(&format!("<tr class=\"{}\">", class_of(row)));
        for (name, cell) in head.iter().zip(row) {
            let class = match (cell.as_str(), name.starts_with('#')) {
                ("met", _) => "good",
                ("not met", _) => "bad",
                (_, true) => "n",
                (_, false) => "",
            };
            text.push_str(&format!("<td class=\"{class}\">{}</td>", escape(cell)));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table>\n");
    text
}
