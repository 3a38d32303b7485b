"""The head of the report page, with its style."""

# no script and nothing from elsewhere: a browser refuses both
HEAD = '''<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
 img-src data:; style-src 'unsafe-inline'">
<title>%s</title><style>
:root{--ink:#1f2328;--soft:#59636e;--line:#d8dee4;--blue:#1f6feb;--red:#b42318}
*{box-sizing:border-box}
body{margin:0;background:#f6f8fa;color:var(--ink);
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0 .25rem;
 overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .25rem}
p{margin:.25rem 0 .75rem}.soft{color:var(--soft);font-size:.92rem}
section{background:#fff;border:1px solid var(--line);border-radius:10px;
 padding:1rem 1.1rem;margin-top:1rem;overflow-wrap:anywhere}
.tiles{display:grid;gap:.75rem;margin-top:1rem;
 grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr))}
.tiles section{margin:0}.tile{font-size:1.9rem;font-weight:650;line-height:1.2}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%%}
.wide td{overflow-wrap:break-word;max-width:18rem}
.wide.many table{min-width:36rem}
summary{cursor:pointer;padding:.5rem 0;color:var(--blue)}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;vertical-align:middle;
 border-bottom:1px solid #eef1f4}
th{font-size:.85rem;color:var(--soft);font-weight:600}
td.n,th.n{text-align:right;white-space:nowrap}
.bar{position:relative;height:.7rem;min-width:6rem;background:#eaeef2;
 border-radius:3px}
.bar i{position:absolute;inset:0 auto 0 0;background:var(--blue);
 border-radius:3px}
.bar b{position:absolute;top:-.2rem;bottom:-.2rem;width:3px;margin-left:-1.5px;
 background:var(--ink)}
.sheet{display:grid;gap:.75rem;
 grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr))}
figure{margin:0}figure img,.none{width:100%%;aspect-ratio:1;object-fit:contain;
 background:#eef1f4;border-radius:6px;display:block}
.none{display:grid;place-items:center;color:var(--soft);font-size:.8rem}
figcaption{font-size:.85rem;line-height:1.3;margin-top:.3rem}
figcaption .soft{font-size:.78rem;display:block;white-space:nowrap;
 overflow:hidden;text-overflow:ellipsis}
.wrong{color:var(--red);font-weight:600}
img.picture{max-width:100%%;height:auto;display:block;margin:0 auto}
dl{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.2rem 1rem;
 margin:.5rem 0 0}dt{color:var(--soft)}dd{margin:0}
@media(max-width:34rem){dl{grid-template-columns:1fr;gap:0}
 dd{margin-bottom:.5rem}main{padding:1rem .6rem}}
@media print{body{background:#fff}section{break-inside:avoid}}
</style></head><body><main>
'''
