"""The one style sheet of everything that is shown as HTML.

Neutral colours are transparent greys, and text inherits its colour, so that pages fit light and
dark surroundings even where nothing tells the theme; JupyterLab and VS Code tell theirs through
variables. In VS Code those of JupyterLab are there as well, but always those of a light theme: they
hold in widgets, which it puts on white, and nowhere else. Bars carry their colours inline as well:
notebooks that are not trusted lose the style sheet, and keep these.
"""

from __future__ import annotations

from fractal_jupyter.display.page import Tone

ROOT = "fj1"
"""Class of every page, and prefix of all classes. It is counted up when the meaning of a class
changes, since outputs of several versions of this package may be on one screen."""

TONE_COLORS: dict[Tone, str] = {
    "good": "#3d9a5f",
    "bad": "#d5483e",
    "busy": "#3c83c9",
    "warn": "#c98a1b",
    "soft": "#8a8a8a",
}
"""Colours that can be told from light and from dark grounds; text has some of its own in them."""

_THEME_COLORS: dict[Tone, str] = {
    "good": "--jp-success-color1,var(--vscode-charts-green",
    "bad": "--jp-error-color1,var(--vscode-charts-red",
    "busy": "--jp-brand-color1,var(--vscode-charts-blue",
    "warn": "--jp-warn-color1,var(--vscode-charts-orange",
}


def _tones() -> str:
    """Rules for the five tones: as colour of text and of bars."""
    rules = []
    for tone, color in TONE_COLORS.items():
        theme = f"var({_THEME_COLORS[tone]},{color}))" if tone in _THEME_COLORS else color
        rules.append(f".R .R-{tone}{{--fj-tone:{theme}}}")
    return "".join(rules)


