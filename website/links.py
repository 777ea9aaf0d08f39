"""Links between files of the repository, as a code host follows them, made links between pages of the site."""

import re

from website.pages import site_path

_CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s#]+)")


def links_of_site(markdown, origin):
    """Return the Markdown of a file with links to pages; code stays as it is."""
    parts = _CODE.split(markdown)
    return "".join(part if part.startswith("`") else _LINK.sub(lambda m: _leads(m, origin), part) for part in parts)


def _leads(match, origin):
    return match[0] if "://" in match[1] else f"]({site_path(match[1], origin)}"
