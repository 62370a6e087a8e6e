"""Self-contained HTML pages: one file that opens offline, on a phone, in print, in light and in dark.

Text is escaped by construction: `tag` escapes every str that is not already `Html`, so nothing that came from
a file or a name can become markup. Figures are inline SVG whose colours are the page's CSS variables, videos
are base64 data URIs, and the page forbids itself (content security policy) to load anything from outside.
"""

from imitate.page.charts import chart, interval_bar, outcome_strip, sparkline
from imitate.page.markup import Html, amount, joined, paragraph, percent, table, tag
from imitate.page.shell import (
    card,
    data_block,
    drawing,
    facts,
    grid,
    headline,
    image_address,
    picture,
    render,
    require_page,
    section,
    thinned,
    video,
    write_whole,
)

__all__ = [
    "Html",
    "amount",
    "card",
    "chart",
    "data_block",
    "drawing",
    "facts",
    "grid",
    "headline",
    "image_address",
    "interval_bar",
    "joined",
    "outcome_strip",
    "paragraph",
    "percent",
    "picture",
    "render",
    "require_page",
    "section",
    "sparkline",
    "table",
    "tag",
    "thinned",
    "video",
    "write_whole",
]