_RULES = """
.R{--fj-fill:rgba(128,128,128,.12);
--fj-text:var(--vscode-editor-foreground,var(--jp-content-font-color1));
--fj-soft:var(--vscode-descriptionForeground,var(--jp-content-font-color2,rgba(128,128,128,1)));
--fj-line:var(--vscode-panel-border,var(--jp-border-color2,rgba(128,128,128,.3)));
--fj-link:var(--vscode-textLink-foreground,var(--jp-content-link-color,#3c83c9));
--fj-mono:var(--vscode-editor-font-family,var(--jp-code-font-family,ui-monospace,monospace));
color:var(--fj-text,inherit);
font:13px/1.45 var(--vscode-font-family,var(--jp-ui-font-family,system-ui,sans-serif));
font-variant-numeric:tabular-nums;max-width:1080px;margin:4px 0 6px}
.jupyter-widgets .R{--fj-text:var(--jp-content-font-color1,var(--vscode-editor-foreground));
--fj-soft:var(--jp-content-font-color2,var(--vscode-descriptionForeground,rgba(128,128,128,1)));
--fj-line:var(--jp-border-color2,rgba(128,128,128,.3));
--fj-link:var(--jp-content-link-color,var(--vscode-textLink-foreground,#3c83c9))}
.R .R-head{display:flex;align-items:center;gap:10px;margin:0}
.R .R-title{font-size:15px;font-weight:600;overflow-wrap:anywhere}
.R .R-corner{margin-left:auto;padding-left:12px;font-size:15px;white-space:nowrap;
color:var(--fj-soft)}
.R .R-facts{color:var(--fj-soft);margin:1px 0 0;overflow-wrap:anywhere}
.R .R-pill{display:inline-block;padding:0 8px;border-radius:9px;font-size:12px;line-height:18px;
font-weight:500;white-space:nowrap;
box-shadow:inset 0 0 0 1px var(--fj-tone,var(--fj-line))}
.R .R-status{white-space:nowrap}
.R .R-pill::before,.R .R-status::before{content:"";display:inline-block;width:6px;height:6px;
border-radius:3px;margin:0 6px 2px 0;vertical-align:middle;background:var(--fj-tone,currentColor)}
.R .R-chip{display:inline-block;padding:0 6px;border-radius:4px;font-size:12px;line-height:18px;
background:var(--fj-fill);white-space:nowrap}
.R .R-pill,.R .R-status,.R .R-tone{color:color-mix(in srgb,var(--fj-tone) 70%,currentcolor)}
.R .R-soft.R-tone{color:var(--fj-soft)}
.R strong{font-weight:600}
.R code.R-mono,.R pre.R-code{font-family:var(--fj-mono);font-size:12px;border:0}
.R code.R-mono:not(.R-tone),.R pre.R-code{color:inherit}
.R code.R-mono{background:none;padding:0;white-space:pre-wrap;overflow-wrap:anywhere}
.R .R-line code.R-mono{white-space:nowrap}
.R a{color:var(--fj-link)}
.R .R-sub{font-size:13px;font-weight:600;margin:12px 0 2px}
.R .R-scroll{overflow-x:auto;margin:6px 0 0}
.R table.R-table{border-collapse:collapse;border:0;margin:0;width:auto;min-width:40%;
table-layout:auto;font-size:13px;color:inherit}
.R table.R-fixed{table-layout:fixed;width:100%;min-width:540px}
.R .R-fixed td,.R .R-fixed td.R-grows{min-width:0;padding-right:12px}
.R .R-table thead,.R .R-table tr,.R .R-table tbody tr:nth-child(n){background:none;border:0}
.R .R-table th,.R .R-table td{vertical-align:top;padding:5px 18px 5px 0;border:0;
border-bottom:1px solid var(--fj-line);white-space:normal;max-width:34em;line-height:1.4;
overflow-wrap:break-word;color:inherit;background:none}
.R .R-table th:last-child,.R .R-table td:last-child{padding-right:4px}
.R .R-table tbody tr:last-child td{border-bottom:0}
.R .R-table tbody tr:hover{background:var(--fj-fill)}
.R .R-table th{font-size:12px;font-weight:500;color:var(--fj-soft);padding-top:2px;
white-space:nowrap;vertical-align:bottom}
.R .R-table .R-line{white-space:nowrap}
.R .R-table .R-grows{min-width:9em}
.R .R-table .R-grows.R-below{min-width:20em}
.R .R-table .R-under{overflow-wrap:anywhere}
.R .R-table .R-gap td{color:var(--fj-soft);font-style:italic}
.R .R-table .R-gap:hover{background:none}
.R .R-measured{container-type:inline-size}
@supports (grid-template-columns:subgrid){@container (max-width:900px){
.R table.R-folds{display:grid;grid-template-columns:var(--fj-columns);width:100%}
.R .R-folds thead,.R .R-folds tbody,.R .R-folds tr{display:grid;grid-column:1/-1;
grid-template-columns:subgrid}
.R .R-folds tr,.R .R-folds.R-table tbody tr:nth-child(n){padding:0}
.R .R-folds.R-table tbody tr:nth-child(n+2){border-top:1px solid var(--fj-line)}
.R .R-folds td{border-bottom:0}
.R .R-folds td,.R .R-folds th{padding-right:12px}
.R .R-folds .R-grows{min-width:0;overflow-wrap:anywhere}
.R .R-folds .R-line:not(.R-right),.R .R-folds .R-line:not(.R-right) code.R-mono{white-space:normal}
.R .R-folds.R-table td.R-grows.R-below{min-width:0}
.R .R-folds td.R-below,.R .R-folds .R-gap td{grid-column:1/-1;max-width:none;padding-top:0}
.R .R-folds th.R-below,.R .R-folds td.R-below:empty{display:none}
}}
.R .R-under{font-size:12px;color:var(--fj-soft);min-height:1.4em}
.R .R-under small{font-size:inherit}
.R .R-fixed .R-under{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.R .R-fixed .R-tone{white-space:nowrap}
.R .R-bar{display:block;height:8px;margin-top:5px;border-radius:4px;overflow:hidden;
background:var(--fj-fill);white-space:nowrap;font-size:0;line-height:0}
.R .R-bar+.R-under{margin-top:3px}
.R .R-bar span{background:var(--fj-tone)!important;height:8px!important}
.R .R-note{margin:8px 0 0;overflow-wrap:anywhere}
.R .R-item{margin:3px 0 0}
.R .R-box{padding:1px 0 1px 12px;border-left:3px solid var(--fj-tone,var(--fj-line))}
.R .R-box .R-sub{margin-top:0}
.R pre.R-code{margin:6px 0 0;padding:8px 10px;border-radius:4px;background:var(--fj-fill);
white-space:pre-wrap;overflow-wrap:anywhere;max-height:32em;overflow:auto;line-height:1.4}
.R .R-hints{margin:6px 0 0;color:var(--fj-soft);white-space:normal}
.R .R-hints div{margin:2px 0}
.R .R-hints code.R-mono{color:var(--fj-text,inherit);background:var(--fj-fill);
padding:1px 6px;border-radius:4px;margin-right:6px}
.R summary{cursor:pointer;color:var(--fj-soft);margin-top:8px}
"""

# The class of the page twice, to outrank JupyterLab's own rules for tables and code.
_INSIDE = f".{ROOT}.{ROOT} "

STYLE = (_RULES.replace("\n", "") + _tones()).replace(".R ", _INSIDE).replace(".R", f".{ROOT}")
"""The style sheet, as text of a `<style>` element."""
