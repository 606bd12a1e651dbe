//! The style of every page: two palettes, one column, tables that scroll. Pure.

/// The style sheet.
pub(crate) const CSS: &str = "\
:root{--ink:#1c2733;--soft:#5b6b7b;--line:#d8dfe6;--paper:#fff;--panel:#f5f7f9;--blue:#2463ad;--green:#2c7a4b;\
--amber:#a86200;--red:#b3261e;--wave:#9db8d6;--soak:#2463ad;--wait:#e4e9ee}\
@media (prefers-color-scheme:dark){:root{--ink:#e5ebf1;--soft:#9aa9b8;--line:#33404d;--paper:#12181f;--panel:#1b232c;\
--blue:#7fb2ec;--green:#74c796;--amber:#e3a94f;--red:#f08a82;--wave:#3d5674;--soak:#7fb2ec;--wait:#28323d}}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);overflow-wrap:break-word;\
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
main{max-width:68rem;margin:0 auto;padding:1.25rem}h1{font-size:1.5rem;margin:.2rem 0}\
h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:.95rem;margin:1.2rem 0 .3rem}\
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.9em;overflow-wrap:anywhere}\
pre{background:var(--panel);padding:.75rem;overflow-x:auto;white-space:pre-wrap;margin:.4rem 0}\
.about{margin:.2rem 0;color:var(--soft)}\
.verdict{font-weight:600;margin:.6rem 0 .2rem}.good{color:var(--green)}.bad{color:var(--red)}.warn{color:var(--amber)}\
.meta{color:var(--soft);margin:.2rem 0}.figures{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}\
.figures div{background:var(--panel);border:1px solid var(--line);border-radius:.4rem;padding:.5rem .8rem;min-width:8rem}\
dt{color:var(--soft);font-size:.8rem}dd{margin:0;font-size:1.15rem;font-weight:600}\
svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:11px;font-family:inherit}\
svg .moment{font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}\
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}\
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}thead th{color:var(--soft);\
font-weight:500;white-space:nowrap}tbody th{font-weight:500}.n{text-align:right;font-variant-numeric:tabular-nums}\
.t{white-space:nowrap;font-variant-numeric:tabular-nums}ul{margin:.3rem 0;padding-left:1.2rem}\
summary{cursor:pointer;color:var(--soft);margin:.4rem 0}\
.events{list-style:none;padding:0;margin:0;font-size:.9rem}.events li{padding:.25rem 0 .25rem .7rem;border-left:3px solid \
var(--line);margin:.15rem 0}.events time{color:var(--soft);font-variant-numeric:tabular-nums}.events .scenario{border-color:\
var(--blue)}.events .warning{border-color:var(--red)}.legend{color:var(--soft);font-size:.85rem;margin:.3rem 0}\
.legend i{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .9em;border-radius:2px;vertical-align:-.05em}\
.legend i:first-child{margin-left:0}\
@media (max-width:40rem){.scroll svg{min-width:45rem}svg text{font-size:15px}main{padding:.8rem}\
.fit .scroll svg{min-width:0}.fit svg text{font-size:22px}.fit svg .moment{display:none}\
.figures{gap:.5rem}.figures div{flex:1 1 9rem}}\
@media print{main{max-width:none}section{break-inside:avoid}}";
